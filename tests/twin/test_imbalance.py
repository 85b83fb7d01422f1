"""Who pays for a difference: worked out by hand, and to the millionth."""

from fractions import Fraction
from math import ceil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.mechanism import Tariff
from market.orders import BUY, POOL, SELL, SUPPLIER, empty_fills
from twin.imbalance import ImbalanceRules, LocalTrades, charged, interval_charges, local_trades
from twin.ledger import Ledger
from twin.scenario.oracles_section import ImbalanceSection
from twin.trading import Session

TARIFF = Tariff(320_001, 79_999)


def rules(**keys):
    return ImbalanceRules(ImbalanceSection(**keys))


def trades(sold, bought):
    return LocalTrades(np.array(sold, dtype=np.int64), np.array(bought, dtype=np.int64))


def session_of(*rows):
    """(participant, side, counterparty, energy, price)"""
    fills = empty_fills(len(rows))
    for i, (person, side, party, energy, price) in enumerate(rows):
        f = fills[i]
        f["participant"], f["side"], f["counterparty"], f["energy_wh"] = person, side, party, energy
        f["price_micro_per_kwh"], f["order_id"] = price, i
    intent = SimpleNamespace(interval=0, charges=None)
    return Session(intent, fills, None, TARIFF, 0, np.arange(len(fills)))


SOLD = session_of(
    (0, SELL, POOL, 1000, 200_000), (1, BUY, POOL, 1000, 200_000), (2, BUY, SUPPLIER, 500, 320_001)
)


def book(rule, metered, accepted=(1000, 1000, 500), held=None):
    """The entry of an interval with charges, as the books make it."""
    ledger, metered_wh = Ledger(3), np.array(metered, dtype=float)
    accepted_wh = np.array(accepted, dtype=np.int64)
    entry = ledger.book(SOLD, accepted_wh, metered_wh, metered_wh, held)
    return charged(entry, interval_charges(rule, SOLD, accepted_wh, entry)), entry


def test_a_seller_that_delivers_short_by_hand():
    """0 sold 1000 Wh and delivers 900; 1 bought 1000 and draws 700. A quarter on retail, half of feed-in.

    Surcharge per kWh: ceil(320001 / 4) = 80001; of 100 Wh: ceil(8000.1) = 8001. Deduction per kWh:
    ceil(79999 / 2) = 40000; of 300 Wh: 12000. The energy itself: 0 buys 100 Wh for 320001 -> 32001 (rounded up),
    1 sells 300 Wh for 79999 -> 23999 (rounded down).
    """
    rule = rules(shortfall_surcharge_percent=25, surplus_deduction_percent=50)
    entry, plain = book(rule, (900, -700, -500))
    assert entry.imbalance_micro.tolist() == [8001, 12_000, 0]
    assert plain.supplied_micro.tolist() == [-32_001, 23_999, -160_001]
    assert entry.bill_micro.tolist() == [
        -200_000 + 32_001 + 8001,
        200_000 - 23_999 + 12_000,
        160_001,
    ]
    assert entry.supplier_micro == 32_001 - 23_999 + 160_001 + 8001 + 12_000
    assert entry.sum_micro == plain.sum_micro == 0
    assert (entry.saved_micro - plain.saved_micro).tolist() == [-8001, -12_000, 0]


def test_the_three_numbers_of_a_trade():
    _, entry = book(rules(), (900, -700, -500))
    assert SOLD.fills["energy_wh"].tolist() == [1000, 1000, 500]
    assert entry.settled_wh.tolist() == [900, 700, 500]
    found = rules().differences(local_trades(SOLD.fills, SOLD.fills["energy_wh"], 3), entry.metered_wh)
    assert (found.shortfall_wh.tolist(), found.surplus_wh.tolist()) == ([100, 0, 0], [0, 300, 0])
    differences = np.array([found.shortfall_wh[0], found.surplus_wh[1]])
    assert (entry.settled_wh[:2] + differences).tolist() == [1000, 1000], (
        "confirmed and not: what was accepted"
    )


def test_the_community_pays_by_what_it_traded():
    """20001 over 1000 and 1000 Wh: 10001 and 10000, the larger part to the earlier."""
    rule = rules(shortfall_surcharge_percent=25, surplus_deduction_percent=50, payer="community")
    entry, _ = book(rule, (900, -700, -500))
    assert entry.imbalance_micro.tolist() == [10_001, 10_000, 0] and entry.sum_micro == 0


@pytest.mark.parametrize(("short", "charge"), [(5, 0), (6, 481)])
def test_a_metering_step_costs_nothing_and_one_more_all_of_it(short, charge):
    rule = rules(shortfall_surcharge_percent=25, tolerance_wh=5)
    made = rule.charges_micro(trades([1000], [0]), np.array([1000 - short]), TARIFF)
    assert made.tolist() == [charge]  # ceil(6 * 80001 / 1000) = ceil(480.006)


def test_without_a_surcharge_nothing_changes():
    entry, plain = book(rules(), (900, -700, -500))
    assert entry is plain


def test_a_negative_price_is_no_income_for_a_deviation():
    rule = rules(shortfall_surcharge_percent=25, surplus_deduction_percent=50)
    low = Tariff(-5, -80_000)
    assert not rule.charges_micro(trades([1000], [1000]), np.array([0]), low).any()


def test_nobody_and_nothing_traded():
    rule = rules(shortfall_surcharge_percent=25, payer="community")
    assert len(rule.charges_micro(trades([], []), np.zeros(0, dtype=np.int64), TARIFF)) == 0
    assert rule.charges_micro(trades([0], [0]), np.array([-900]), TARIFF).tolist() == [0]


def test_whose_reading_is_held_is_not_charged_yet():
    rule = rules(shortfall_surcharge_percent=25, surplus_deduction_percent=50)
    entry, _ = book(rule, (0, -700, -500), held=np.array([True, False, False]))
    assert entry.imbalance_micro.tolist() == [0, 12_000, 0] and entry.sum_micro == 0


amounts = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-(10**6), 10**6)), max_size=6
)


@settings(max_examples=200, deadline=None)
@given(amounts, st.integers(0, 100), st.integers(0, 100), st.integers(0, 50), st.booleans())
def test_in_exact_arithmetic(rows, surcharge, deduction, tolerance, community):
    sold, bought, metered = (np.array([r[i] for r in rows], dtype=np.int64) for i in range(3))
    rule = rules(
        shortfall_surcharge_percent=surcharge, surplus_deduction_percent=deduction, tolerance_wh=tolerance,
        payer="community" if community else "causer",
    )  # fmt: skip
    made = rule.charges_micro(trades(sold, bought), metered, TARIFF)
    extra = [ceil(Fraction(320_001 * surcharge, 100)), ceil(Fraction(79_999 * deduction, 100))]
    due = []
    for s, b, m in rows:
        apart = [max(0, s - max(m, 0)), max(0, b - max(-m, 0))]
        due.append(
            sum(ceil(Fraction(e * p, 1000)) for e, p in zip(apart, extra, strict=True) if e > tolerance)
        )
    assert made.sum() == sum(due) and (made >= 0).all()
    if not community:
        assert made.tolist() == due

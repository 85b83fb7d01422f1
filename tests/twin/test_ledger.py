"""The books against exact rational arithmetic: every Wh and every millionth has its counter-entry."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.coverage import covered_wh
from market.errors import RangeError
from market.mechanism import Payment, Tariff
from market.orders import BUY, POOL, SELL, SUPPLIER, empty_fills
from market.registry import make_mechanism
from twin.ledger import Ledger
from twin.trading import Session

TARIFF = Tariff(320_001, 79_999)


def fills_of(*rows):
    """Fills of (participant, side, flexible, counterparty, energy, price)."""
    fills = empty_fills(len(rows))
    for i, (person, side, flexible, party, energy, price) in enumerate(rows):
        f = fills[i]
        f["participant"], f["side"], f["flexible"], f["counterparty"] = person, side, flexible, party
        f["energy_wh"], f["price_micro_per_kwh"], f["order_id"] = energy, price, i
    return fills


def session(fills, payments=()):
    return Session(None, fills, None, TARIFF, 0, np.arange(len(fills)), tuple(payments))


def book(fills, accepted, metered, flowed=None, n=3, ledger=None, payments=()):
    metered = np.array(metered, float)
    flowed = metered if flowed is None else np.array(flowed, float)
    return (ledger or Ledger(n)).book(
        session(fills, payments), np.array(accepted, dtype=np.int64), flowed, metered
    )


def test_an_interval_worked_out_by_hand():
    """0 sells 1000 Wh to the pool but delivers 900; 1 buys 600 and draws 1500; 2 buys 400 upstream and draws it."""
    fills = fills_of(
        (0, SELL, True, POOL, 1000, 200_000),
        (1, BUY, False, POOL, 1000, 200_000),
        (2, BUY, True, SUPPLIER, 400, 320_001),
    )
    entry = book(fills, [1000, 1000, 400], [900, -1500, -400])
    assert entry.metered_wh.tolist() == [900, -1500, -400]
    assert entry.money_micro.tolist() == [200_000, -200_000, -128_001], "320.001 * 400 = 128,000.4 is paid up"
    assert entry.supplied_wh.tolist() == [-100, -500, -400]
    assert entry.supplied_micro.tolist() == [-32_001, -160_001, -128_001]
    assert entry.bill_micro.tolist() == [-200_000 + 32_001, 360_001, 128_001], (
        "what was not delivered is bought"
    )
    assert entry.supplier_micro == 32_001 + 160_001 + 128_001, "the supplier's fill is not paid twice"
    assert (entry.pool_micro, entry.sum_micro) == (0, 0)
    assert entry.delivered_wh.tolist() == entry.settled_wh.tolist() == [900, 1000, 400]
    alone = [71_999, -480_002, -128_001]  # floor of 900 * 79.999; 1500 and 400 * 320.001 paid up
    assert entry.saved_micro.tolist() == [168_000 - 1 - 71_999, 480_002 - 360_001, 0]
    assert entry.saved_micro.tolist() == [
        -b - a for b, a in zip(entry.bill_micro.tolist(), alone, strict=True)
    ]


def test_the_supplier_never_loses_by_rounding():
    entry = book(fills_of(), [], [1, -1, 0, 1001], n=4)
    assert entry.supplied_micro.tolist() == [79, -321, 0, 80_078]


def test_what_flows_and_what_the_meter_says_are_kept_apart():
    fills = fills_of((0, SELL, True, POOL, 1000, 200_000), (1, BUY, True, POOL, 1000, 200_000))
    entry = book(fills, [1000, 1000], metered=[700, -1000, 0], flowed=[1000, -1000, 0])
    assert entry.delivered_wh.tolist() == [1000, 1000]
    assert entry.settled_wh.tolist() == [700, 1000]
    assert entry.supplied_wh.tolist() == [-300, 0, 0], "money follows the meter"


def test_what_is_owed_besides_the_fills_moves_between_two_bills():
    fills = fills_of((0, SELL, True, POOL, 10, 200_000), (1, BUY, True, POOL, 10, 200_000))
    plain, owed = (
        book(fills, [10, 10], [10, -10, 0], payments=p) for p in ((), (Payment(1, 2, 777, "take or pay"),))
    )
    assert (owed.bill_micro - plain.bill_micro).tolist() == [0, 777, -777]
    assert (owed.sum_micro, owed.pool_micro) == (0, plain.pool_micro)
    assert (owed.saved_micro - plain.saved_micro).tolist() == [0, -777, 777]


def test_after_a_cut_prices_stand():
    fills = fills_of((0, SELL, True, POOL, 1000, 200_000), (1, BUY, True, POOL, 1000, 200_000))
    entry = book(fills, [400, 400], [400, -400, 0], ledger=Ledger(3, make_mechanism("call_auction", {})))
    assert entry.price_micro_per_kwh.tolist() == [200_000, 200_000]
    assert entry.money_micro.tolist() == [80_000, -80_000]


def test_parts_of_a_wh_are_carried():
    ledger, given_ = Ledger(2), [Fraction(1, 8), Fraction(-7, 8)]
    read = np.sum(
        [book(fills_of(), [], [0.125, -0.875], ledger=ledger).metered_wh for _ in range(1001)], axis=0
    )
    assert read.tolist() == [floor(given_[0] * 1001), floor(given_[1] * 1001)]


@pytest.mark.parametrize(
    ("metered", "accepted", "person", "word"),
    [
        ([float("nan"), 0, 0], 10, 0, "metered"),
        ([float("inf"), 0, 0], 10, 0, "metered"),
        ([0, 0, 0], -1, 0, "fills"),
        ([0, 0, 0], 10**9 + 1, 0, "fills"),
        ([0, 0, 0], 10, 3, "fills"),
        ([0, 0, 0], 10, -1, "fills"),
    ],
)
def test_what_no_integer_can_hold_is_refused_and_nothing_is_carried(metered, accepted, person, word):
    ledger = Ledger(3)
    with pytest.raises(RangeError, match=word):
        book(
            fills_of((person, SELL, True, POOL, 10, 200_000)),
            [accepted],
            [0.75, *metered[1:]],
            metered,
            ledger=ledger,
        )
    assert book(fills_of(), [], [0.5, 0, 0], ledger=ledger).metered_wh.tolist() == [0, 0, 0]


energies = st.integers(-3_000_000, 3_000_000).map(lambda k: k / 1024)  # exact in floating point


@st.composite
def sessions(draw):
    row = st.tuples(
        st.integers(0, 3), st.sampled_from([BUY, SELL]), st.booleans(), st.sampled_from([POOL, SUPPLIER, 2]),
        st.integers(1, 3000), st.integers(-50_000, 700_000),
    )  # fmt: skip
    fills = fills_of(*draw(st.lists(row, max_size=8)))
    accepted = [draw(st.integers(0, int(e))) for e in fills["energy_wh"]]
    return (
        fills,
        accepted,
        draw(st.lists(energies, min_size=4, max_size=4)),
        draw(st.lists(energies, min_size=4, max_size=4)),
    )


@settings(max_examples=150, deadline=None)
@given(run=st.lists(sessions(), min_size=1, max_size=5))
def test_the_books_in_exact_arithmetic(run):
    ledger, carry = Ledger(4), [Fraction(0)] * 4
    for fills, accepted, metered, flowed in run:
        entry = book(fills, accepted, metered, flowed, ledger=ledger)
        bills, supplier, pool = [0] * 4, 0, 0
        for i in range(4):
            carry[i] += Fraction(metered[i])
            wh = floor(carry[i])
            carry[i] -= wh
            assert entry.metered_wh[i] == wh
            rest = wh
            for f, energy in zip(fills, accepted, strict=True):
                if f["participant"] != i or f["counterparty"] == SUPPLIER:
                    continue
                signed = energy * int(f["side"])
                money = floor(Fraction(signed * int(f["price_micro_per_kwh"]), 1000))
                rest -= signed
                bills[i] -= money
                pool -= money
            price = TARIFF.retail_micro_per_kwh if rest < 0 else TARIFF.feed_in_micro_per_kwh
            money = floor(Fraction(rest * price, 1000))
            bills[i] -= money
            supplier -= money
        assert entry.bill_micro.tolist() == bills
        assert (entry.supplier_micro, entry.pool_micro) == (supplier, pool)
        assert entry.sum_micro == 0


def slow_cover(fills, accepted, energy):
    """One fill after the other, inflexible before flexible, from a purse per participant and side."""
    purse = {(i, s): max(int(e) * s, 0) for i, e in enumerate(energy) for s in (BUY, SELL)}
    out = [0] * len(fills)
    for i in sorted(range(len(fills)), key=lambda i: (bool(fills[i]["flexible"]), i)):
        key = int(fills[i]["participant"]), int(fills[i]["side"])
        out[i] = min(purse[key], int(accepted[i]))
        purse[key] -= out[i]
    return out


@settings(max_examples=300, deadline=None)
@given(session=sessions())
def test_coverage_against_a_slow_reference(session):
    fills, accepted, metered, _ = session
    energy = np.floor(metered).astype(np.int64)
    got = covered_wh(fills, np.array(accepted, dtype=np.int64), energy)
    assert got.tolist() == slow_cover(fills, accepted, energy)


@pytest.mark.parametrize("energy", [0, 400, 700, 5000])
def test_inflexible_sales_are_covered_first(energy):
    fills = fills_of(
        (0, SELL, True, POOL, 500, 1), (0, SELL, False, POOL, 300, 1), (0, BUY, False, POOL, 100, 1)
    )
    got = covered_wh(fills, fills["energy_wh"].copy(), np.array([energy]))
    assert got.tolist() == [min(500, max(0, energy - 300)), min(300, energy), 0]

"""Nobody orders what it cannot pay."""

from dataclasses import dataclass

import numpy as np
import pytest

from market.orders import BUY, SELL, empty_orders
from twin.purse import Purse
from twin.scenario.oracles_section import BalancesSection


@dataclass(frozen=True)
class Intent:
    orders: np.ndarray


def orders(*rows):
    made = empty_orders(len(rows))
    for i, (person, side, energy, price) in enumerate(rows):
        o = made[i]
        o["id"], o["participant"], o["side"], o["energy_wh"], o["price_micro_per_kwh"] = (
            i,
            person,
            side,
            energy,
            price,
        )
    return made


def purse(n=2, **keys):
    return Purse(BalancesSection(**keys), n)


def bound(made, gained, *rows):
    return made.bound(Intent(orders(*rows)), np.array(gained, dtype=np.int64)).orders


def test_the_first_orders_are_paid_first_and_the_rest_is_cut_to_what_is_left():
    """1 EUR: 2 kWh at 0.30 cost 0.60; of 2 kWh at 0.25, 1.6 kWh are left; then nothing."""
    left = bound(
        purse(opening_eur=1), [0, 0],
        (0, BUY, 2000, 300_000), (0, SELL, 500, 100_000), (0, BUY, 2000, 250_000), (0, BUY, 1, 200_000),
        (1, BUY, 3000, 300_000),
    )  # fmt: skip
    assert left[["id", "energy_wh"]].tolist() == [(0, 2000), (1, 500), (2, 1600), (4, 3000)]


def test_what_was_gained_may_be_spent_and_what_was_lost_not():
    rows = [(0, BUY, 1000, 300_000), (1, BUY, 1000, 300_000)]
    left = bound(purse(opening_eur=0), [300_000, -1], *rows)
    assert left[["participant", "energy_wh"]].tolist() == [(0, 1000)]
    left = bound(purse(opening_eur=0), [299_999, 0], *rows)
    assert left["energy_wh"].tolist() == [999], "rounded down: 1000 Wh would cost one millionth too much"
    left = bound(purse(opening_eur=0, credit_eur="0.1"), [-50_000, 0], *rows)
    assert left["energy_wh"].tolist() == [166, 333]


def test_a_price_of_nothing_or_less_needs_no_money():
    left = bound(purse(opening_eur=0), [-5, 0], (0, BUY, 1000, 0), (0, BUY, 1000, -5))
    assert left["energy_wh"].tolist() == [1000, 1000]


def test_ample_balances_leave_the_intent_alone():
    made, intent = purse(opening_eur=1000), Intent(orders((0, BUY, 1000, 300_000)))
    assert made.bound(intent, made.opening()) is intent and made.cut_count == 0


def test_nobody():
    made = purse(n=0, opening_eur=1)
    assert len(made.bound(Intent(orders()), made.opening()).orders) == 0


@pytest.mark.parametrize(
    ("opening", "traded"), [pytest.param(1000, "all", marks=pytest.mark.slow), ("0.05", "less")]
)
def test_a_street_trades_what_it_can_pay(run_street, ungated, opening, traded):
    poor = run_street(
        coordination={"mode": "none"},
        settlement={"chain": "none", "balances": {"opening_eur": float(opening)}},
    )
    if traded == "all":
        assert poor.kpis == ungated.kpis
    else:
        assert 0 < poor.kpis["local_traded_wh"] < ungated.kpis["local_traded_wh"] / 2
        trades = poor.table("trades").to_pandas()
        only_buy = set(trades["participant"]) - set(trades.query("side == 'sell'")["participant"])
        paid = -trades[trades["participant"].isin(only_buy)].groupby("participant")["money_micro"].sum()
        assert len(paid) and 0 < paid.max() <= 50_000 and poor.kpis["money_sum_micro"] == 0
    assert poor.kpis["load_wh"] == ungated.kpis["load_wh"], "no house goes dark"

"""What a comparison adds up to on two intervals, by hand; bills where there is nothing to compare."""

import numpy as np
import pytest

from market.mechanism import Tariff
from market.orders import BUY, HOUSE, SELL, empty_orders
from market.registry import make_mechanism
from twin.comparison import Comparison
from twin.mechanism_report import bill_columns, comparison_record
from twin.totals import Totals

TARIFF = Tariff(320_000, 80_000)
NAMES = ("seller", "buyer", "idle")


def book(interval, sell_wh, buy_wh, ask=100_000, bid=300_000):
    orders = empty_orders(2)
    orders[0] = (1, 0, SELL, HOUSE, True, sell_wh, ask, interval, 0)
    orders[1] = (2, 1, BUY, HOUSE, True, buy_wh, bid, interval, 1)
    return orders


@pytest.fixture
def two_intervals():
    """1000 Wh meet 2000 Wh, then 4000 Wh meet 1000 Wh."""
    shadows = {name: (name, {}) for name in ("mid_market_rate", "bill_sharing", "none")}
    comparison = Comparison("call_auction", shadows, len(NAMES))
    settling = make_mechanism("call_auction", {})
    for k, (sell_wh, buy_wh) in enumerate(((1000, 2000), (4000, 1000))):
        orders = book(k, sell_wh, buy_wh)
        comparison.clear(orders, TARIFF, k, settling.clear(orders, TARIFF, k))
    return comparison


def test_records_by_hand(two_intervals):
    records = {r["mechanism"]: r for r in comparison_record(two_intervals)}
    assert list(records) == ["call_auction", "mid_market_rate", "bill_sharing", "none", "welfare optimum"]
    assert [r["settles"] for r in records.values()] == [True, False, False, False, False]
    # 2 kWh are matched, worth 0.30 - 0.10 each, under every one that trades
    for name in ("call_auction", "mid_market_rate", "bill_sharing", "welfare optimum"):
        assert records[name]["welfare_micro"] == 400_000 and records[name]["gap_ppm"] == 0
    middle = records["mid_market_rate"]
    assert (middle["price_micro_per_kwh"], middle["volume_wh"]) == (200_000, 2000)
    # the supplier's margin of 0.24 is what two kWh can gain together
    assert middle["gains_micro"] == 2 * 240_000 and (middle["gained_count"], middle["lost_count"]) == (2, 0)
    assert middle["jain"] == 1.0 and middle["gini"] == 0.0


def test_bill_sharing_has_no_price_and_its_seller_loses(two_intervals):
    record = next(r for r in comparison_record(two_intervals) if r["mechanism"] == "bill_sharing")
    assert record["price_micro_per_kwh"] is None and record["volume_wh"] == 2000
    assert (record["gained_count"], record["lost_count"]) == (1, 1)
    assert two_intervals.tallies["bill_sharing"].gains_micro.tolist() == [-160_000, 640_000, 0]
    rows = two_intervals.take_rows()
    prices = dict(zip(rows["mechanism"], rows["price_micro_per_kwh"], strict=True))
    assert prices["bill_sharing"] is None and prices["mid_market_rate"] == 200_000
    assert set(rows["retail_micro_per_kwh"]) == {320_000} and set(rows["feed_in_micro_per_kwh"]) == {80_000}


def test_what_was_paid_is_not_what_the_market_gained(two_intervals):
    """The settling mechanism's bill is the meters', its gain the clearing's; they differ by gate and forecasts."""
    totals = Totals()
    totals.bills_micro, totals.saved_micro = np.array([-500_000, 900_000, 1]), np.array([100_000, -50_000, 0])
    bills = bill_columns(two_intervals, "call_auction", totals, NAMES)
    assert bills["paid_micro"][:3].tolist() == [-500_000, 900_000, 1]
    assert sum(bills["gain_micro"][:3]) == 480_000 and bills["saved_micro"][:3].sum() == 50_000
    alone = bill_columns(None, "call_auction", totals, NAMES)
    assert alone["gain_micro"] == [None] * 3 and comparison_record(None) == []


def test_a_shadow_of_the_settling_mechanism_gets_a_name_of_its_own():
    comparison = Comparison("call_auction", {"call_auction": ("call_auction", {"k": 1})}, 3)
    orders = book(0, 1000, 1000)
    comparison.clear(orders, TARIFF, 0, make_mechanism("call_auction", {"k": 0}).clear(orders, TARIFF, 0))
    prices = {r["mechanism"]: r["price_micro_per_kwh"] for r in comparison_record(comparison)}
    assert prices["call_auction"] == 100_000 and prices["call_auction (shadow)"] == 300_000

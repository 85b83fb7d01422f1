"""Shadows beside a run: they change nothing, and what they add up to is what their rows say."""

import pandas as pd
import pytest

from market.mechanism import Tariff
from market.registry import make_mechanism
from twin.comparison import Comparison

SHADOWS = ["none", "pay_as_bid", "order_book", "mcafee", "mid_market_rate", "supply_demand_ratio", "bill_sharing",
           "sharing_coefficients", "amm", "call_auction"]  # fmt: skip


def frame(result, table) -> pd.DataFrame:
    return result.table(table).to_pandas()


@pytest.fixture(scope="module")
def alone(run_street):
    return run_street()


@pytest.fixture(scope="module")
def compared(run_street):
    return run_street(market={"shadow": SHADOWS, "shadow_parameters": {"call_auction": {"k": 0}}})


def test_shadows_change_nothing_in_the_run_that_settles(alone, compared):
    for table in ("trades", "participants", "violations", "shares", "grid_states"):
        pd.testing.assert_frame_equal(
            frame(compared, table), frame(alone, table), check_exact=True
        )  # NaN equals NaN, to the bit
    same = {**compared.kpis}
    assert {key: same[key] for key in alone.kpis} == alone.kpis
    assert alone.table("mechanisms").num_rows == 0
    assert alone.verdict_record["mechanisms"] == []


def test_totals_are_the_sums_of_the_rows(compared):
    rows = frame(compared, "mechanisms")
    records = {r["mechanism"]: r for r in compared.verdict_record["mechanisms"]}
    names = set(rows["mechanism"])
    assert names == {"call_auction", "call_auction (shadow)", *SHADOWS} and set(records) == {
        *names,
        "welfare optimum",
    }
    for name, mine in rows.groupby("mechanism"):
        record = records[name]
        assert record["volume_wh"] == mine["volume_wh"].sum()
        assert record["welfare_micro"] == mine["welfare_micro"].sum()
        assert record["pool_micro"] == mine["residue_micro"].sum()
        optimum, welfare = int(mine["optimum_micro"].sum()), int(mine["welfare_micro"].sum())
        assert record["gap_ppm"] == (optimum - welfare) * 1_000_000 // optimum
        priced = mine[mine["price_micro_per_kwh"].notna() & (mine["volume_wh"] > 0)]
        value = sum(
            int(p) * int(v) for p, v in zip(priced["price_micro_per_kwh"], priced["volume_wh"], strict=True)
        )
        mean = value // int(priced["volume_wh"].sum()) if len(priced) else None
        assert record["price_micro_per_kwh"] == mean
        assert record["settles"] == (name == "call_auction")
    assert records["welfare optimum"]["welfare_micro"] == optimum
    assert records["none"]["gap_ppm"] == 1_000_000 and records["none"]["volume_wh"] == 0


def test_the_settling_row_is_what_the_run_itself_cleared(compared):
    rows = frame(compared, "mechanisms")
    mine = rows[rows["settles"]]
    intervals = frame(compared, "intervals")
    assert mine["volume_wh"].tolist() == intervals["local_cleared_wh"].tolist()
    pd.testing.assert_series_equal(
        mine["price_micro_per_kwh"].reset_index(drop=True),
        intervals["price_micro_per_kwh"],
        check_dtype=False,
    )
    assert (rows["optimum_micro"] >= rows["welfare_micro"]).all()


def test_gains_are_counted_against_the_supplier_by_hand(orders_of_two):
    """1000 Wh at 200: the buyer saves 320 - 200, the seller earns 200 - 80, in thousandths of a currency unit."""
    comparison = Comparison("mid_market_rate", {"pay_as_bid": ("pay_as_bid", {"rule": "ask"})}, 3)
    tariff = Tariff(320_000, 80_000)
    settled = make_mechanism("mid_market_rate", {}).clear(orders_of_two, tariff, 4)
    comparison.clear(orders_of_two, tariff, 4, settled)
    assert comparison.tallies["mid_market_rate"].gains_micro.tolist() == [0, 120_000, 120_000]
    assert comparison.tallies["pay_as_bid"].gains_micro.tolist() == [0, 0, 240_000], (
        "sellers get what they ask"
    )
    rows = comparison.take_rows()
    assert rows["mechanism"] == ["mid_market_rate", "pay_as_bid"] and rows["interval"] == [4, 4]
    assert rows["gained_count"] == [2, 1] and comparison.take_rows() == {}


@pytest.fixture
def orders_of_two():
    from market.orders import BUY, SELL, empty_orders

    book = empty_orders(2)
    book[0] = (0, 1, SELL, 0, True, 1000, 80_000, 4, 0)
    book[1] = (1, 2, BUY, 0, True, 1000, 320_000, 4, 1)
    return book


def test_without_a_local_market_shadows_still_clear(run_street):
    result = run_street(market={"mechanism": "none", "shadow": ["call_auction"]}, duration_days=0.125)
    rows = frame(result, "mechanisms")
    assert (
        set(rows["mechanism"]) == {"call_auction"}
        and rows["volume_wh"].sum() > 0
        and not rows["settles"].any()
    )
    trades = frame(result, "trades")
    assert set(trades["counterparty"]) <= {"supplier"}

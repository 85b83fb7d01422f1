"""Shadows that can trade ahead get what was handed in for later slots: by its own rule one comes to the same results."""

import pytest

LABEL = "pool_and_book (shadow)"


def frame(result, table):
    return result.table(table).to_pandas()


@pytest.fixture(scope="module")
def twice(run_street):
    """Pools that settle, without a gate, beside the same pools as a shadow: two ways through the code."""
    parameters = {"capacity_wh": 1000, "self_discharge_per_h": 0.02}
    market = {
        "mechanism": "pool_and_book",
        "parameters": parameters,
        "ahead": {
            "horizon_intervals": 3,
            "trade_percent": 60,
            "provide_percent": 80,
            "arbitrageur": "load 12",
        },
        "shadow": ["pool_and_book", "order_book"],
        "shadow_parameters": {"pool_and_book": parameters},
    }
    return run_street(market=market, coordination={"mode": "none"}, duration_days=0.1)


def test_a_shadow_pool_trades_what_the_settling_pool_trades(twice):
    rows = frame(twice, "mechanisms")
    mine, shadow = (
        rows[rows["mechanism"] == name].drop(columns=["mechanism", "settles"]).reset_index(drop=True)
        for name in ("pool_and_book", LABEL)
    )
    assert twice.kpis["traded_ahead_wh"] > 0 and twice.kpis["provider_delivered_wh"] > 0
    assert mine["volume_wh"].sum() > 0
    assert shadow.equals(mine)


def test_its_bills_are_the_same_with_what_the_pool_pays_besides(twice):
    bills = frame(twice, "mechanism_bills").drop(columns=["settles"]).set_index("participant")
    mine, shadow = (bills[bills["mechanism"] == name]["total_micro"] for name in ("pool_and_book", LABEL))
    assert frame(twice, "pool_accounts")["money_micro"].abs().sum() > 0
    assert shadow.equals(mine)

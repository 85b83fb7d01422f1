"""Bills under each mechanism, recomputed from the meters."""

import pandas as pd
import pytest


def frame(result, table) -> pd.DataFrame:
    return result.table(table).to_pandas()


@pytest.fixture(scope="module")
def compared(run_street):
    return run_street(market={"shadow": ["none", "mid_market_rate", "bill_sharing"]}, duration_days=0.125)


def test_bills_of_the_settling_mechanism_are_those_of_the_meters(compared):
    bills, people = frame(compared, "bills"), frame(compared, "participants")
    mine = bills[bills["settles"]].set_index("participant")
    assert set(mine["mechanism"]) == {"call_auction"} and len(mine) == 13
    paid = people.groupby("participant")["bill_micro"].sum()
    assert mine["paid_micro"].to_dict() == paid.to_dict()
    # all of the metered energy with the supplier, rounded per interval in its favour
    alone = -(people["metered_wh"] * people["metered_wh"].map(lambda e: 320_000 if e < 0 else 80_000) // 1000)
    supplier_only = alone.groupby(people["participant"]).sum()
    assert mine["supplier_only_micro"].to_dict() == supplier_only.to_dict()
    assert (mine["saved_micro"] == mine["supplier_only_micro"] - mine["paid_micro"]).all()


def test_bills_of_shadows_are_what_the_supplier_asks_less_their_gains(compared):
    bills = frame(compared, "bills")
    assert bills.groupby("mechanism").size().to_dict() == {
        "call_auction": 13, "none": 13, "mid_market_rate": 13, "bill_sharing": 13,
    }  # fmt: skip
    shadows = bills[~bills["settles"]]
    assert (shadows["saved_micro"] == shadows["gain_micro"]).all()
    assert (shadows["paid_micro"] == shadows["supplier_only_micro"] - shadows["gain_micro"]).all()
    assert (bills[bills["mechanism"] == "none"]["gain_micro"] == 0).all()
    records = {r["mechanism"]: r for r in compared.verdict_record["mechanisms"]}
    for name, rows in bills.groupby("mechanism"):
        gains = rows["gain_micro"]
        record = records[name]
        assert record["gains_micro"] == gains.sum()
        assert (record["gained_count"], record["lost_count"]) == ((gains > 0).sum(), (gains < 0).sum())
        gained = [int(g) for g in gains if g > 0]
        if gained:
            n = len(gained)
            assert record["jain"] == pytest.approx(sum(gained) ** 2 / (n * sum(g * g for g in gained)))
            apart = sum(abs(a - b) for a in gained for b in gained)
            assert record["gini"] == pytest.approx(apart / (2 * n * sum(gained)))
        else:
            assert record["jain"] is None and record["gini"] is None

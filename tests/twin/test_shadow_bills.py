"""Whole bills of shadows: a shadow with the settling mechanism's own rule must come to the settling mechanism's bills."""

import pytest

BILL = {"network_eur_per_kwh": 0.07, "network_eur_per_kw": 3, "fixed_eur_per_day": 0.2, "levies_eur_per_kwh": 0.02,
        "vat_percent": 19, "local_network_discount_percent": 40}  # fmt: skip


def frame(result, table):
    return result.table(table).to_pandas()


@pytest.fixture(scope="module")
def twice(run_street):
    market = {
        "mechanism": "call_auction",
        "shadow": ["call_auction", "none", "mid_market_rate"],
        "bill": BILL,
    }
    return run_street(market=market, coordination={"mode": "none"}, duration_days=0.15)


def test_the_same_rule_gives_the_same_bill_line_by_line(twice):
    """Nothing was cut, so meters, trades and every line are the same, by another way through the code."""
    bills = frame(twice, "mechanism_bills").drop(columns=["settles"])
    own = bills[bills["mechanism"] == "call_auction"].drop(columns="mechanism").reset_index(drop=True)
    shadow = (
        bills[bills["mechanism"] == "call_auction (shadow)"].drop(columns="mechanism").reset_index(drop=True)
    )
    assert len(own) == 13
    assert own["local_energy_micro"].sum() > 0
    assert own.equals(shadow)
    assert own["saved_micro"].sum() == twice.kpis["whole_bills_saving_total_micro"]


def test_without_trade_the_bill_is_the_suppliers(twice):
    bills = frame(twice, "mechanism_bills")
    none = bills[bills["mechanism"] == "none"]
    assert (none["saved_micro"] == 0).all()
    assert (none["local_energy_micro"] == 0).all()
    lines = [name for name in bills if name.endswith("_micro")
             and name not in ("total_micro", "supplier_only_micro", "saved_micro")]  # fmt: skip
    assert (bills[lines].sum(axis=1) == bills["total_micro"]).all()


def test_records_say_who_pays_more(twice):
    records = {row["mechanism"]: row for row in twice.verdict_record["whole_bills"]}
    bills = frame(twice, "mechanism_bills")
    for name, row in records.items():
        mine = bills[bills["mechanism"] == name]
        assert row["worse_off_count"] == (mine["saved_micro"] < 0).sum()
        assert row["total_micro"] == mine["total_micro"].sum()
    assert list(records) == ["call_auction", "call_auction (shadow)", "none", "mid_market_rate"]


def test_a_shadow_is_billed_before_the_gate(run_street):
    """With the gate cutting, the shadow's meter has the energy that the gate kept from flowing."""
    result = run_street(market={"mechanism": "call_auction", "shadow": ["call_auction"]}, duration_days=0.2)
    assert result.kpis["cut_wh"] > 0
    records = {row["mechanism"]: row for row in result.verdict_record["whole_bills"]}
    assert (
        records["call_auction"]["supplier_only_micro"]
        < records["call_auction (shadow)"]["supplier_only_micro"]
    )


def test_without_shadows_there_is_no_such_table(gated):
    assert gated.table("mechanism_bills").num_rows == 0
    assert gated.verdict_record["whole_bills"] == []

"""A pool study beside a run: it changes nothing, and its records are the sums of its rows."""

import pandas as pd
import pytest

from twin.cli import main
from twin.pool_report import pool_columns, pool_records
from twin.tables_market import POOLS

SHORT = {"duration_days": 0.125, "start": "2016-01-18T11:00:00+01:00"}


@pytest.fixture(scope="module")
def studied(run_street):
    study = {"slot_s": 3600, "self_discharge_percent_per_h": 2.5}
    return run_street(market={"pool_study": study}, **SHORT)


def test_the_study_changes_nothing(studied, run_street):
    alone = run_street(**SHORT)
    for table in ("trades", "participants", "bills", "grid_states"):
        pd.testing.assert_frame_equal(
            studied.table(table).to_pandas(), alone.table(table).to_pandas(), check_exact=True
        )
    assert studied.kpis == alone.kpis
    assert alone.table("pools").num_rows == 0 and alone.verdict_record["pools"] == []


def test_rows_and_records(studied):
    rows = studied.table("pools").to_pandas()
    assert rows.columns.tolist() == POOLS.names
    assert rows.groupby("pool").size().to_dict() == {"dissipative": 12, "naive": 12, "expiring": 12}
    prices = studied.table("intervals").to_pandas()["price_micro_per_kwh"].ffill()
    fair = rows[rows["pool"] == "naive"]["fair_micro_per_kwh"].tolist()
    assert fair == prices.fillna(200_000).astype(int).tolist()
    records = {r["pool"]: r for r in studied.verdict_record["pools"]}
    for pool, mine in rows.groupby("pool"):
        record = records[pool]
        assert record["drift_max_ppm"] == mine["drift_ppm"].abs().max()
        assert record["off_fair_mean_ppm"] == mine["off_fair_ppm"].sum() // 12
        for name in ("dissipated_wh", "fed_in_wh", "bought_wh", "sold_wh", "provider_profit_micro",
                     "arbitrage_profit_micro"):  # fmt: skip
            assert record[name] == mine[name].sum()
        # a slot of an hour opens a new pool in every fourth interval: nothing has aged there
        assert (mine[mine["interval"] % 4 == 0]["drift_ppm"] == 0).all()
    assert records["dissipative"]["drift_max_ppm"] < 200 < 300_000 < records["naive"]["drift_max_ppm"]
    assert records["expiring"]["unbacked_max_wh"] > 0 == records["dissipative"]["unbacked_max_wh"]


def test_no_study_no_rows():
    assert pool_columns(None) == {} and pool_records(None) == []


@pytest.mark.parametrize(
    "study, expected",
    [
        ({"slot_s": 1000}, ["market.pool_study.slot_s", "1000", "a multiple of interval_s (900)"]),
        ({"fee_percent": 0}, ["market.pool_study.fee_percent", "0"]),
        ({"capacity_wh": 5}, ["market.pool_study.capacity_wh", "5"]),
        ({"size_wh": 5}, ["market.pool_study", "size_wh"]),
    ],
)
def test_wrong_studies_are_refused(tmp_path, capsys, street_text, write_day_profiles, study, expected):
    write_day_profiles(tmp_path / "profiles.csv")
    (tmp_path / "s.yaml").write_text(street_text(market={"pool_study": study}))
    assert main(["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    for part in expected:
        assert part in said, said

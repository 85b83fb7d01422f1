"""A check of a mean that trades made fail says who is behind it, in the table and beside the check."""

import numpy as np
import pytest

HEAVY = {
    "start": "2016-01-18T17:00:00+01:00",
    "duration_days": 0.125,
    "interval_s": 900,
    "participants": {
        "forecast": {"kind": "perfect"},
        "assets": [
            {"kind": "ev", "count": 6, "where": "far_from_transformer", "p_max_w": 11000, "energy_need_wh": 30000,
             "arrival_h": 18, "spread_h": 0.25, "strategy": "asap"},
        ],
    },
    "grid": {"plant": {"source_voltage_pu": 0.965}},
    "coordination": {"mode": "none"},
    "limits": {"voltage_min_pu": 0.8, "voltage_max_pu": 1.2, "line_loading_percent": 20,
               "line_short_time_loading_percent": 300, "transformer_loading_percent": 900,
               "loading_average_s": 3600, "standards": ["ansi_c84_1_a"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def strained(run_street):
    return run_street(**HEAVY)


def failing(run, name):
    return next(check for check in run.checks if check["name"] == name)


def test_a_failing_moving_mean_names_who_drew(strained):
    check = failing(strained, "trades.line_loading_average")
    assert check["verdict"] == "fail"
    shares, violations = (strained.table(t).to_pandas() for t in ("shares", "violations"))
    rows = shares[shares["kind"] == "line_loading_average"]
    worst = violations[violations["kind"] == "line_loading_average"].sort_values("value").iloc[-1]
    mine = rows[(rows["element"] == worst["element"]) & (rows["interval"] == worst["worst_interval"])]
    people = strained.table("participants").to_pandas()
    cars = set(people.query("ev_w > 0")["participant"])
    first = mine.sort_values("share_of_change").iloc[-1]
    assert first["participant"] in cars and first["unit"] == "percent"
    assert first["participant"] in check["detail"] and "percentage points" in check["detail"]
    # the window of an hour ends with the worst interval: its four steps are the mean
    states = strained.table("grid_states").to_pydict()
    branch = strained.table("feeder_branches").to_pydict()["branch"].index(worst["element"])
    k = int(worst["worst_interval"])
    mean = np.mean([states["loading_percent"][i][branch] for i in range(k - 3, k + 1)])
    assert mean == pytest.approx(worst["value"], abs=1e-3)
    without = mean - mine["share_of_change"].sum() - mine["residual"].iloc[0]
    assert 0 < without < 20, "without trades the mean keeps its limit"
    assert mine["share_of_excess"].sum() == pytest.approx(mean - 20, abs=0.05)


def test_a_ten_minute_mean_out_of_range_has_shares_in_volts(strained):
    check = failing(strained, "trades.ansi_range_a")
    assert check["verdict"] == "fail" and "behind the worst mean: " in check["detail"]
    shares = strained.table("shares").to_pandas()
    rows = shares[(shares["kind"] == "ansi_range_a") & (shares["element"] == check["element"])]
    assert set(rows["unit"]) == {"pu"} and (rows["change_p_w"] != 0).any()
    assert rows["share_of_change"].max() > 0.002
    assert strained.verdict_record["episodes_without_shares"] == 0

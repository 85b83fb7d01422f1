"""Whole runs under standards and sub-steps, against numpy on the recorded states."""

from datetime import datetime, timedelta

import numpy as np
import pytest
import yaml

import twin

STREET = "pandapower:create_kerber_landnetz_freileitung_1"  # 13 houses on two overhead lines


def scenario_file(folder, step_s, days, start, **more):
    """A street of houses with an evening peak, from profiles of ``step_s``."""
    n = round(days * 86400 / step_s)
    begin = datetime.fromisoformat(start)
    hours = np.array([(begin + timedelta(seconds=k * step_s)).hour for k in range(n)])
    rng = np.random.default_rng(50160)
    with (folder / "week.csv").open("w") as file:
        file.write("time,load:a,load:b,pv:roof\n")
        for k in range(n):
            moment = (begin + timedelta(seconds=k * step_s)).replace(tzinfo=None)
            evening = 0.55 if 18 <= hours[k] < 20 else 0.1
            a, b = evening * rng.uniform(0.7, 1.3, 2)
            file.write(f"{moment.isoformat()},{a:.4f},{b:.4f},{0.4 if 11 <= hours[k] < 13 else 0}\n")
    tree = {
        "name": "week", "start": start, "duration_days": days, "interval_s": step_s, "seed": 3,
        "grid": {"source": STREET}, "profiles": {"source": "week.csv"}, "settlement": {"chain": "none"},
        "participants": {"forecast": {"kind": "perfect"}, "assets": [{"kind": "pv", "share_percent": 50, "p_max_w": 9000}]},
        "coordination": {"mode": "none"}, "outputs": {"report": False, "participants": False},
    }  # fmt: skip
    path = folder / "week.yaml"
    path.write_text(yaml.safe_dump(tree | more))
    return path


@pytest.mark.slow
def test_a_week_over_the_change_to_summer_time(tmp_path):
    """The share of means within ±10 % is that of the recorded states, counted by numpy."""
    more = {
        "grid": {"source": STREET, "plant": {"source_voltage_pu": 0.925}},
        "limits": {"standards": ["en50160", "ansi_c84_1_b"], "voltage_min_pu": 0.8},
        "judge": "feeder",
    }
    path = scenario_file(tmp_path, 600, 7, "2026-03-23T00:00:00+01:00", **more)
    result = twin.run(twin.load_scenario(path), tmp_path / "out")
    checks = {c["name"]: c for c in result.checks}
    v = np.array(result.table("grid_states").to_pydict()["v_pu"])
    buses = result.table("feeder_buses").to_pylist()
    supplied = [i for i, bus in enumerate(buses) if bus["participants"]]
    assert v.shape[0] == 1008
    within = 100 * ((v[:, supplied] >= 0.9) & (v[:, supplied] <= 1.1)).mean(axis=0)
    share = checks["trades.en50160_voltage"]
    assert share["value"] == pytest.approx(within.min()) and within.min() < 95
    assert share["element"] == buses[supplied[int(within.argmin())]]["bus"]
    assert checks["feeder.en50160_voltage"]["verdict"] == "fail" == result.verdict
    assert checks["trades.en50160_extreme"]["value"] == pytest.approx(v[:, supplied].min(), abs=1e-6)
    rows = [r for r in result.table("violations").to_pylist() if r["kind"] == "en50160_voltage"]
    outside = (v[:, supplied] < 0.9).sum(axis=0)
    assert sorted(r["duration_s"] for r in rows) == sorted(600 * int(n) for n in outside if n > 50)
    assert all("4.2.2.2" in r["clause"] for r in rows)
    low = 110 / 120
    b_windows = int((v[:, supplied] < low).sum())
    seconds = [r["duration_s"] for r in result.table("violations").to_pylist() if r["kind"] == "ansi_range_b"]
    assert sum(seconds) == 600 * b_windows > 0


def test_several_steps_of_an_interval_are_shown_at_their_worst(tmp_path):
    """A third of each hour is a step here; what is kept of the feeder is the step with the interval's extreme."""
    more = {"interval_s": 3600, "substep_s": 1200, "duration_days": 0.25}
    path = scenario_file(tmp_path, 1200, 0.5, "2026-03-23T16:00:00+01:00", **more)
    result = twin.run(twin.load_scenario(path), tmp_path / "out")
    states, intervals = (result.table(name).to_pydict() for name in ("grid_states", "intervals"))
    assert states["steps"] == [3] * 6 and len(set(states["step"])) > 1
    lowest = [min(v) for v in states["v_pu"]]
    highest = [max(load) for load in states["loading_percent"]]
    assert lowest == pytest.approx(intervals["v_min_pu"], abs=1e-6), "here a low voltage is always the worst"
    lines, trafos = intervals["line_loading_max_percent"], intervals["trafo_loading_max_percent"]
    assert all(h <= max(a, b) + 1e-4 for h, a, b in zip(highest, lines, trafos, strict=True))

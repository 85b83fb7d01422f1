"""Heat pumps in the report: rows from a run folder, and nothing where there are none."""

import json

from adapters.export.run_folder import RunFolder
from twin.heat_log import NO_HEAT
from twin.report.heat_pumps import heat_pumps_context
from twin.report.render import write_report
from twin.results import RunResult
from twin.tables import TABLES

KPIS = NO_HEAT | {
    "heat_pump_wh": 1234567.0, "heat_made_wh": 3e6, "heat_stored_change_wh": -500.0, "heat_unserved_wh": 250.0,
    "heat_comfort_lost_h": 0.5, "heat_pump_blocked_h": 2.0, "heat_pump_boosted_h": 0.25, "heat_pump_switches_count": 7,
}  # fmt: skip


def folder(path, rows, kpis):
    run = RunFolder.create(path, {"name": "warm", "interval_s": 900}, schemas=TABLES)
    if rows:
        run.append("heat_pumps", {name: [row[name] for row in rows] for name in rows[0]})
    run.write_json("kpis.json", kpis)
    run.finish("finished")
    return RunResult(path)


def row(interval, who, state, stored, comfortable, unserved=0.0):
    return {
        "interval": interval, "participant": who, "heat_pump_w": 2000.0, "sg_state": state, "stored_wh": stored,
        "made_wh": 1500.0, "unserved_wh": unserved, "comfortable": comfortable,
    }  # fmt: skip


def test_who_was_cold_comes_first_and_states_are_counted(tmp_path):
    rows = [
        row(0, "house 2", 2, 5000, True), row(0, "house 10", 1, 900, False, 250.0),
        row(1, "house 2", 4, 7000, True), row(1, "house 10", 1, 0, False),
    ]  # fmt: skip
    run = folder(tmp_path / "run", rows, KPIS)
    context = heat_pumps_context(run, {"a": run}, {"a": "This run"})
    assert [p["name"] for p in context["pumps"]] == ["house 10", "house 2"]
    cold, warm = context["pumps"]
    assert (cold["cold"], cold["bad"], cold["unserved"]) == ("30\u00a0min", True, "250\u00a0Wh")
    assert cold["states"] == ["30\u00a0min", "", "", ""] and warm["states"] == [
        "",
        "15\u00a0min",
        "",
        "15\u00a0min",
    ]
    assert (warm["electrical"], warm["made"], warm["least"]) == (
        "1.0\u00a0kWh",
        "3.0\u00a0kWh",
        "5.0\u00a0kWh",
    )
    told = context["variants"][0]
    assert (told["electrical"], told["cold"], told["switches"], told["bad"]) == (
        "1.23\u00a0MWh",
        "30\u00a0min",
        "7",
        True,
    )
    page = write_report(run.folder).read_text()
    assert 'id="heat-pumps"' in page and "house 10" in page


def test_a_run_without_heat_pumps_says_nothing_of_them(tmp_path):
    run = folder(tmp_path / "run", [], NO_HEAT)
    assert heat_pumps_context(run, {"a": run}, {}) is None
    assert 'id="heat-pumps"' not in write_report(run.folder).read_text()
    assert json.loads((run.folder / "kpis.json").read_text())["heat_pump_wh"] is None

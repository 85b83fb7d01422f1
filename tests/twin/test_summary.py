"""What ``twin run`` says at its end, from records of every kind."""

import json
from pathlib import Path
from typing import Any

from twin.commands.summary import summary
from twin.results import RunResult

CHECK = {
    "name": "trades.voltage_min",
    "verdict": "fail",
    "value": 0.9312,
    "limit": 0.94,
    "unit": "pu",
    "element": "Bus 9",
    "first_interval": 24,
    "count": 3,
    "judged": True,
}


def result(folder: Path, verdict: dict[str, Any], **manifest: Any) -> RunResult:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"status": "finished", "name": "s", **manifest}))
    (folder / "verdict.json").write_text(json.dumps(verdict))
    return RunResult(folder)


def test_a_fail_lists_what_is_judged_and_broken(tmp_path):
    feeder = {**CHECK, "name": "feeder.line_loading", "judged": False}
    once = {
        **CHECK,
        "name": "kpi",
        "value": 7,
        "limit": 5,
        "unit": "",
        "element": None,
        "first_interval": None,
        "count": 1,
    }
    lines = summary(
        result(tmp_path, {"verdict": "fail", "sentence": "Fail: it breaks.", "checks": [CHECK, feeder, once]})
    )
    assert lines[:3] == [
        "Fail: it breaks.",
        "  fail: lowest voltage, with trades, at Bus 9, 0.9312 pu, limit 0.9400 pu, 3 times, first in interval 24",
        "  fail: kpi, 7, limit 5, once",
    ]
    assert lines[-1] == f"  results: {tmp_path}"


def test_many_broken_checks_are_cut_short(tmp_path):
    lines = summary(result(tmp_path, {"verdict": "fail", "sentence": "Fail.", "checks": [CHECK] * 11}))
    assert sum(line.startswith("  fail: ") for line in lines) == 8
    assert "  and 3 more checks" in lines


def test_margin_what_was_not_assessed_and_the_report(tmp_path):
    (tmp_path / "report.html").write_text("x")
    margin = {
        "name": "trades.line_loading",
        "margin": 0.64,
        "unit": "percent",
        "element": "Line 83",
        "time": "2016-12-01T19:45:00+01:00",
    }
    skipped = [{"name": "protection and fault levels", "why": "x"}, {"name": "device_data", "why": "y"}]
    record = {
        "verdict": "pass",
        "sentence": "Pass: fine.",
        "checks": [],
        "smallest_margin": margin,
        "not_assessed": skipped,
    }
    assert summary(result(tmp_path, record)) == [
        "Pass: fine.",
        "  smallest margin: 0.6 % (line loading, with trades, at Line 83, 2016-12-01 19:45)",
        "  not assessed: protection and fault levels and data of devices on a wire",
        f"  report: {tmp_path / 'report.html'}",
    ]
    record["smallest_margin"] = {**margin, "margin": -1.5}
    assert "the feeder's own, without trades" in summary(result(tmp_path, record))[1]


def test_an_aborted_run_says_why(tmp_path):
    lines = summary(result(tmp_path, {}, status="failed", failure="stopped by SIGINT"))
    assert lines[0] == "Aborted: stopped by SIGINT. What was finished can be read."


def test_variants_are_named_with_their_verdicts(tmp_path):
    entries = [{"name": "free", "judged": False}, {"name": "gated", "judged": True}]
    result(tmp_path / "variants" / "free", {"verdict": "fail", "checks": []})
    lines = summary(
        result(tmp_path, {"verdict": "pass", "sentence": "Pass.", "checks": []}, variants=entries)
    )
    assert lines[1] == "  judged: gated; to compare: free: fail"


def test_violations_without_shares_are_told_where_the_user_looks(tmp_path):
    record = {"verdict": "fail", "sentence": "Fail.", "checks": [], "episodes_without_shares": 12}
    assert any(
        "12 violations that trades caused have no shares" in line
        for line in summary(result(tmp_path, record))
    )
    record["episodes_without_shares"] = 0
    assert not any("no shares" in line for line in summary(result(tmp_path, record)))

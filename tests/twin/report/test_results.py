"""RunResult on finished, failed, killed, damaged and foreign folders."""

import json

import pytest

from adapters.export.run_folder import RunFolder
from twin.results import DamagedRunError, NotARunFolderError, RunResult, UnknownNameError
from twin.tables import TABLES

VARIANTS = [{"name": "supplier", "judged": False}, {"name": "gated", "judged": True, "title": "Gated"}]


def run(path, n=3, *, status="finished", verdict="pass", variants=()):
    folder = RunFolder.create(path, {"name": "t", "variants": list(variants)}, schemas=TABLES, flush_rows=2)
    for k in range(n):
        folder.append("intervals", {"interval": [k], "v_min_pu": [1 - k / 100]})
    if status is None:
        folder.wait()  # killed later: what was flushed had reached the disk
        return folder
    folder.write_json(
        "verdict.json", {"verdict": verdict, "checks": [{"name": "voltage", "verdict": verdict}]}
    )
    folder.write_json("kpis.json", {"import_wh": 5})
    folder.finish(status, {})
    return folder


@pytest.mark.parametrize(
    ("status", "verdict", "read", "code"),
    [
        ("finished", "pass", "pass", 0),
        ("finished", "fail", "fail", 1),
        ("finished", "inconclusive", "inconclusive", 3),
        ("failed", "pass", "aborted", 4),
        ("finished", "surely fine", "surely fine", 4),
    ],
)
def test_verdict_and_exit_code(tmp_path, status, verdict, read, code):
    run(tmp_path / "r", status=status, verdict=verdict)
    result = RunResult(tmp_path / "r")
    assert (result.verdict, result.exit_code) == (read, code)
    assert result.kpis == {"import_wh": 5} and result.checks[0]["name"] == "voltage"
    assert result.table("intervals")["interval"].to_pylist() == [0, 1, 2]


def test_a_killed_run_is_read_from_its_parts(tmp_path):
    run(tmp_path / "r", 5, status=None)  # two parts of two rows are complete; the fifth row was never written
    result = RunResult(tmp_path / "r")
    assert (result.verdict, result.exit_code, result.kpis, result.checks) == ("aborted", 4, {}, [])
    assert result.table("intervals", ["v_min_pu"])["v_min_pu"].to_pylist() == [1, 0.99, 0.98, 0.97]
    assert result.table("trades").num_rows == 0
    assert result.table("trades", ["interval"]).column_names == ["interval"]


def test_variants_put_the_judged_one_first(tmp_path):
    run(tmp_path / "r", variants=VARIANTS)
    run(tmp_path / "r" / "variants" / "supplier", 7)
    result = RunResult(tmp_path / "r")
    assert result.variants == ["gated", "supplier"]
    assert result.variant("gated") is result
    assert result.variant("supplier").table("intervals").num_rows == 7
    with pytest.raises(UnknownNameError, match="it has: gated, supplier"):
        result.variant("local")


def test_what_is_no_run_is_said_so(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NotARunFolderError, match=str(path)):
            RunResult(path)


def test_damage_names_the_file(tmp_path):
    run(tmp_path / "r")
    (tmp_path / "r/intervals.parquet").write_bytes(b"PAR1")
    (tmp_path / "r/kpis.json").write_text("[1")
    (tmp_path / "r/verdict.json").write_text(json.dumps([]))
    result = RunResult(tmp_path / "r")
    with pytest.raises(DamagedRunError, match=r"intervals\.parquet"):
        result.table("intervals")
    with pytest.raises(DamagedRunError, match=r"kpis\.json"):
        result.kpis  # noqa: B018
    with pytest.raises(DamagedRunError, match="must hold a JSON object, found a list"):
        result.verdict  # noqa: B018
    with pytest.raises(UnknownNameError, match="there are: intervals"):
        result.table("nothing")

"""The command line: exit codes, what stands on stdout and stderr, no traceback for wrong input."""

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from twin.cli import main
from twin.commands import table
from twin.commands.failures import CODES, code_of

ROOT = Path(__file__).parents[2]
TWIN = [sys.executable, "-m", "twin"]

SMALL = """\
name: small
start: 2016-01-18T12:00:00+01:00
duration_days: 0.0625
seed: 7
grid: {source: "pandapower:create_cigre_network_lv"}
profiles: {source: profiles.csv}
settlement: {chain: none}
outputs: {report: false}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A scenario of six intervals on a small feeder with profiles of its own."""
    hours = [
        f"2016-01-18T{h:02d}:{m:02d}:00,{0.1 + 0.01 * h:.2f}" for h in range(24) for m in (0, 15, 30, 45)
    ]
    (tmp_path / "profiles.csv").write_text("time,load:all\n" + "\n".join(hours) + "\n")
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path / "small.yaml"


def wrong(path: Path) -> Path:
    path.write_text(
        SMALL.replace("seed: 7", "sed: 7").replace(
            "start: 2016-01-18T12:00:00+01:00", "start: 2016-01-18T12:00:00"
        )
    )
    return path


def twin(*arguments: object, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TWIN, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=120,
        check=False,
    )


def test_help_is_quick():
    """In seconds of the processor: how long it takes on a busy machine says nothing about the command."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = twin("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.returncode == 0
    assert min(seconds) < 0.6
    for name in ("run", "check", "schema", "report", "new"):
        assert f"    {name} " in done.stdout


def test_commands_whose_module_is_missing_are_not_offered(monkeypatch):
    missing = table.Command("ghost", "is not there", "nowhere.cli", own_parser=True)
    monkeypatch.setattr(table, "ALL", (*table.ALL, missing))
    assert "ghost" not in table.available()
    assert "run" in table.available()


def test_commands_with_their_own_parser_get_the_rest(monkeypatch, tmp_path):
    (tmp_path / "other_cli.py").write_text("def main(argv):\n    print(argv)\n    return 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(table, "ALL", (table.Command("other", "x", "other_cli", own_parser=True),))
    assert main(["other", "--flag", "run"]) == 3


@pytest.mark.parametrize(
    "arguments", [[], ["runn"], ["run"], ["run", "a.yaml", "--nonsense"], ["run", "a.yaml", "--seed", "x"]]
)
def test_usage_errors_exit_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_the_version(capsys):
    import tomllib

    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert capsys.readouterr().out == f"twin {version}\n"


def test_the_schema_is_json(capsys):
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"name", "start", "grid", "variants"} <= set(schema["properties"])


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m twin schema | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["run", "check"])
def test_wrong_input_is_explained_without_a_traceback(command, tmp_path, capsys):
    file = wrong(tmp_path / "s.yaml")
    assert main([command, str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert f"{file}:4: sed: is no known key. Did you mean seed?" in err
    assert f"{file}:2: start: has no time zone" in err


@pytest.mark.parametrize("command", ["run", "check"])
def test_wrong_input_as_json(command, tmp_path, capsys):
    assert main([command, str(wrong(tmp_path / "s.yaml")), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 2
    assert {"start", "sed", "seed"} == {p["key_path"] for p in answer["problems"]}
    assert {2, 4} <= {p["line"] for p in answer["problems"]}


def test_check_runs_nothing(small, capsys, monkeypatch):
    monkeypatch.chdir(small.parent)
    assert main(["check", str(small)]) == 0
    assert "6 intervals" in capsys.readouterr().out
    assert sorted(p.name for p in small.parent.iterdir()) == ["profiles.csv", "small.yaml"]


def test_check_takes_several_files_and_tells_all(small, tmp_path, capsys):
    bad = wrong(tmp_path / "bad.yaml")
    assert main(["check", str(bad), str(small), str(tmp_path / "none.yaml")]) == 2
    out, err = capsys.readouterr()
    assert f"{small}: fine" in out
    assert "bad.yaml:4" in err
    assert "none.yaml: there is no such file" in err


def test_check_sees_what_only_the_feeder_shows(small, capsys):
    assert main(["check", str(small), "--set", "participants.include=[nobody]"]) == 2
    assert "command line: participants.include" in capsys.readouterr().err


def test_new_writes_a_scenario_that_checks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my_street"]) == 0
    text = (tmp_path / "my_street.yaml").read_text()
    assert "name: my_street" in text
    assert "NAME" not in text
    assert main(["check", "my_street.yaml"]) == 0
    assert main(["new", "my_street"]) == 2
    assert (tmp_path / "my_street.yaml").read_text() == text, "left as it was"
    assert "exists" in capsys.readouterr().err


def test_the_variants_that_new_proposes_are_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["new", "x"])
    text = Path("x.yaml").read_text()
    head, mark, tail = text.partition("# variants:")
    assert mark
    Path("x.yaml").write_text(
        head + "\n".join(line.removeprefix("# ") for line in (mark + tail).splitlines()) + "\n"
    )
    from twin.scenario.load import load_scenario

    loaded = load_scenario("x.yaml")
    assert list(loaded.runs()) == ["gated", "free"]
    assert loaded.judged == "gated"


@pytest.mark.parametrize("name", ["My Street", "../x/.y", "", "a/"])
def test_new_refuses_names_that_are_none(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["new", name]) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_variant_names_the_known(small, capsys):
    assert main(["run", str(small), "--variant", "mian"]) == 2
    assert "Did you mean main?" in capsys.readouterr().err


def test_a_used_folder_is_refused_before_the_feeder_is_loaded(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "twin.run", None)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.docx").write_text("years of work")
    assert main(["run", str(small), "--out", str(out)]) == 2
    assert main(["run", str(small), "--out", str(small)]) == 2
    assert "--out" in capsys.readouterr().err


def test_an_error_nobody_expected_keeps_its_traceback_in_a_file(small, tmp_path, capsys, monkeypatch):
    import tempfile

    import twin.scenario.load

    def broken(*_: object) -> None:
        raise ZeroDivisionError("somewhere deep")

    monkeypatch.setattr(twin.scenario.load, "load_scenario", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["check", str(small)]) == 4
    err = capsys.readouterr().err
    assert "somewhere deep" in err
    assert "Traceback" not in err
    file = Path(err.split("traceback is in ")[1].strip().rstrip("."))
    assert "in broken" in file.read_text()


def test_ctrl_c_exits_with_4(small, capsys, monkeypatch):
    import twin.scenario.load

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(twin.scenario.load, "load_scenario", interrupted)
    assert main(["check", str(small)]) == 4
    assert "Interrupted" in capsys.readouterr().err


def test_every_error_in_the_table_exists():
    from importlib import import_module

    for name, code in CODES.items():
        module, _, attribute = name.rpartition(".")
        kind = getattr(import_module(module), attribute)
        assert issubclass(kind, Exception)
        assert code in (2, 4)
        assert code_of(kind.__new__(kind)) == code


def test_report_of_what_is_no_run(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "run folder" in capsys.readouterr().err


def run(small: Path, *arguments: object) -> int:
    return main(["run", str(small), *map(str, arguments)])


def test_a_pass_exits_with_0_and_says_so(small, tmp_path, capsys):
    out = tmp_path / "runs" / "a"
    assert run(small, "--out", out) == 0
    printed, err = capsys.readouterr()
    assert printed.startswith("Pass: ")
    assert "smallest margin: " in printed
    assert "not assessed: protection and fault levels" in printed
    assert str(out) in printed
    assert err == ""
    assert json.loads((out / "manifest.json").read_text())["status"] == "finished"


def test_a_fail_exits_with_1_and_names_the_check(small, tmp_path, capsys):
    """Feeder judged against a band it cannot keep."""
    code = run(small, "--out", tmp_path / "a", "--set", "limits.voltage_min_pu=1.09", "--set", "judge=feeder")
    assert code == 1
    printed = capsys.readouterr().out
    assert printed.startswith("Fail: ")
    assert "fail: lowest voltage, without trades, at " in printed
    assert "limit 1.0900 pu" in printed


def test_json_is_one_object_and_nothing_else(small, tmp_path, capsys):
    junit = tmp_path / "sub" / "junit.xml"
    assert run(small, "--out", tmp_path / "a", "--json", "--junit", junit) == 0
    printed, err = capsys.readouterr()
    answer = json.loads(printed)
    assert answer.keys() == {"verdict", "exit_code", "checks", "kpis", "folder"}
    assert (answer["verdict"], answer["exit_code"], answer["folder"]) == ("pass", 0, str(tmp_path / "a"))
    assert answer["kpis"]["intervals_count"] == 6
    assert err == ""
    from xml.etree import ElementTree

    suite = ElementTree.parse(junit).getroot().find("testsuite")
    assert (suite.get("name"), suite.get("failures"), suite.get("errors")) == ("small", "0", "0")
    assert int(suite.get("tests")) == len(answer["checks"])


def test_the_manifest_says_how_to_run_it_again(small, tmp_path, monkeypatch):
    """Its command, read by a shell, gives the same scenario and the same numbers; also for runs from Python."""
    import twin
    from twin.results import RunResult
    from twin.run import rerun_command

    monkeypatch.chdir(tmp_path)
    variants = "\nvariants:\n  main_one: {judged: true}\n  x: {set: {limits.voltage_min_pu: 0.8}}\n  y: {}\n"
    odd = small.with_name("a 'small' one $HOME.yaml")
    odd.write_text(SMALL + variants)
    overrides = [
        "participants.assets=[{kind: ev, share_percent: 50, p_max_w: 5000, arrival_h: 12.2, spread_h: 0.1}]",
        "title=it's a; test",
    ]
    loaded = twin.load_scenario(odd.name, overrides=overrides, seed=11)
    first = twin.run(loaded, tmp_path / "first", variants=["x"])
    command = RunResult(tmp_path / "first" / "variants" / "x").manifest["command"]
    assert command == first.manifest["command"]
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], check=True, capture_output=True, text=True
    ).stdout.split("\0")
    assert words[0] == "twin" and words[-1] == ""
    assert main([*words[1:-1], "--out", "again", "--quiet"]) == first.exit_code
    again = RunResult(tmp_path / "again")
    for key in ("scenario", "scenario_sha256", "seed", "title", "command"):
        assert again.manifest[key] == first.manifest[key], key
    assert again.manifest["title"] == "it's a; test" and again.manifest["seed"] == 11
    assert again.variants == first.variants == ["main_one", "x"]
    assert again.kpis == first.kpis and again.kpis["ev_wh"] > 0
    bench = tmp_path / "my bench.yaml"
    assert rerun_command(loaded, bench, None).endswith(shlex.join(["--seed", "11", "--bench", str(bench)]))


def test_quiet_prints_nothing_and_the_default_folder_tells_name_and_time(
    small, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run(small, "--quiet", "--seed", 8) == 0
    assert capsys.readouterr() == ("", "")
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("small-20")
    assert folder.name.endswith("Z")
    assert json.loads((folder / "manifest.json").read_text())["seed"] == 8


def test_only_our_own_runs_are_ever_replaced(small, tmp_path, capsys):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.docx").write_text("years of work")
    assert run(small, "--out", theirs, "--replace") == 2
    assert [p.name for p in theirs.iterdir()] == ["thesis.docx"]
    out = tmp_path / "a"
    assert run(small, "--out", out) == 0
    assert run(small, "--out", out) == 2
    assert "--replace" in capsys.readouterr().err
    assert run(small, "--out", out, "--replace", "--set", "duration_days=0.03125") == 0
    assert json.loads((out / "kpis.json").read_text())["intervals_count"] == 3


def test_the_public_interface_runs_what_the_command_line_runs(small, tmp_path):
    import twin

    loaded = twin.load_scenario(small, overrides=["duration_days=0.03125"])
    result = twin.run(loaded, tmp_path / "api")
    assert (result.verdict, result.exit_code) == ("pass", 0)
    assert isinstance(result, twin.RunResult)
    with pytest.raises(twin.ScenarioError):
        twin.load_scenario(small.with_name("none.yaml"))
    with pytest.raises(AttributeError, match="nonsense"):
        twin.nonsense  # noqa: B018
    assert set(twin.__all__) <= set(dir(twin))


def test_ctrl_c_in_a_run_leaves_a_readable_folder(small, tmp_path, capsys, monkeypatch):
    """The signal comes while an interval is recorded; a process of its own is stopped in test_trouble (slow)."""
    from twin.commands import run as command
    from twin.progress import SilentProgress
    from twin.results import RunResult

    class Interrupted(SilentProgress):
        def advance(self, done, simulated_time_iso):
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(command, "silent", Interrupted())
    out = tmp_path / "a"
    assert run(small, "--out", out) == 4
    printed, err = capsys.readouterr()
    assert "Traceback" not in err
    assert printed.startswith("Aborted: ")
    assert "SIGINT" in printed
    assert json.loads((out / "manifest.json").read_text())["status"] == "failed"
    assert RunResult(out).table("intervals")["interval"].to_pylist() == [0, 1, 2, 3]
    assert signal.getsignal(signal.SIGINT) == before


def test_feeder_shows_what_was_understood(capsys, tmp_path):
    """Counts as SimBench publishes them for this feeder: 44 buses, 58 loads, 6 PV plants, 4 storages."""
    assert main(["feeder", "simbench:1-LV-semiurb4--2-sw", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["buses"], len(facts["connection_points"])) == (44, 58)
    assert facts["assets"] == {"pv": 6, "battery": 4}
    assert facts["engines_agree"]
    assert main(["feeder", "simbench:1-LV-semiurb4--2-sw", "--names"]) == 0
    printed = capsys.readouterr().out
    assert "44 buses" in printed
    assert printed.count("point: ") == 58


@pytest.mark.parametrize("source", ["simbench:1-LV-suburb4--2-sw", "pandapower:nonsense", "none.json", "x"])
def test_feeders_that_are_none(source, capsys):
    assert main(["feeder", source]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err


def test_a_junit_file_that_cannot_be_is_refused_before_the_run(small, tmp_path, capsys):
    assert run(small, "--out", tmp_path / "a", "--junit", tmp_path) == 2
    assert run(small, "--out", tmp_path / "a", "--junit", small / "x.xml") == 2
    assert capsys.readouterr().err.count("--junit") == 2
    assert not (tmp_path / "a").exists()


def test_a_full_disk_is_no_riddle(small, tmp_path, capsys, monkeypatch):
    import errno

    import twin.scenario.load

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/x")

    monkeypatch.setattr(twin.scenario.load, "load_scenario", full)
    assert main(["check", str(small)]) == 4
    err = capsys.readouterr().err
    assert "No space left on device: 'runs/x'" in err
    assert "nobody expected" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--json"],
        ["run", "s.yaml", "--json", "--seed", "many"],
        ["run", "s.yaml", "--json", "--bogus"],
    ],
)
def test_wrong_arguments_are_one_json_object_too(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    answer = json.loads(capsys.readouterr().out)
    assert stop.value.code == answer["exit_code"] == 2 and answer["error"]


def test_a_run_folder_that_cannot_be_made_is_wrong_input(small, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    assert run(small, "--out", tmp_path / "file" / "run", "--json") == 2
    assert "cannot be made" in json.loads(capsys.readouterr().out)["error"]

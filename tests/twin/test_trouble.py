"""Wrong input: exit 2 before anything runs, a clear text, nothing written. Killed: what is finished can be read."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from adapters.export.run_folder import RunFolder
from twin.cli import main
from twin.results import RunResult
from twin.tables import TABLES

ROOT = Path(__file__).parents[2]
BENCH = """\
bench: b
devices:
  load 0.battery: {driver: emulated, mode: armed, safe: {p_set_w: 0}}
"""


@pytest.fixture
def refused(tmp_path, street_text, write_day_profiles, capsys, monkeypatch):
    """Runs the street with overrides; expects exit 2 and an untouched folder; returns what was said."""
    write_day_profiles(tmp_path / "profiles.csv")
    monkeypatch.chdir(tmp_path)

    def go(change=lambda text: text, files=None, arguments=(), **overrides):
        for name, content in (files or {}).items():
            (tmp_path / name).write_text(content)
        (tmp_path / "s.yaml").write_text(change(street_text(**overrides)))
        before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
        assert main(["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out"), *arguments]) == 2
        assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before, "nothing may be written"
        out, err = capsys.readouterr()
        assert out == "" and "Traceback" not in err
        return err

    return go


CARS = {"kind": "ev", "at": ["load 1"]}


@pytest.mark.parametrize(
    "overrides, expected",
    [
        ({"participants": {"include": []}}, ["s.yaml", "participants.include"]),
        ({"participants": {"include": ["nobody"]}}, ["participants.include", "no such connection point", "nobody"]),
        ({"participants": {"assets": [{**CARS, "at": ["load 99"]}]}}, ["participants.assets[0].at", "load 99"]),
        ({"participants": {"assets": [CARS, CARS]}}, ["participants.assets[1].at", "already has an asset of kind ev"]),
        ({"participants": {"assets": [{"kind": "ev", "count": 14}]}}, ["more assets than free connection points", "at most 13"]),
        ({"grid": {"source": "pandapower:create_kerber_landnetz_freileitung_11"}}, ["grid.source", "nearest: create_kerber_landnetz_freileitung_1"]),
        ({"grid": {"source": "nowhere.json"}}, ["grid.source", "nowhere.json does not exist"]),
        ({"grid": {"source": "pandapower:create_kerber_dorfnetz", "plant": {"tap_pos": 40}}}, ["grid.plant", "40"]),
        ({"profiles": {"source": "grid"}}, ["profiles.source", "no profiles of its own"]),
        ({"profiles": {"source": "none.csv"}}, ["profiles.source", "no such file", "none.csv"]),
        ({"start": "2016-03-01T12:00:00+01:00"}, ["profiles.source", "(03-01 12:00 to 03-01", "fall outside: give a whole year"]),
        ({"duration_days": 5, "profiles": {"repeat_year": False}}, ["profiles.source", "the profiles cover 2016-01-18 00:00:00 to 2016-01-20 00:00:00, the run needs"]),
        ({"substep_s": 180, "profiles": {"source": "odd.csv"}}, ["substep_s", "must be a multiple or a divisor of the profiles' step", "700 s"]),
        ({"start": "2016-01-18T16:00:00"}, ["start", "time zone"]),
        ({"start": "2016-01-18T16:07:00+01:00"}, ["start", "full interval"]),
        ({"market": {"mechanism": "call_auktion"}}, ["market.mechanism", "call_auktion", "call_auction"]),
        ({"market": {"supplier": {"night_price_eur_per_kwh": 0.01}}}, ["night_price_eur_per_kwh", "must not be below", "0.01"]),
        ({"market": {"supplier": {"night_from_h": 24}}}, ["night_from_h", "24"]),
        ({"duration_days": -1}, ["duration_days", "-1"]),
        ({"limits": {"voltage_min_pu": 1.2}}, ["voltage_min_pu", "must be below", "1.2"]),
        ({"coordination": {"mode": "gates"}}, ["coordination.mode", "gates"]),
        ({"devices": {"bench": "none.yaml"}}, ["devices.bench", "no such bench file"]),
    ],
)  # fmt: skip
def test_wrong_scenarios(refused, overrides, expected):
    odd = "time,load:a\n2016-01-18T00:00:00,1\n2016-01-18T00:11:40,1\n"
    said = refused(files={"odd.csv": odd}, **overrides)
    for part in expected:
        assert part in said, said


def test_problems_of_files_are_told_line_by_line(refused):
    bad = "time,load:a,wind:b\n2016-01-18T00:00:00,-1,0\n2016-01-18T00:15:00,,0\n2016-01-18T01:15:00,1,0\n"
    said = refused(files={"bad.csv": bad}, profiles={"source": "bad.csv"})
    for part in (
        "bad.csv: line 4: gap or jump",
        "load:a, line 2: got -1",
        "line 3: got nan",
        "column 'wind:b'",
    ):
        assert part in said


def test_the_same_key_twice(refused):
    assert "seed" in refused(change=lambda text: text + "seed: 8\n")


def test_a_feeder_without_loads(refused, tmp_path):
    said = refused(
        files={"empty.json": net(loads=0)}, grid={"source": "empty.json"}, participants={"assets": []}
    )
    assert "grid.source" in said and "no connection points" in said


def test_a_feeder_that_does_not_converge_at_the_start(refused):
    said = refused(
        files={"heavy.json": net(loads=1, p_mw=500.0)},
        grid={"source": "heavy.json"},
        participants={"assets": []},
    )
    assert "grid.source" in said and "cannot be solved at the start" in said


def net(loads: int, p_mw: float = 0.002) -> str:
    """A transformer and a cable as a pandapower JSON file."""
    import pandapower as pp

    made = pp.create_empty_network()
    high, low, end = (pp.create_bus(made, v) for v in (20.0, 0.4, 0.4))
    pp.create_ext_grid(made, high)
    pp.create_transformer(made, high, low, "0.25 MVA 20/0.4 kV")
    pp.create_line(made, low, end, 0.2, "NAYY 4x150 SE")
    for i in range(loads):
        pp.create_load(made, end, p_mw, name=f"house {i}")
    return pp.to_json(made)


@pytest.mark.parametrize(
    "bench, expected",
    [
        (BENCH.replace("load 0", "load 12"), ["load 12.battery"]),
        (BENCH + BENCH.split("devices:\n")[1], ["load 0.battery", "twice"]),
        (BENCH.replace("mode: armed", "mode: loaded"), ["mode", "loaded"]),
        (BENCH.replace("safe:", "price: 3, safe:"), ["price"]),
    ],
)
def test_wrong_benches(refused, bench, expected):
    said = refused(files={"bench.yaml": bench}, devices={"bench": "bench.yaml"})
    for part in ("bench.yaml", *expected):
        assert part in said, said


def test_a_port_that_is_taken(refused):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused(
            files={"bench.yaml": BENCH.replace("safe:", f"emulated: {{port: {port}}}, safe:")},
            devices={"bench": "bench.yaml"},
        )
    assert str(port) in said and "is taken" in said


def test_a_folder_that_exists(refused, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("years of work")
    assert "out" in refused() and (tmp_path / "out" / "thesis.docx").read_text() == "years of work"


def test_all_problems_at_once(refused):
    """What only the feeder shows is collected over all sections."""
    said = refused(
        participants={
            "include": ["nobody"],
            "assets": [{**CARS, "at": ["ghost"]}, {"kind": "pv", "at": ["shade"], "profile": "z"}],
        },
        devices={"bench": "none.yaml"},
    )
    for part in ("nobody", "assets[0].at", "assets[1].at", "assets[1].profile", "no such bench file"):
        assert part in said


KILLED = """
import os, signal, sys
from pathlib import Path
import twin
from adapters.export.run_folder import RunFolder
from twin.progress import SilentProgress

class Killed(SilentProgress):
    def advance(self, done, simulated_time_iso):
        if done == 100:
            os.kill(os.getpid(), signal.SIGKILL)

RunFolder.__init__.__kwdefaults__.update(flush_rows=24, max_age_s=1e9)  # parts end where we say, not by the clock
twin.run(twin.load_scenario(sys.argv[1]), Path(sys.argv[2]), progress=Killed())
"""


def test_what_a_killed_run_finished_can_be_read(tmp_path, street_text, write_day_profiles):
    """A real process, a real SIGKILL after interval 99, when parts of 24 intervals at least were handed to the writer."""
    write_day_profiles(tmp_path / "profiles.csv")
    scenario, out = tmp_path / "s.yaml", tmp_path / "out"
    scenario.write_text(street_text(duration_days=1.25, participants={"assets": []}))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(scenario), str(out)],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    result = RunResult(out)
    assert result.manifest["status"] == "running"
    assert (result.verdict, result.exit_code) == ("aborted", 4)
    intervals = result.table("intervals")["interval"].to_pylist()
    assert intervals == list(range(len(intervals)))
    assert 24 <= len(intervals) <= 100, "at most the last flush is lost: it may be on its way"
    people = result.table("participants")["interval"].to_pylist()
    assert set(people) >= set(intervals) and len(people) % 13 == 0
    assert result.table("grid_states").num_rows >= len(intervals)
    assert result.table("feeder_buses").num_rows == 15
    again = ["run", str(scenario), "--out", str(out), "--set", "duration_days=0.25", "--quiet"]
    assert main(again) == 2
    assert main([*again, "--replace"]) == 0


ALWAYS_DUE = "RunFolder.due = lambda folder: True  # every interval takes longer than rows may wait"
KILLED_EARLY = KILLED.replace("done == 100", "done == 16").replace(
    "RunFolder.__init__", f"{ALWAYS_DUE}\nRunFolder.__init__"
)


@pytest.mark.slow
def test_a_slow_run_that_is_killed_within_its_first_block_has_its_intervals(
    tmp_path, street_text, write_day_profiles
):
    """As if every interval took longer than rows may wait: a real SIGKILL after interval 15, of blocks of 24."""
    write_day_profiles(tmp_path / "profiles.csv")
    scenario, out = tmp_path / "s.yaml", tmp_path / "out"
    scenario.write_text(street_text(duration_days=1, participants={"assets": []}))
    done = subprocess.run(
        [sys.executable, "-c", KILLED_EARLY, str(scenario), str(out)],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    result = RunResult(out)
    intervals = result.table("intervals")["interval"].to_pylist()
    assert intervals in (list(range(15)), list(range(16))), "at most the one that was on its way is lost"
    people = result.table("participants")["interval"].to_pylist()
    assert [people.count(k) for k in intervals] == [13] * len(intervals)
    assert result.table("grid_states")["interval"].to_pylist()[: len(intervals)] == intervals


def test_when_rows_are_flushed_changes_nothing_of_what_is_written(run_street, monkeypatch):
    """Sums are over the same blocks, and every row is written once, whether a flush falls due within a block or not."""
    keys = {"duration_days": 30 / 96, "start": "2016-01-18T14:00:00+01:00"}
    keys |= {"market": {"mechanism": "call_auction", "shadow": ["mid_market_rate"]}}
    whole = run_street(**keys)
    monkeypatch.setattr(RunFolder, "due", lambda folder: True)
    torn = run_street(**keys)
    assert (whole.folder / "kpis.json").read_bytes() == (torn.folder / "kpis.json").read_bytes()
    for table in set(TABLES) - {"intervals"}:  # which holds wall-clock times
        name = f"{table}.parquet"
        assert (whole.folder / name).read_bytes() == (torn.folder / name).read_bytes(), table
    assert torn.table("intervals")["interval"].to_pylist() == list(range(30))
    assert torn.table("mechanisms").num_rows == 60


def start_long_run(folder: Path, text: str) -> subprocess.Popen:
    """A run of 300 days in a process of its own; returns when its first part is on the disk."""
    (folder / "s.yaml").write_text(text)
    command = [sys.executable, "-m", "twin", "run", str(folder / "s.yaml"), "--out", str(folder / "out")]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    deadline = time.monotonic() + 150
    while not list((folder / "out").glob("intervals.parts/part-*.parquet")):
        if time.monotonic() > deadline or process.poll() is not None:
            process.kill()
            pytest.fail(f"no part was written: {process.communicate()}")
        time.sleep(0.05)
    return process


@pytest.fixture
def long_text(tmp_path, street_text):
    day = datetime(2016, 1, 1)
    rows = (f"{datetime.fromtimestamp(day.timestamp() + 3600 * n).isoformat()},0.05" for n in range(366 * 24))
    (tmp_path / "profiles.csv").write_text("time,load:a\n" + "\n".join(rows) + "\n")
    return street_text(duration_days=300, participants={"assets": []})


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_cleanly(tmp_path, long_text, number):
    with start_long_run(tmp_path, long_text) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 4
    assert "Traceback" not in err and "Task" not in err and "asyncio" not in err and "Exception" not in err
    assert signal.Signals(number).name in out
    result = RunResult(tmp_path / "out")
    assert (result.manifest["status"], result.verdict) == ("failed", "aborted")
    intervals = result.table("intervals")["interval"].to_pylist()
    assert intervals and intervals == list(range(len(intervals)))


def test_a_house_named_like_an_account_is_refused(refused, tmp_path):
    import pandapower
    from pandapower import networks

    net = networks.create_kerber_dorfnetz()
    net.load.loc[0, "name"] = "pool"
    pandapower.to_json(net, str(tmp_path / "net.json"))
    said = refused(grid={"source": "net.json"})
    assert "name of an account" in said and "pool" in said

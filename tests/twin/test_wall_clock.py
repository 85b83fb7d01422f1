"""Wall-clock time in a run: nothing begins before its moment, the step reads what was polled, and overruns are told."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.chain.factory import open_chain
from adapters.export.run_folder import RunFolder
from rigs.emulator.config import EmulatorConfig
from rigs.journal import read_journal, replay
from rigs.pacer import Pacer
from twin.bench_run import LOG, open_run_bench, pacer_record, time_check
from twin.chronicle import StopRequest
from twin.cli import main
from twin.organs import build
from twin.prepare import prepare
from twin.progress import silent
from twin.scenario.load import load_scenario
from twin.scenario.problems import ScenarioError
from twin.tables import TABLES
from twin.world import run_world

STEPS = 10
BENCH = """\
bench: wall
features: [battery, pv]
devices:
  load 0.battery: {driver: emulated, mode: armed, poll_s: 0.05, reversion_s: 30, safe_after_s: 1000}
  load 3.pv: {driver: emulated, mode: armed, poll_s: 0.05, reversion_s: 30, safe_after_s: 1000}
"""


@pytest.fixture
def street(tmp_path, street_text, write_day_profiles):
    """Writes the street with a bench; returns the scenario's path."""
    write_day_profiles(tmp_path / "profiles.csv")

    def write(bench: str = BENCH, **overrides) -> Path:
        (tmp_path / "bench.yaml").write_text(bench)
        devices = {"bench": "bench.yaml", "time": "wall_clock"} | overrides.pop("devices", {})
        path = tmp_path / "s.yaml"
        path.write_text(street_text(devices=devices, **overrides))
        return path

    return write


def test_steps_are_paced_and_read_what_was_polled(street, tmp_path) -> None:
    """Compressed: a quarter of an hour of the scenario takes 0.1 s of the wall, devices on wall-clock time."""
    (run,) = prepare(load_scenario(street(start="2016-01-18T11:00:00+01:00"))).runs.values()
    folder = RunFolder.create(tmp_path / "out", {}, schemas=TABLES)
    with open_run_bench(run, folder.path, {}) as bench:
        organs = build(run, folder, open_chain("none", market_id="x", start_s=0), bench)
        assert organs.pacer.step_s == 900
        organs.pacer = Pacer(0.1, time.perf_counter)
        began_s = time.perf_counter()
        run_world(organs.world(silent, StopRequest()), 900, 900, STEPS * 900)
        took_s = time.perf_counter() - began_s
        records = organs.device_records()
    assert took_s >= (STEPS - 1) * 0.1, "the last step may not begin before its moment"
    assert organs.recorder.last_interval == STEPS - 1
    assert records["pacer"]["steps"] == STEPS
    assert records["pacer"]["median_offset_s"] >= 0, "how late, never early"
    for role in records["roles"]:
        assert role["timing"]["polls"] >= 2
        assert role["timing"]["worst_age_s"] > 0
        assert role["wire_samples"] == STEPS


def test_a_step_that_began_too_late_holds_and_is_told(street, tmp_path) -> None:
    """A clock that jumps by two steps: the world passes it on, the devices hold, the check is inconclusive."""
    (run,) = prepare(load_scenario(street(devices={"bench": None}))).runs.values()
    folder = RunFolder.create(tmp_path / "out", {}, schemas=TABLES)
    organs = build(run, folder, open_chain("none", market_id="x", start_s=0), None)
    now_s = [0.0]

    def nap(seconds: float) -> None:
        now_s[0] += seconds

    async def sleep(seconds: float) -> None:
        nap(seconds)

    organs.pacer = Pacer(900.0, lambda: now_s[0], sleep, nap)
    held = []
    step = organs.devices.step

    def watched(k, decided, v_pu, hold):
        held.append(hold)
        if k == 4:
            now_s[0] += 2.5 * 900
        return step(k, decided, v_pu, hold)

    organs.devices.step = watched
    run_world(organs.world(silent, StopRequest()), 900, 900, 10 * 900)
    assert organs.pacer.overruns == sum(held) >= 1
    assert not any(held[:5])
    (check,) = time_check(organs.pacer, None)
    assert (check.name, check.verdict) == ("wall_clock", "inconclusive")
    assert "began more than a step late" in check.detail


def test_a_device_that_was_made_safe_makes_the_run_inconclusive() -> None:
    pacer = Pacer(1.0, lambda: 0.0)
    asyncio.run(pacer.wait(0))
    timing = SimpleNamespace(made_safe="made safe: no answer for 15 s", missed_polls=3)
    bench = SimpleNamespace(timing=lambda: {"h.pv": timing})
    (check,) = time_check(pacer, bench)
    assert (check.verdict, check.count) == ("inconclusive", 1)
    assert "h.pv was made safe: no answer for 15 s" in check.detail
    assert time_check(pacer, None)[0].verdict == "pass"
    assert time_check(None, None) == []
    assert pacer_record(pacer)["overruns"] == 0


REAL = """\
bench: real
devices:
  load 0.battery:
    driver: modbus
    mode: shadow
    host: 127.0.0.1
    port: {port}
    poll_s: 0.05
    limits: {{p_gen_w: [-8000, 8000]}}
    reversion_s: 30
    identity: {{maker: p2p-grid-twin, model: "", serial: "7"}}
"""


def test_real_devices_and_wrong_arming_are_refused_all_at_once(street) -> None:
    path = street(REAL.format(port=502).replace("shadow", "observe"), devices={"time": "simulated"})
    with pytest.raises(ScenarioError) as caught:
        prepare(load_scenario(path), None, {"load 0.battery": 60, "load 9.pv": 60})
    text = str(caught.value)
    assert "load 9.pv: the bench has no such role; real devices: load 0.battery" in text
    assert "arming needs mode: shadow in the bench; got observe" in text
    with pytest.raises(ScenarioError, match="is a real device, which cannot run in simulated time"):
        prepare(load_scenario(path))
    emulated = street()
    with pytest.raises(ScenarioError, match="only a real device is armed for a time"):
        prepare(load_scenario(emulated), None, {"load 3.pv": 60})
    with pytest.raises(ScenarioError, match="--arm needs a bench"):
        prepare(load_scenario(street(devices={"bench": None})), None, {"load 3.pv": 60})


def test_check_asks_real_devices_unless_they_are_out_of_reach(street, capsys) -> None:
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        path = street(REAL.format(port=taken.getsockname()[1]), interval_s=60, substep_s=1)
        assert main(["check", str(path)]) == 2
        assert "load 0.battery: tcp://127.0.0.1:" in capsys.readouterr().err
        assert main(["check", str(path), "--offline"]) == 0


def test_arming_is_a_role_with_a_time(street, capsys) -> None:
    words = ["--arm", "load 0.battery", "--arm", "=5", "--arm", "a.b=-3", "--arm", "a.b=x"]
    assert main(["run", str(street()), *words]) == 2
    assert capsys.readouterr().err.count(": give ROLE=SECONDS, for example") == 4


@pytest.fixture
def inverter(tmp_path):
    """A battery inverter in a process and on a port of its own, as a lab has one: it knows nothing of the harness."""
    config = EmulatorConfig("lab", "battery", 8000.0, 20000.0, 0.9, serial="7", clock="wall")
    (tmp_path / "device.json").write_text(json.dumps(config.as_dict()))
    command = [sys.executable, "-m", "rigs.emulator", "--config", str(tmp_path / "device.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as device:
        assert device.stdout is not None
        yield json.loads(device.stdout.readline())["port"]
        device.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("armed", [False, True])
def test_a_real_device_is_written_to_only_when_a_person_arms_it(
    street, inverter, tmp_path, monkeypatch, capsys, armed
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = street(
        REAL.format(port=inverter), interval_s=60, substep_s=1, duration_days=1 / 1440,
        start="2016-01-18T17:00:00+01:00",
    )  # fmt: skip
    words = ["--arm", "load 0.battery=120"] if armed else []
    code = main(["run", str(path), "--out", str(tmp_path / "out"), "--json", *words])
    answer = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check["verdict"] for check in answer["checks"]}
    assert checks["wall_clock"] == "pass" and checks["device_data"] == "pass", (code, answer)
    log = tmp_path / "out" / LOG
    entries = list(read_journal(log))
    sent = [
        bytes.fromhex(e["content"]["hex"])[7]
        for e in entries
        if e["kind"] == "frame" and e["content"]["sent"]
    ]
    outcomes = {e["content"]["outcome"] for e in entries if e["kind"] == "decision"}
    assert set(sent) == ({3, 16} if armed else {3}), "function 16 writes; nothing else may leave unarmed"
    assert ("sent" in outcomes) is armed and ("shadow" in outcomes) is not armed
    assert any(e["kind"] == "proof" for e in entries) is armed
    result = replay(log)
    assert result.readings > 50 and not result.differences


def test_nobody_at_the_address_is_told_by_check_and_run_with_all_else_and_nothing_is_left_behind(
    street, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = street(REAL.format(port=port), devices={"requires": ["nuclear"]}, interval_s=60, substep_s=1)
    for words in (["check", str(path)], ["run", str(path), "--out", str(tmp_path / "out")]):
        assert main(words) == 2
        told = capsys.readouterr().err
        assert f"bench.yaml: devices.load 0.battery: tcp://127.0.0.1:{port}" in told
        assert "does not offer it" in told, "with all else that is wrong"
    assert not (tmp_path / "out").exists()


def test_a_step_as_long_as_the_time_to_the_safe_state_is_refused(street, capsys) -> None:
    """Every device would be made safe within every step, and its orders never followed."""
    slow = BENCH.replace("safe_after_s: 1000", "safe_after_s: 900", 1)
    assert main(["check", str(street(slow))]) == 2
    told = capsys.readouterr().err
    assert "'load 0.battery' would be made safe within every step of 900 s" in told
    assert (
        "safe_after_s: 900" in told
        and "Raise safe_after_s in the bench, or shorten the step with substep_s." in told
    )
    assert "load 3.pv" not in told
    assert main(["check", str(street(slow, substep_s=450))]) == 0
    assert main(["check", str(street(slow, devices={"time": "simulated"}))]) == 0, (
        "simulated time has no stale orders"
    )

"""``twin rig`` from the outside: emulated devices served by one process, tried by the other commands."""

import hashlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigs.bench_file import load_bench, nameplate_roles
from rigs.cli import main
from rigs.conformance import Where
from rigs.gate_rules import GateMemory
from rigs.scan import ScanResult, scan

BENCHES = Path(__file__).parents[2] / "scenarios" / "benches"


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, int]]:
    code = "import sys; from rigs.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "emulate", str(BENCHES / "desk.yaml")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ports = {}
    with process.stdout:
        for line in process.stdout:
            if found := re.match(r"(\w+): .* 127\.0\.0\.1:(\d+), unit 1", line):
                ports[found[1]] = int(found[2])
            if line.startswith("serving"):
                break
        yield ports
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_scan_shows_models_and_values(served, capsys) -> None:
    assert main(["scan", f"127.0.0.1:{served['battery']}"]) == 0
    text = capsys.readouterr().out
    assert "unit 1: p2p-grid-twin emulated battery" in text
    assert re.search(r"704\s+\d+\s+67\s+DERCtlAC", text)
    assert "713.SoC = 50" in text
    (found,) = scan(Where("127.0.0.1", served["pv"]), (1,))
    assert isinstance(found, ScanResult)
    assert [m.model_id for m in found.models] == [1, 103, 120, 121, 123, *range(701, 713), 715]


def test_a_unit_that_is_not_there_is_said_so(served, capsys) -> None:
    assert main(["scan", f"127.0.0.1:{served['pv']}", "--units", "7"]) == 1
    assert "unit 7: no such unit, says the gateway" in capsys.readouterr().out


def test_a_device_without_sunspec_is_read_by_its_map(served, capsys) -> None:
    where = f"127.0.0.1:{served['wallbox']}"
    assert main(["scan", where]) == 1
    assert "answers, but has no SunSpec map" in capsys.readouterr().out
    assert main(["scan", where, "--map", "keba_p30"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"1110\s+SupportedCurrent\s+15\.942 A", text)
    assert main(["scan", where, "--map", "stiebel_isg"]) == 1
    assert re.search(r"4001\s+SgReadyInput1\s+refused \(2\)", capsys.readouterr().out)


def test_the_public_list_writes_nothing_without_leave(served, capsys) -> None:
    assert main(["conformance", f"127.0.0.1:{served['pv']}"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"TCP-3\s+pass", text)
    assert re.search(
        r"MOD-3\s+not applicable\s+point write: writes; allow it with --write --arm SECONDS", text
    )


@pytest.mark.slow
def test_our_own_devices_pass_the_public_list_on_their_own_clocks(
    served, capsys, tmp_path, monkeypatch
) -> None:
    """A second proof of ``test_conformance``: in processes, and with real reversion times."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name, unfit in (("battery", 3), ("pv", 3), ("meter", 10)):
        serial = hashlib.sha256(name.encode()).hexdigest()[:16]
        words = ["--write", "--arm", "300", "--serial", serial]
        assert main(["conformance", f"127.0.0.1:{served[name]}", *words]) == 0
        text = capsys.readouterr().out
        assert len(re.findall(r"^[A-Z]+-\d  pass", text, re.M)) == 17 - unfit, text


def test_check_tries_every_device_of_the_desk(capsys) -> None:
    assert main(["check", str(BENCHES / "desk.yaml")]) == 0
    text = capsys.readouterr().out
    for line in ("ok   battery: sign: asked 500 W", "ok   pv: sign: asked 800 W", "ok   wallbox: sign: asked -4140 W",
                 "ok   battery: reversion: ran out once", "ok   pv: round trip: 800 W written and read back",
                 "ok   wallbox: safe state: 0 W written and read back, measured ", "ok   meter: reading:",
                 "--   meter: reversion, round trip, sign, safe state: mode observe writes nothing",
                 "ok   ac_source: round trip: nominal voltage", "ok   bench: tear-down"):  # fmt: skip
        assert line in text, text


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["scan", "127.0.0.1:x"], "port must be a number"),
        (["scan", "127.0.0.1:1", "--units", "a"], "give numbers and ranges"),
        (["scan", "127.0.0.1:1", "--units", "9-3"], "9-3 is no range of unit ids"),
        (["scan", "127.0.0.1:1", "--units", "256"], "256 is no range of unit ids, 0 to 255"),
        (["scan", "127.0.0.1:65536"], "a number from 1 to 65535"),
        (["scan", ":502"], "give HOST or HOST:PORT"),
        (["scan", "127.0.0.1:1", "--map", "nix"], "no such map or file; shipped: eastron_sdm630, keba_p30"),
        (["conformance", "127.0.0.1:1", "--unit", "256"], "a unit id is 0 to 255"),
        (["scan", "/dev/nix"], "rtu:///dev/nix: (cannot connect|no connection)"),
        (["scan", "127.0.0.1:1"], "cannot connect|no connection"),
        (["emulate", str(BENCHES / "demo.yaml")], "must say kind and p_max_w"),
        (["check", "nowhere.yaml"], "cannot be read"),
        (
            ["check", str(BENCHES / "desk.yaml"), "--arm", "a", "--arm", "b=-1"],
            "--arm a: give ROLE=SECONDS.*\n--arm b=-1",
        ),
        (
            ["check", str(BENCHES / "desk.yaml"), "--arm", "battery=9"],
            "only a real device is armed for a time",
        ),
        (["replay", "nowhere.jsonl"], "No such file"),
        (["reset", "nobody", "role"], "is not latched"),
    ],
)
def test_wrong_input_is_exit_2_with_one_clear_line(argv, text, capsys) -> None:
    assert main(argv) == 2
    assert re.search(text, capsys.readouterr().err)


def test_a_latch_is_reset_by_a_person(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = tmp_path / "p2p-grid-twin" / "rigs" / "roles" / "lab.house_1.battery.json"
    GateMemory(lambda: "", path).set_latch("9999 W lies outside")
    assert main(["reset", "lab", "house_1.battery"]) == 0
    assert "9999 W lies outside" in capsys.readouterr().out
    assert GateMemory(lambda: "", path).latch == ""


@pytest.mark.parametrize("name", ["desk.yaml", "lab.yaml"])
def test_shipped_benches_are_correct_in_themselves(name) -> None:
    path = BENCHES / name
    bench = load_bench(path, nameplate_roles(path))
    assert all(d.mode != "armed" for d in bench.devices.values() if d.driver == "modbus")


def test_a_heat_pump_is_emulated_for_others_and_needs_a_meter_to_serve_a_role(tmp_path, capsys) -> None:
    path = tmp_path / "warm.yaml"
    path.write_text(
        "bench: warm\ndevices:\n  hp: {driver: emulated, nameplate: {kind: heat_pump, p_max_w: 3000}}\n"
    )
    assert main(["check", str(path)]) == 2
    assert "it needs 'heat_meter', a meter of its own" in capsys.readouterr().err
    code = "import sys; from rigs.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", code, "emulate", str(path)], stdout=subprocess.PIPE, text=True
    ) as told:
        assert told.stdout is not None
        try:
            found = re.match(
                r"hp: heat_pump of 3000 W at tcp (127\.0\.0\.1:\d+), unit 1", told.stdout.readline()
            )
            assert found
            assert main(["scan", found[1], "--map", "stiebel_isg"]) == 0
        finally:
            told.send_signal(signal.SIGTERM)
    assert re.search(r"5000\s+SgReadyState\s+2", capsys.readouterr().out)
    assert told.returncode == 0

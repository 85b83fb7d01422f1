"""``twin rig`` from the outside: emulated devices served by one process, tried by the other commands."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigs.bench_file import load_bench, nameplate_roles
from rigs.cli import main
from rigs.conformance import conformance
from rigs.gate_rules import GateMemory
from rigs.scan import scan

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
    (found,) = scan("127.0.0.1", served["pv"], (1,))
    assert [m.model_id for m in found.models] == [1, 103, 120, 121, 123, *range(701, 713), 715]


def test_a_unit_that_is_not_there_is_said_so(served, capsys) -> None:
    assert main(["scan", f"127.0.0.1:{served['pv']}", "--units", "7"]) == 1
    assert "no SunSpec device answered" in capsys.readouterr().out


def test_our_own_devices_pass_the_public_list(served, capsys) -> None:
    for name in ("battery", "pv", "meter"):
        results = {r.name: r for r in conformance("127.0.0.1", served[name])}
        assert not [r for r in results.values() if r.verdict == "fail"]
        assert results["TCP-3"].verdict == "pass"
        assert results["MOD-3"].verdict == "not applicable"  # it writes, and nobody allowed that
    assert main(["conformance", f"127.0.0.1:{served['battery']}", "--write"]) == 0
    text = capsys.readouterr().out
    for name in ("REV-1", "CRV-1", "CRV-2", "CRV-3"):
        assert re.search(rf"{name}\s+pass", text), text


def test_the_list_finds_what_is_wrong() -> None:
    """pymodbus' server loses the second of two requests in a segment: TCP-3 must see it."""
    import asyncio
    import threading

    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    from rigs.emulator.__main__ import build
    from rigs.emulator.config import EmulatorConfig

    data = build(EmulatorConfig("x", "meter", 20000.0, model="m", serial="1")).image.data
    words = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
    loop, ready = asyncio.new_event_loop(), threading.Event()
    made: list[ModbusTcpServer] = []

    async def start() -> None:
        registers = SimData(40000, values=words, datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(id=1, simdata=[registers]), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        made.append(server)
        ready.set()

    thread = threading.Thread(target=lambda: (loop.run_until_complete(start()), loop.run_forever()))
    thread.start()
    try:
        assert ready.wait(10)
        port = made[0].transport.sockets[0].getsockname()[1]
        results = {r.name: r.verdict for r in conformance("127.0.0.1", port)}
        assert results["DEV-1"] == "pass"
        assert results["TCP-3"] == "fail"
    finally:
        asyncio.run_coroutine_threadsafe(made[0].shutdown(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_check_tries_every_device_of_the_desk(capsys) -> None:
    assert main(["check", str(BENCHES / "desk.yaml")]) == 0
    text = capsys.readouterr().out
    for line in ("ok   battery: sign: asked 500 W", "ok   pv: sign: asked 800 W", "ok   wallbox: sign: asked -11000 W",
                 "--   meter: sign: mode observe", "ok   bench: safe state"):  # fmt: skip
        assert line in text, text


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["scan", "127.0.0.1:x"], "port must be a number"),
        (["scan", "127.0.0.1:1", "--units", "a"], "give numbers and ranges"),
        (["scan", "127.0.0.1:1"], "cannot connect|no connection"),
        (["emulate", str(BENCHES / "demo.yaml")], "must say kind and p_max_w"),
        (["check", "nowhere.yaml"], "cannot be read"),
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

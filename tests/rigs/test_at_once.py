"""A step in one exchange against the ordinary way, frame by frame: the same samples and decisions, and closed to others."""

import socket
import struct

import pytest

from adapters.modbus.lean_tcp import read_request
from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.emulator import lockstep
from rigs.errors import EmulatorError
from rigs.open_bench import open_bench

BATTERY = RoleSpec("house_1.battery", "battery", 5000.0, 10000.0, 0.5, 0.95)
PV = RoleSpec("house_2.pv", "pv_inverter", 8000.0)
ROLES = (BATTERY, PV)
RULES = "deadband_w: 50"
ORDERS_W = (
    3000,
    3040,
    3000,
    3000,
    3000,
    -5000,
    -5000,
    4999.9,
    6000,
    100,
)  # deadband, refresh, window, rounding, breach


def run(path, record=None):
    with open_bench(path, ROLES, record=record) as bench:
        bench.log.entries.clear()
        rows = []
        for k, p_w in enumerate(ORDERS_W):
            commands = {BATTERY.role: Command(p_w), PV.role: Command(4000 + k)}
            rows.append(bench.step(900 * k, 900, commands, {PV.role: Ambient(500.0 * k, 1.0 + 0.01 * k)}))
        decisions = [str(entry) for entry in bench.journal if entry[0] == "decision"]
        quick = [device._at_once is not None for device in bench._wired.values()]
        return rows, sorted(decisions), quick


def test_both_ways_give_the_same_samples_and_decisions(write_bench, bench_text, tmp_path) -> None:
    path = write_bench(bench_text(extra=RULES))
    quick, ordinary = run(path), run(path, tmp_path / "log")  # what is recorded goes frame by frame
    assert (quick[2], ordinary[2]) == ([True, True], [False, False])
    assert repr(quick[0]) == repr(ordinary[0])
    assert quick[1] == ordinary[1]
    told = " ".join(quick[1])
    assert all(word in told for word in ("'sent'", "'held'", "deadband of 50", "'rejected'", "latched"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "bench.yaml"
    path.write_text(f"bench: one\ndevices:\n  {BATTERY.role}: {{driver: emulated, mode: armed}}\n")
    with open_bench(path, (BATTERY,)) as opened:
        yield opened


def test_only_the_harness_moves_time(bench) -> None:
    """To any other connection the function is unknown: exception 1, and not a second passes."""
    device = bench._wired[BATTERY.role]
    before = bench.inject(BATTERY.role, "truth")
    pdu = lockstep.order(900.0, 0.0, 1.0)
    with socket.create_connection(device.endpoint[:2], timeout=30) as other:
        other.sendall(struct.pack(">HHHB", 7, 0, 1 + len(pdu), 1) + pdu)
        assert other.recv(100) == bytes.fromhex("0007 0000 0003 01 c1 01")
    assert bench.inject(BATTERY.role, "truth") == before


def test_answers_come_in_order_with_a_refusal_among_them(bench) -> None:
    device = bench._wired[BATTERY.role]
    pdus = [read_request(40000, 2), read_request(9, 1), read_request(40002, 1)]
    answers = bench._run(device._port.exchange(1, pdus))
    assert [a[7] for a in answers] == [3, 0x83, 3]
    assert (answers[0][9:], answers[1][8], answers[2][9:]) == (b"SunS", 2, b"\0\1")


def test_a_write_that_the_device_does_not_take_is_unknown_and_time_still_passes(bench) -> None:
    """Beyond WMaxRtg the device refuses the set point; what the harness believes is then nothing."""
    device = bench._wired[BATTERY.role]

    def step(p_w: float):
        return bench.step(device_s(), 900, {BATTERY.role: Command(p_w)}, {})[BATTERY.role]

    def device_s() -> float:
        return bench.inject(BATTERY.role, "truth")["now_s"]

    assert step(1000.0).quality is Quality.GOOD
    before_s = device_s()
    gate = device.gate
    gate.rules = type(gate.rules)(**{**gate.rules.__dict__, "p_gen_w": (-9000.0, 9000.0)})
    sample = step(6000.0)
    assert sample.quality is Quality.BAD
    assert "unknown" in sample.note
    assert "refused with 3" in sample.note
    assert (device_s() - before_s, gate._prepared) == (900.0, False)
    assert step(500.0).p_gen_w == pytest.approx(500.0, abs=2)


def test_a_device_that_dies_ends_the_run_and_nothing_is_made_up(tmp_path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(f"bench: one\ndevices:\n  {BATTERY.role}: {{driver: emulated, mode: observe}}\n")
    with (
        pytest.raises(EmulatorError, match=r"house_1\.battery: the emulated device ended"),
        open_bench(path, (BATTERY,)) as opened,
    ):
        process = opened._wired[BATTERY.role].emulator.process
        process.kill()
        process.wait()
        opened.step(0, 900, {}, {})

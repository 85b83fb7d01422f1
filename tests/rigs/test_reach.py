"""Who answers at a bench's addresses is known before anything is written: every trouble at once, and no write frame."""

import signal
import socket
import subprocess
import sys

import pytest

from rigs.device import RoleSpec
from rigs.errors import RigError
from rigs.open_bench import default_state, open_bench
from rigs.reach import reach
from rigs.rig_lock import RigLock
from rigs.stop import stop

ROLES = tuple(RoleSpec(f"{name}.battery", "battery", 5000.0, 10000.0, 0.5) for name in "abcd")
DEVICE = """\
  {role}:
    driver: modbus
    mode: shadow
    host: {host}
    port: {port}
    timing: {{timeout_s: 2}}
    limits: {{p_gen_w: [-2000, 2000]}}
    reversion_s: 60
    identity: {{maker: p2p-grid-twin, model: m, serial: "{serial}"}}
"""


@pytest.fixture(autouse=True)
def state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def nobody() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def bench(write_bench, *devices: tuple[int, str], head: str = "", host: str = "127.0.0.1"):
    text = "".join(
        DEVICE.format(role=spec.role, host=host, port=port, serial=serial)
        for spec, (port, serial) in zip(ROLES, devices, strict=False)
    )
    return write_bench(f"bench: lab\n{head}devices:\n{text}"), ROLES[: len(devices)]


def test_a_wrong_device_a_refusing_host_and_a_dead_interlock_are_told_together(serve, write_bench) -> None:
    right, other = serve(), serve()
    gone = nobody()
    head = f"interlock: {{driver: modbus, host: 127.0.0.1, port: {gone}}}\n"
    path, roles = bench(write_bench, (right.port, "1"), (other.port, "2"), (gone, "3"), head=head)
    problems = reach(path, roles)
    assert len(problems) == 3, problems
    assert (
        "unit 1 is p2p-grid-twin m 1, the bench names p2p-grid-twin m 2; nothing was written" in problems[0]
    )
    assert problems[1].startswith(f"bench.yaml: devices.c.battery: tcp://127.0.0.1:{gone}: ")
    assert problems[2].startswith("bench.yaml: interlock: the interlock cannot be read: ")
    assert right.frames and right.written() == other.written() == []


def test_all_is_well_where_all_answer(serve, write_bench) -> None:
    path, roles = bench(write_bench, (serve().port, "1"))
    assert reach(path, roles) == []


def test_a_rig_that_another_harness_has_is_left_alone(serve, write_bench) -> None:
    served = serve()
    path, roles = bench(write_bench, (served.port, "1"))
    lock = RigLock(default_state() / "locks", ("127.0.0.1", served.port, 0), "ann, process 1")
    try:
        (problem,) = reach(path, roles)
        assert "is held by ann, process 1" in problem
        assert served.frames == []
    finally:
        lock.release()


def test_emulated_and_modelled_devices_are_not_asked(write_bench, bench_text) -> None:
    path = write_bench("bench: x\ndevices:\n  a.battery: {driver: emulated}\n  b.battery: {driver: memory}\n")
    assert reach(path, ROLES[:2]) == []


def test_while_one_device_is_the_wrong_one_none_is_written_to(serve, write_bench) -> None:
    """Not even the proof of the right one's timer, nor its safe value on the way out."""
    right, other = serve(), serve()
    path, roles = bench(write_bench, (right.port, "1"), (other.port, "2"))
    with pytest.raises(RigError, match="the bench names p2p-grid-twin m 2; nothing was written"):
        open_bench(path, roles, arm={spec.role: 60.0 for spec in roles})
    assert right.frames and right.written() == other.written() == []


OPENING = """
import asyncio, os, signal, sys
from pathlib import Path
from rigs.device import RoleSpec
from rigs.open_bench import open_bench
from rigs.wire import WireDevice

async def prove(device):
    device.touched = True
    await device.gate.writer.write(704, {"WSetMod": 1, "WSet": 900, "WSetEna": 1})
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(30)

WireDevice.prove = prove
role = RoleSpec("a.battery", "battery", 5000.0, 10000.0, 0.5)
open_bench(Path(sys.argv[1]), [role], arm={role.role: 60.0})
"""


def test_a_signal_while_a_bench_is_opened_makes_safe_what_was_written_to(serve, write_bench) -> None:
    """Killed in the middle of the proof of a timer, with a set point in force; in a process of its own."""
    served = serve()
    path, _ = bench(write_bench, (served.port, "1"))
    done = subprocess.run(
        [sys.executable, "-c", OPENING, str(path)], check=False, timeout=120, capture_output=True, text=True
    )
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    image = served.device.image
    assert [image.get(704, n) for n in ("WSet", "WSetEna", "WSetEnaRvrt")] == [0, 1, 1]


def test_a_device_that_nobody_answers_for_does_not_keep_a_stop_from_the_others(serve, write_bench) -> None:
    served = serve()
    path, _ = bench(write_bench, (nobody(), "3"), (served.port, "1"))
    plate = "    nameplate: {kind: battery, p_max_w: 5000, capacity_wh: 10000}\n"
    path.write_text(path.read_text().replace("    driver: modbus\n", f"    driver: modbus\n{plate}"))
    done = stop(path)
    assert done["a.battery"][0] is False and "latched, but not known to be safe" in done["a.battery"][1]
    assert done["b.battery"] == (True, "safe, and latched")
    assert (704, "WSet") in served.written()

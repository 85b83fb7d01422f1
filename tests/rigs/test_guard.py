"""Holes that a safe state must not have: overtaking orders, silent loops, dead supervisors, a second name of a rig."""

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from rigs import guard as guard_module
from rigs.bench_sections import DeviceSection, InterlockSection
from rigs.device import Ambient, Command, Quality, Sample
from rigs.errors import RigError
from rigs.gate_rules import GateMemory
from rigs.guard import Guard
from rigs.interlock import Interlock
from rigs.live import STALLED, LiveDevice
from rigs.rig_lock import RigLock
from rigs.supervisor import MADE_SAFE


class FakeWire:
    """A device without a wire: what a LiveDevice asks of one, and what was asked."""

    def __init__(self, refused: str = "", error: Exception | None = None) -> None:
        self.section = DeviceSection(driver="emulated", mode="armed", poll_s=0.01, safe_after_s=0.05)
        self.spec = SimpleNamespace(role="h.pv")
        self.gate = SimpleNamespace(writer=object(), refused=refused, memory=GateMemory(lambda: ""))
        self.emulator, self.error, self.safe = None, error, 0

    async def write(self, p_w: float, now_s: float) -> str:
        if self.error is not None:
            raise self.error
        return ""

    async def read(self, now_s: float, note: str) -> Sample:
        return Sample(0.0, 0.0, 0.0, 0.0, 0.0, Quality.GOOD, 0.0, wire=True, note=note)

    async def make_safe(self, now_s: float) -> None:
        self.safe += 1


def test_a_device_whose_orders_are_refused_is_held_for_a_while_and_then_made_safe() -> None:
    """Else the last set point would stand until the device's own timer lets it go, wherever that falls to."""

    async def main(refused: str) -> LiveDevice:
        live = LiveDevice(FakeWire(refused))
        live._sampled_at_s = 0.0
        for k in range(30):  # polls every 10 ms of its own time
            live._intent, live._stepped_at_s = (Command(1.0), Ambient()), 0.01 * k
            await live._turn(0.01 * k)
        return live

    live = asyncio.run(main("latched: x"))
    assert (live.wire.safe, live.made_safe) == (1, "made safe: no order was followed for 0.05 s")
    assert asyncio.run(main("")).wire.safe == 0


def test_a_poll_loop_that_breaks_makes_safe_and_ends_the_run() -> None:
    async def main() -> None:
        live = LiveDevice(FakeWire(error=ZeroDivisionError("ours")))
        live._intent = Command(1.0), Ambient()
        await live.run()
        assert live.polled.is_set(), "nobody waits for it for ever"
        assert live.wire.safe == 1
        with pytest.raises(RigError, match=r"h\.pv: its I/O loop ended: ZeroDivisionError: ours"):
            await live.step(Command(1.0), Ambient())

    asyncio.run(main())


def test_an_interlock_makes_safe_what_was_latched_before_and_tries_until_it_is() -> None:
    async def main() -> None:
        interlock = Interlock(InterlockSection(driver="modbus", host="192.0.2.1"), Path())
        trouble = ["the interlock is open"]

        async def told() -> str:
            return trouble[0]

        interlock.trouble = told
        device = FakeWire()
        device.gate.memory.set_latch("a breach, with power flowing")
        failures = [RigError("no answer"), None, None]

        async def make_safe(now_s: float) -> None:
            device.safe += 1
            if (error := failures[device.safe - 1]) is not None:
                raise error

        device.make_safe = make_safe
        for _ in range(4):
            await interlock.heed({"h.pv": device}, lambda role: 0.0)
        assert device.safe == 2, "once in vain, once well, then not again"
        trouble[0] = ""
        await interlock.heed({"h.pv": device}, lambda role: 0.0)
        trouble[0] = "the interlock is open"
        await interlock.heed({"h.pv": device}, lambda role: 0.0)
        assert device.safe == 3, "and when it opens again"

    asyncio.run(main())


@pytest.mark.parametrize("codes", [[None, MADE_SAFE], [-9, None, -9, MADE_SAFE], [-9] * 5])
def test_a_supervisor_that_acted_ends_the_orders_and_one_that_was_killed_is_replaced(
    codes, monkeypatch
) -> None:
    started, told = [], iter(codes)

    class Scripted:
        def __init__(self, charges, silence_s, held, end_after_s) -> None:
            started.append(charges)

        def breathe(self) -> int | None:
            return next(told)

    monkeypatch.setattr(guard_module, "SupervisorProcess", Scripted)
    monkeypatch.setattr(guard_module, "_BREATH_S", 0.0)

    async def main() -> None:
        live, notes = LiveDevice(FakeWire()), []
        guard = Guard(lambda kind, content: notes.append(content["exit_code"]), asyncio.get_running_loop())

        async def make_safe(role: str) -> None:
            await live.wire.make_safe(0.0)

        guard.supervise(["charge"], [])
        await guard.breathe({"h.pv": live}, make_safe)
        assert notes == [code for code in codes if code is not None]
        assert started == [["charge"]] * (1 + codes.count(-9))
        assert live.wire.safe == 1
        assert ("stepped in" if codes[-1] == MADE_SAFE else "ended by themselves") in live.made_safe

    asyncio.run(main())


def test_after_a_stall_nothing_but_the_safe_value_is_written() -> None:
    """The supervisor has made safe meanwhile; a poll that comes due with an old order must not undo it."""

    async def main() -> None:
        guard = Guard(lambda kind, content: None, asyncio.get_running_loop())
        assert not guard.stalled(), "without a supervisor nobody steps in"
        live = LiveDevice(FakeWire(error=AssertionError("an order was sent")), stalled=guard.stalled)
        live._intent = Command(1.0), Ambient()
        live._stepped_at_s = live._sampled_at_s = asyncio.get_running_loop().time()
        guard._breathed_at_s = asyncio.get_running_loop().time() - 10
        await live._turn(asyncio.get_running_loop().time())
        await live._turn(asyncio.get_running_loop().time())
        assert (live.wire.safe, live.made_safe) == (1, f"made safe: {STALLED}")

    asyncio.run(main())


def test_a_rig_has_one_lock_by_any_name_of_its_host_and_from_any_state_folder(tmp_path) -> None:
    port = 60000 + hash(str(tmp_path)) % 5000
    first = RigLock(tmp_path / "a", ("127.0.0.1", port, 0), "ann, process 1")
    with pytest.raises(RigError, match=r"localhost:\d+ is held by ann, process 1; two harnesses never"):
        RigLock(tmp_path / "a", ("localhost", port, 0), "bob")
    with pytest.raises(RigError, match="is held by a harness of this machine with another state folder"):
        RigLock(tmp_path / "b", ("127.0.0.1", port, 0), "bob")
    first.release()
    line = tmp_path / "by-id"
    line.symlink_to(tmp_path / "ttyUSB0")
    second = RigLock(tmp_path / "b", (str(line), 0, 0), "bob")
    with pytest.raises(RigError, match="is held by bob"):
        RigLock(tmp_path / "b", (str(tmp_path / "ttyUSB0"), 0, 0), "ann")
    second.release()


def test_a_latch_that_somebody_else_sets_is_seen_and_a_file_that_cannot_be_read_is_not_ignored(
    tmp_path,
) -> None:
    path = tmp_path / "role.json"
    harness = GateMemory(lambda: "monday", path)
    harness.count_writes(3)
    GateMemory(lambda: "monday", path).set_latch("stopped by ann")
    harness.look()
    assert harness.latch == "stopped by ann"
    harness.count_writes(1)
    again = GateMemory(lambda: "monday", path)
    assert (again.latch, again.written_today()) == ("stopped by ann", 4), (
        "neither is lost to the other's writing"
    )
    path.write_text("")
    with pytest.raises(RigError, match="latch and write budget of this device are unknown"):
        GateMemory(lambda: "monday", path)


def test_a_latch_set_in_the_same_tick_of_the_clock_is_seen(tmp_path) -> None:
    path = tmp_path / "role.json"
    harness = GateMemory(lambda: "monday", path)
    harness.count_writes(3)
    before = path.stat()
    GateMemory(lambda: "monday", path).set_latch("stopped by ann")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    harness.look()
    assert harness.latch == "stopped by ann"


def test_a_latch_is_not_lost_to_a_count_that_was_under_way(tmp_path) -> None:
    """Somebody stops the rig between the harness's looking and its writing."""
    path = tmp_path / "role.json"
    harness, stopping = GateMemory(lambda: "monday", path), GateMemory(lambda: "monday", path)
    keep, stopped = harness._keep, []

    def stop_first() -> None:
        stopped.append(threading.Thread(target=stopping.set_latch, args=("stopped by ann",)))
        stopped[0].start()
        stopped[0].join(0.05)  # it waits for its turn
        keep()

    harness._keep = stop_first
    harness.count_writes(2)
    stopped[0].join(30)
    harness.look()
    assert (harness.latch, harness.written_today()) == ("stopped by ann", 2)

"""What several devices may do together holds between their poll loops as well: on the raw wire, two orders at once."""

import asyncio
import itertools
import math
import time
from contextlib import AsyncExitStack

import pytest

from adapters.modbus.port import LinkTiming
from adapters.modbus.sunspec import discover
from adapters.modbus.tcp import TcpPort
from rigs.control_points import find_actuator
from rigs.device import Command, RoleSpec
from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.server import Connections, ModbusTcpProtocol, serve_tcp
from rigs.gate_rules import GateMemory, GateRules
from rigs.open_bench import open_bench
from rigs.point_writer import PointWriter
from rigs.shared_limits import Member, SharedLimits
from rigs.write_gate import WriteGate

SIGNED = "A. Miller accepts this for the test of limits"


class Pair:
    """Two batteries behind sockets whose gates share their limits; ``frames`` are the writes each server got."""

    def __init__(self, shared: SharedLimits) -> None:
        self.shared, self.gates, self.devices, self.frames = shared, {}, {}, {}

    async def open(self, stack: AsyncExitStack, role: str, timeout_s: float) -> None:
        device = build(EmulatorConfig(role, "battery", 5000.0, 10000.0, 0.5, serial=role))
        frames = self.frames.setdefault(role, [])

        class Recording(ModbusTcpProtocol):
            def data_received(self, data: bytes) -> None:
                if data[7] == 16:
                    frames.append(data)
                super().data_received(data)

        server, number = await serve_tcp({1: device.image}, "127.0.0.1", 0, Connections(), Recording)
        stack.callback(server.close)
        port = TcpPort("127.0.0.1", number, LinkTiming(timeout_s))
        await port.connect()
        stack.push_async_callback(port.close)
        sunspec = await discover(port, 1)
        rules = GateRules(role, "armed", (-5000.0, 5000.0), 0.0, 60.0, unproven_reason=SIGNED)
        gate = WriteGate(
            rules,
            await find_actuator(sunspec, "battery"),
            PointWriter(sunspec, "armed"),
            GateMemory(lambda: "d"),
        )
        gate.soc, gate.measured_w, gate.shared = 0.5, 0.0, self.shared
        self.shared.join(role, Member((0.0, 0.0), lambda: (gate.soc, 10000.0), gate.latch), (0.0, 0.0))
        self.gates[role], self.devices[role] = gate, device

    async def at_once(self, time_s: float, **orders_w: float) -> dict[str, tuple[str, str]]:
        decided = await asyncio.gather(
            *(self.gates[role].order(p_w, time_s) for role, p_w in orders_w.items())
        )
        return {d.role: (d.outcome, d.reason) for d in decided}


def run(work, shared: SharedLimits, timeout_s: float = 5.0) -> None:
    async def go() -> None:
        async with AsyncExitStack() as stack:
            pair = Pair(shared)
            for role in ("a", "b"):
                await pair.open(stack, role, timeout_s)
            await work(pair)

    asyncio.run(go())


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_two_orders_at_once_that_are_too_much_together_one_leaves(first) -> None:
    second = "b" if first == "a" else "a"

    async def work(pair: Pair) -> None:
        decided = await pair.at_once(0, **{first: 2000, second: 2000})
        assert decided[first] == ("sent", "")
        assert decided[second] == (
            "held",
            "no room yet: with what others may do the sum could be 4000 W, most is 3000.0 W",
        )
        assert pair.frames[first] and not pair.frames[second]
        assert (await pair.at_once(1, **{second: 1000}))[second] == ("sent", "")
        decided = await pair.at_once(2, a=-2000, b=-2000)
        assert sorted(outcome for outcome, _ in decided.values()) == ["held", "sent"], "least is -2500 W"

    run(work, SharedLimits((-2500.0, 3000.0)))


def test_who_takes_over_waits_until_the_other_has_read_back() -> None:
    """3 kW move from one to the other: whoever is polled first, the sum never exceeds 3 kW."""

    async def work(pair: Pair) -> None:
        await pair.at_once(0, a=3000)
        pair.frames["b"].clear()
        decided = await pair.at_once(1, b=3000, a=0)  # the one that takes over is asked first
        assert [decided["a"][0], decided["b"][0]] == ["sent", "held"]
        assert pair.frames["b"] == []
        assert (await pair.at_once(2, b=3000))["b"] == ("sent", "")

    run(work, SharedLimits((0.0, 3000.0)))


def test_what_an_unanswered_write_may_have_done_counts_until_it_is_known() -> None:
    async def work(pair: Pair) -> None:
        await pair.at_once(0, a=3000)
        image = pair.devices["a"].image
        plain, image.read = image.read, lambda address, count: b"\0" * (2 * count)  # reads back nonsense
        assert (await pair.at_once(1, a=500))["a"][0] == "unknown"
        pair.frames["b"].clear()
        assert (await pair.at_once(2, b=1000))["b"][0] == "held", "a may still be at 3000 W"
        assert pair.frames["b"] == []
        image.read = plain
        assert (await pair.at_once(3, a=500))["a"] == ("sent", "written anew")
        assert (await pair.at_once(4, b=1000))["b"][0] == "sent"

    run(work, SharedLimits((0.0, 3000.0)))


def test_making_safe_needs_no_room_and_gives_it_back() -> None:
    async def work(pair: Pair) -> None:
        await pair.at_once(0, a=3000)
        await pair.gates["a"].make_safe(1)
        assert (await pair.at_once(2, b=3000))["b"][0] == "sent"

    run(work, SharedLimits((0.0, 3000.0)))


def test_a_window_of_charge_is_looked_at_with_every_order_and_latches_all() -> None:
    """The set points are as old as the last step; batteries go on emptying until the next one."""

    async def work(pair: Pair) -> None:
        assert set((await pair.at_once(0, a=1000, b=500)).values()) == {("sent", "")}
        pair.gates["a"].soc = 0.2  # with 0.5 in the other: 0.35 of both
        for frames in pair.frames.values():
            frames.clear()
        decided = await pair.at_once(31, a=1000, b=500)  # the timer would be due
        assert decided["a"] == (
            "rejected", "discharging all batteries together at a state of charge of 0.35, least is 0.4"
        )  # fmt: skip
        assert decided["b"][0] == "rejected" and "latched" in decided["b"][1]
        assert not any(pair.frames.values())

    run(work, SharedLimits(None, (0.4, 0.9)))


@pytest.mark.parametrize(
    ("a_w", "b_w", "value_w", "fits"),
    [
        ((0, 0), (0, 0), 3000, True),
        ((0, 0), (0, 0), 3001, False),
        ((0, 0), (0, 2000), 1001, False),  # b may be at 2 kW already
        ((0, 8000), (0, 8000), 5000, True),  # too much already, but a limit makes nothing worse
        ((0, 8000), (0, 8000), 8001, False),
        ((0, 0), (-1000, 3000), -1000, True),
        ((0, 0), (-1000, 3000), -1001, False),
        ((0, 0), (0, 0), math.nan, True),  # nothing will be sent
    ],
)
def test_a_value_must_fit_whatever_the_others_do_meanwhile(a_w, b_w, value_w, fits) -> None:
    shared = SharedLimits((-2000.0, 3000.0))
    for role, now_w in (("a", a_w), ("b", b_w)):
        shared.join(role, Member((0.0, 0.0), None, lambda reason: None), now_w)
    assert (shared.no_room("a", value_w) == "") is fits
    assert shared.no_room("elsewhere", 1e9) == "", "who shares nothing needs no room"


@pytest.mark.slow
def test_a_bench_on_wall_clock_time_never_exceeds_its_feeder_between_polls(write_bench) -> None:
    """Orders that move from one battery to the other and back; what the sum of all that was sent ever was."""
    roles = [RoleSpec(f"{name}.battery", "battery", 5000.0, 100000.0, 0.5) for name in "ab"]
    how = f"{{driver: emulated, mode: armed, poll_s: 0.02, reversion_s: 600, no_reversion_because: {SIGNED}}}"
    path = write_bench(
        f"bench: two\naggregate: {{p_gen_w: [0, 3000]}}\ndevices:\n  a.battery: {how}\n  b.battery: {how}\n"
    )
    with open_bench(path, roles, wall_clock=True) as bench:
        for k in range(6):
            orders = dict(zip((r.role for r in roles), ((3000, 0), (0, 3000))[k % 2], strict=True))
            bench.step(k, 1, {role: Command(p_w) for role, p_w in orders.items()}, {})
            deadline_s = time.monotonic() + 30
            while [bench._wired[r]._last.p_gen_w for r in orders] != pytest.approx(
                list(orders.values()), abs=2
            ):
                assert time.monotonic() < deadline_s
                bench.step(k, 1, {role: Command(p_w) for role, p_w in orders.items()}, {})
                time.sleep(0.02)
        decisions = [c for kind, c in bench.journal if kind == "decision"]
    in_force = dict.fromkeys(orders, 0.0)
    for d in itertools.takewhile(lambda d: d["reason"] != "make safe", decisions):
        if d["outcome"] == "sent":
            in_force[d["role"]] = d["sent_w"]
        assert sum(in_force.values()) <= 3000, d

"""Every rule of the write gate on the raw wire: which frames left, counted from the bytes the server
received."""

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.modbus.errors import ModbusError
from adapters.modbus.port import LinkTiming
from adapters.modbus.sunspec import discover
from adapters.modbus.tcp import TcpPort
from rigs.control_points import ALLOWED, Actuator, find_actuator
from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.server import Connections, ModbusTcpProtocol, serve_tcp
from rigs.errors import LatchedError, NotArmedError
from rigs.gate_rules import GateMemory, GateRules
from rigs.point_writer import PointWriter
from rigs.write_gate import WriteGate

CONFIG = EmulatorConfig("house_1.battery", "battery", 5000.0, 10000.0, 0.5, 0.95, serial="b1")


class Rig:
    """A gate wired to an emulated device through a real socket; ``written`` is what its server received."""

    def __init__(self, gate: WriteGate, device: Any, frames: list[bytes], port: TcpPort) -> None:
        self.gate, self.device, self.frames, self.port = gate, device, frames, port

    def written(self) -> list[tuple[str, float]]:
        """Return point and value of every write frame since the last call, in order."""
        image, writes = self.device.image, []
        for frame in self.frames:
            assert frame[7] in (3, 16)
            if frame[7] == 16:
                address = int.from_bytes(frame[8:10], "big")
                (model, name), point = image._by_byte[2 * (address - image.base)]
                raw = point.decode(frame, 13)
                writes.append((name, raw * 10.0 ** image._sf(model, name)))
        self.frames.clear()
        return writes


def run(
    work: Callable[[Rig], Awaitable[None]],
    config: EmulatorConfig = CONFIG,
    mode: str = "armed",
    prove: bool = True,
    memory: GateMemory | None = None,
    timeout_s: float = 1.0,
    **rules: Any,
) -> None:
    asyncio.run(_run(work, config, mode, prove, memory or GateMemory(lambda: "2026-11-21"), timeout_s, rules))


async def _run(work, config, mode, prove, memory, timeout_s, rules) -> None:
    device, frames = build(config), []

    class Recording(ModbusTcpProtocol):
        def data_received(self, data: bytes) -> None:
            frames.append(data)
            super().data_received(data)

    server, number = await serve_tcp({1: device.image}, "127.0.0.1", 0, Connections(), Recording)
    port = TcpPort("127.0.0.1", number, LinkTiming(timeout_s))
    try:
        await port.connect()
        sunspec = await discover(port, 1)
        actuator = await find_actuator(sunspec, config.kind)
        writer = PointWriter(sunspec, "armed") if mode == "armed" else None
        settings = {
            "role": config.role, "mode": mode, "p_gen_w": (-4000.0, 4000.0), "safe_w": 0.0, "reversion_s": 60.0
        } | rules  # fmt: skip
        gate = WriteGate(GateRules(**settings), actuator, writer, memory)

        async def wait(seconds: float) -> None:
            device.advance(seconds)

        if prove:
            await gate.prove_reversion(wait)
        gate.soc, gate.measured_w = 0.5, 0.0
        frames.clear()
        await work(Rig(gate, device, frames, port))
    finally:
        await port.close()
        server.close()


def test_writers_cannot_be_built_for_a_role_that_is_not_armed() -> None:
    for mode in ("observe", "shadow", "", "ARMED"):
        with pytest.raises(NotArmedError, match="cannot write"):
            PointWriter(type("D", (), {"port": type("P", (), {"name": "p"})})(), mode)


def test_shadow_goes_through_the_whole_pipeline_and_sends_nothing() -> None:
    async def work(rig: Rig) -> None:
        assert (await rig.gate.order(1000, 0)).outcome == "shadow"
        assert (await rig.gate.order(9000, 1)).outcome == "rejected"
        await rig.gate.make_safe(2)
        assert rig.frames == []

    run(work, mode="shadow")


def test_order_is_value_then_reversion_then_enable_and_all_is_read_back() -> None:
    async def work(rig: Rig) -> None:
        assert (await rig.gate.order(-1500, 0)).outcome == "sent"
        reads_after = len([f for f in rig.frames if f[7] == 3])
        assert rig.frames[-1][7] == 3
        assert reads_after >= 1
        assert rig.written() == [
            ("WSetMod", 1), ("WSet", -1500), ("WSetRvrt", 0), ("WSetEnaRvrt", 1), ("WSetRvrtTms", 60), ("WSetEna", 1)
        ]  # fmt: skip
        await rig.gate.order(-1000, 1)
        assert rig.written() == [("WSet", -1000)]  # a later value needs one write, which restarts the timer
        assert rig.device.process.target_w == -1000

    run(work)


def test_unproven_devices_are_refused_unless_the_exception_is_signed() -> None:
    async def refused(rig: Rig) -> None:
        decision = await rig.gate.order(100, 0)
        assert (decision.outcome, decision.reason) == (
            "rejected", "the device's reversion timer was not proven in this run"
        )  # fmt: skip
        assert rig.frames == []

    async def signed(rig: Rig) -> None:
        assert (await rig.gate.order(100, 0)).outcome == "sent"

    run(refused, prove=False)
    run(signed, prove=False, unproven_reason="A. Miller accepts this for the loss test on 3 March")


@pytest.mark.parametrize("kind", ["battery", "pv_inverter"])
def test_a_timer_that_never_runs_out_stops_the_arming(kind) -> None:
    async def work(rig: Rig) -> None:
        timer = rig.device.control._timers["WSet"] if kind == "battery" else rig.device._timer
        timer.start = lambda seconds: None

        async def wait(seconds: float) -> None:
            rig.device.advance(seconds)

        with pytest.raises(NotArmedError, match="did not run out"):
            await rig.gate.prove_reversion(wait)
        assert not rig.gate.proven

    run(work, EmulatorConfig("x", kind, 5000.0, 10000.0, 0.5, serial="1"), prove=False)


def test_the_proof_itself_moves_no_power() -> None:
    async def work(rig: Rig) -> None:
        assert rig.gate.proven
        process = rig.device.process
        assert (process.export_wh, process.import_wh, process.power_w) == (0, 0, 0)

    run(work)


@pytest.mark.parametrize(
    ("kind", "in_force"),
    [
        (
            "pv_inverter",
            {"WMaxLimPct": 0.0, "WMaxLimPct_RvrtTms": 0.0, "WMaxLim_Ena": 1.0},
        ),  # made safe by a run before
        (
            "pv_inverter",
            {"WMaxLimPct": 30.0, "WMaxLimPct_RvrtTms": 900.0, "WMaxLim_Ena": 1.0},
        ),  # somebody's limit
        ("battery", {"WSetMod": 1.0, "WSet": -700.0, "WSetRvrtTms": 0.0, "WSetEna": 1.0}),
        ("pv_inverter", {"WMaxLimPct": 30.0, "WMaxLim_Ena": 0.0}),
    ],
)
def test_the_proof_leaves_in_force_what_was_in_force(kind, in_force) -> None:
    """Else arming would lift a safe limit: the inverter would be at full power before the first order."""

    async def work(rig: Rig) -> None:
        model_id = rig.gate.actuator.model_id
        await rig.gate.writer.write(model_id, in_force)
        rig.frames.clear()

        async def wait(seconds: float) -> None:
            rig.device.advance(seconds)

        await rig.gate.prove_reversion(wait)
        assert rig.gate.proven
        values = [v for n, v in rig.written() if n in ("WMaxLimPct", "WSet")]
        enabled = in_force.get("WMaxLim_Ena", in_force.get("WSetEna"))
        if enabled:
            name = "WSet" if kind == "battery" else "WMaxLimPct"
            assert values == pytest.approx([in_force[name]] * 2)
            held = await rig.gate.writer._device.read(model_id, *in_force)
            assert held == in_force
        else:
            assert values == [100]
            assert await rig.gate.writer.read(model_id, "WMaxLim_Ena") == 0

    run(work, EmulatorConfig("x", kind, 5000.0, 10000.0, 0.5, serial="1"), prove=False)


@pytest.mark.parametrize("ask_w", [4000.1, -4001, float("inf"), float("nan")])
def test_a_breach_is_rejected_and_latched_never_clamped(ask_w) -> None:
    async def work(rig: Rig) -> None:
        await rig.gate.order(1000, 0)
        rig.frames.clear()
        decision = await rig.gate.order(ask_w, 1)
        assert decision.outcome == "rejected"
        assert "lies outside" in decision.reason
        assert (await rig.gate.order(500, 2)).outcome == "rejected"
        with pytest.raises(LatchedError, match="twin rig reset"):
            rig.gate.check()
        assert rig.frames == []
        await rig.gate.make_safe(3)  # the one thing that a latch lets through
        assert ("WSet", 0) in rig.written()
        rig.gate.memory.reset()
        assert (await rig.gate.order(500, 4)).outcome == "sent"

    run(work)


def test_the_latch_survives_a_restart(tmp_path) -> None:
    path = tmp_path / "role.json"

    async def breach(rig: Rig) -> None:
        await rig.gate.order(9999, 0)

    async def later(rig: Rig) -> None:
        assert (await rig.gate.order(1, 0)).outcome == "rejected"
        assert rig.frames == []

    run(breach, memory=GateMemory(lambda: "d", path))
    run(later, memory=GateMemory(lambda: "d", path))


@pytest.mark.parametrize(("soc", "ask_w", "outcome"), [(0.1, 500, "rejected"), (0.1, -500, "sent"),
                                                       (0.9, -500, "rejected"), (0.9, 500, "sent"),
                                                       (float("nan"), 500, "rejected")])  # fmt: skip
def test_the_window_of_the_state_of_charge(soc, ask_w, outcome) -> None:
    async def work(rig: Rig) -> None:
        rig.gate.soc = soc
        assert (await rig.gate.order(ask_w, 0)).outcome == outcome
        assert bool(rig.written()) == (outcome == "sent")

    run(work, soc=(0.2, 0.8))


def test_shaping_is_recorded_with_the_value_asked_and_the_value_sent() -> None:
    async def work(rig: Rig) -> None:
        await rig.gate.order(0, 0)
        rig.frames.clear()
        decision = await rig.gate.order(3000, 10)
        assert (decision.asked_w, decision.sent_w, decision.reason) == (3000, 1000, "ramp of 100.0 W/s")
        assert rig.written() == [("WSet", 1000)]
        held = await rig.gate.order(3000, 11)
        assert (held.outcome, held.reason) == ("held", "least interval of 5.0 s")
        small = await rig.gate.order(1040, 20)
        assert (small.outcome, small.reason) == ("held", "deadband of 50.0 W")
        assert rig.frames == []
        assert (await rig.gate.order(1200, 22)).sent_w == 1200
        assert rig.written() == [("WSet", 1200)]

    run(work, ramp_w_per_s=100.0, min_interval_s=5.0, deadband_w=50.0)


def test_the_first_order_leaves_from_what_is_measured_and_a_quiet_hour_gives_no_credit() -> None:
    async def work(rig: Rig) -> None:
        rig.gate.measured_w = -800.0
        first = await rig.gate.order(3000, 5000)
        assert (first.asked_w, first.sent_w, first.reason) == (3000, -800, "ramp of 100.0 W/s")
        assert ("WSet", -800) in rig.written()
        assert [(await rig.gate.order(3000, 5000 + t)).sent_w for t in (1, 2, 5)] == [-700, -600, -300]
        assert (await rig.gate.order(3000, 5100)).sent_w == 3000
        for t in range(5101, 8701, 20):  # asked for an hour for what it has already
            await rig.gate.order(3000, t)
        rig.frames.clear()
        assert (await rig.gate.order(-3000, 8701)).sent_w == 1000
        assert rig.written() == [("WSet", 1000)], "20 s since it was looked at, not an hour"
        rig.gate.link_returned()
        rig.gate.measured_w = 40.0
        assert (await rig.gate.order(-3000, 9000)).sent_w == 40, (
            "a lost link as well: what it did meanwhile is read"
        )
        await rig.gate.make_safe(9001)
        assert (await rig.gate.order(500, 9002)).sent_w == 100, "from the safe value"

    run(work, ramp_w_per_s=100.0)


def test_a_ramp_that_has_nothing_to_begin_at_sends_nothing_and_one_outside_the_limits_begins_at_them() -> (
    None
):
    async def work(rig: Rig) -> None:
        rig.gate.measured_w = math.nan
        decision = await rig.gate.order(1000, 0)
        assert (decision.outcome, decision.reason) == (
            "held", "its present power is not known, so a ramp has nothing to begin at"
        )  # fmt: skip
        assert rig.gate.refused and rig.frames == []
        rig.gate.measured_w = 4900.0
        assert (await rig.gate.order(1000, 1)).sent_w == 4000
        assert ("WSet", 4000) in rig.written()

    run(work, ramp_w_per_s=100.0)


def test_no_shaping_keeps_up_what_a_limit_forbids() -> None:
    """Empty at 3 kW: the ramp would go on discharging on its way to 0."""

    async def work(rig: Rig) -> None:
        rig.gate.measured_w = 3000.0
        assert (await rig.gate.order(3000, 0)).sent_w == 3000
        rig.frames.clear()
        rig.gate.soc = 0.2
        decision = await rig.gate.order(0, 1)
        assert decision.sent_w == 0
        assert decision.reason == "at once: discharging at a state of charge of 0.2, least is 0.2"
        assert rig.written() == [("WSet", 0)]

    run(work, ramp_w_per_s=100.0, soc=(0.2, 0.8), deadband_w=5000.0)


def test_an_unchanged_value_is_sent_again_when_half_of_the_timer_has_passed() -> None:
    async def work(rig: Rig) -> None:
        await rig.gate.order(1000, 0)
        rig.frames.clear()
        for t in range(1, 30):
            assert (await rig.gate.order(1000, t)).outcome == "held"
        assert rig.frames == []
        assert (await rig.gate.order(1000, 30)).outcome == "sent"
        assert rig.written() == [("WSet", 1000)]
        await rig.gate.refresh(40)
        assert rig.frames == []
        await rig.gate.refresh(60)
        assert rig.written() == [("WSet", 1000)]

    run(work)


def test_the_write_budget_holds_across_restarts_and_days(tmp_path) -> None:
    day, path = ["monday"], tmp_path / "role.json"

    async def spend(rig: Rig) -> None:
        assert (await rig.gate.order(1000, 0)).outcome == "sent"  # six requests, as many as the proof
        assert (await rig.gate.order(1100, 1)).outcome == "sent"  # and one
        rig.frames.clear()
        decision = await rig.gate.order(1200, 2)
        assert (decision.outcome, decision.sent_w) == ("held", 1100)
        assert "write budget of 13" in decision.reason
        assert rig.frames == []
        await rig.gate.make_safe(3)  # safety is never out of budget
        assert rig.written()

    async def restarted(rig: Rig) -> None:
        rig.gate.proven = True
        assert (await rig.gate.order(1, 0)).outcome == "held"
        with pytest.raises(
            NotArmedError, match="write budget of 13 requests a day leaves none for the proof"
        ):
            await rig.gate.prove_reversion(asyncio.sleep)
        assert rig.frames == []
        day[0] = "tuesday"
        assert (await rig.gate.order(1, 0)).outcome == "sent"

    run(spend, memory=GateMemory(lambda: day[0], path), daily_writes=13)
    run(restarted, memory=GateMemory(lambda: day[0], path), daily_writes=13, prove=False)


def test_arming_ends_with_its_stated_time() -> None:
    async def work(rig: Rig) -> None:
        assert (await rig.gate.order(10, 99.9)).outcome == "sent"
        rig.frames.clear()
        assert (await rig.gate.order(20, 100)).reason == "the stated time of arming is over"
        assert rig.frames == []

    run(work, armed_until_s=100.0)


def test_points_off_the_allow_list_and_grid_protection_never_leave() -> None:
    assert not {703, 707, 708, 709, 710} & set(ALLOWED)

    async def work(rig: Rig) -> None:
        for model_id, points in (
            (703, {"ES": 0}), (709, {"Ena": 0}), (702, {"WMax": 4000}), (704, {"AntiIslEna": 0}),
            (704, {"WSet": 1, "VarSet": 5}),
        ):  # fmt: skip
            with pytest.raises(NotArmedError, match="may not be written"):
                await rig.gate.writer.write(model_id, points)
            with pytest.raises(NotArmedError, match="may not be written"):
                await rig.gate.writer.registers(model_id, points)
        assert rig.frames == []

    run(work)


def test_a_write_that_reads_back_otherwise_is_unknown_and_written_anew_next_time() -> None:
    async def work(rig: Rig) -> None:
        await rig.gate.order(1000, 0)
        written, rig.device.written = rig.device.written, lambda points: rig.device.image.put(704, "WSet", 7)
        decision = await rig.gate.order(2000, 1)
        assert (decision.outcome, decision.reason) == ("unknown", "WSet reads 7.0, written 2000.0")
        rig.device.written = written
        rig.frames.clear()
        assert (await rig.gate.order(2000, 2)).outcome == "sent"
        assert [name for name, _ in rig.written()][-1] == "WSetEna"

    run(work)


def test_a_timed_out_write_is_settled_by_the_read_back() -> None:
    async def work(rig: Rig) -> None:
        await rig.gate.order(1000, 0)
        image = rig.device.image
        plain = image.write

        def swallow_answer(address: int, data: bytes) -> None:
            plain(address, data)
            raise RuntimeError("no answer")  # the server's connection lives, the answer never comes

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        image.write = swallow_answer
        decision = await rig.gate.order(2000, 1)
        image.write = plain
        # taken or not, the gate never guesses: either the read-back proved it, or the outcome is unknown
        assert decision.outcome in ("sent", "unknown")
        if decision.outcome == "sent":
            assert rig.device.process.target_w == 2000

    run(work, timeout_s=0.1)


def test_making_safe_fails_loudly_when_nobody_answers() -> None:
    async def work(rig: Rig) -> None:
        await rig.gate.order(1000, 0)
        await rig.port.close()
        with pytest.raises(ModbusError, match="not safe"):
            await rig.gate.make_safe(1)

    run(work)


def test_a_limit_is_rounded_down_so_that_never_more_flows_than_asked() -> None:
    actuator = Actuator(123, signed=False, w_max=8000.0)
    for ask_w in (0, 0.79, 1, 3333.3, 7999.99, 8000):
        percent = actuator.value(ask_w)["WMaxLimPct"]
        assert percent / 100 * 8000 <= ask_w + 1e-6
        assert percent / 100 * 8000 > ask_w - 0.81
    assert struct.pack(">H", round(actuator.value(8000)["WMaxLimPct"] * 100)) == b"\x27\x10"


def test_no_order_lands_behind_a_making_safe_that_it_had_not_known_of() -> None:
    """The order has passed every check when the rig is latched and made safe; what it sends must still come first."""

    async def work(rig: Rig) -> None:
        safe: list[asyncio.Task[None]] = []

        async def meanwhile() -> str:
            rig.gate.latch("the interlock is open")
            safe.append(asyncio.create_task(rig.gate.make_safe(0)))
            await asyncio.sleep(0.05)
            return ""

        rig.gate.interlock = meanwhile
        await rig.gate.order(3000, 0)
        await safe[0]
        assert rig.device.image.get(704, "WSet") == 0
        assert (await rig.gate.order(3000, 1)).outcome == "rejected"

    run(work)


def test_the_interlock_is_asked_before_every_write_and_open_sends_nothing() -> None:
    async def work(rig: Rig) -> None:
        async def opened() -> str:
            return "the interlock is open"

        rig.gate.interlock = opened
        decision = await rig.gate.order(1000, 0)
        assert (decision.outcome, decision.reason) == ("rejected", "the interlock is open")
        assert rig.frames == []
        assert rig.gate.memory.latch == "the interlock is open"

    run(work)


def test_a_safe_value_stays_on_a_device_that_can_only_fall_back_to_no_limit() -> None:
    """Model 123: with its timer running, an inverter made safe would be at full power again after it."""
    inverter = EmulatorConfig("h.pv", "pv_inverter", 8000.0)

    async def work(rig: Rig) -> None:
        rig.device.surroundings(8000.0, 1.0)
        assert (await rig.gate.order(2000, 0)).outcome == "sent"
        assert ("WMaxLimPct_RvrtTms", 60) in rig.written()
        await rig.gate.make_safe(1)
        rig.device.advance(3600)
        assert rig.device.process.power_w == pytest.approx(0, abs=1e-6)
        assert ("WMaxLimPct_RvrtTms", 0) in rig.written()
        assert (await rig.gate.order(2000, 2)).outcome == "sent"
        assert ("WMaxLimPct_RvrtTms", 60) in rig.written(), "an order brings the timer back"

    run(work, inverter, p_gen_w=(0.0, 8000.0))

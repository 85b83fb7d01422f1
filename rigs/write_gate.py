"""The write gate: the only way from an order to a device.

Order of checks: mode, latch, hard limits (a breach is rejected and latched, never clamped), then shaping
(ramp, deadband, least interval; recorded with the value asked and the value sent), then value, reversion,
enable, and a read-back of everything that was written.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.modbus.errors import LinkDownError, ModbusError, RequestTimeoutError
from adapters.modbus.sunspec import SunSpecDevice
from rigs.control_points import ALLOWED, Actuator, Points
from rigs.errors import LatchedError, NotArmedError

Outcome = Literal["sent", "held", "shadow", "rejected", "unknown"]
Journal = Callable[[str, Mapping[str, Any]], None]
"""Called with the kind of an entry and its content."""


@dataclass(frozen=True)
class GateRules:
    """What may be written to one role. All powers positive into the grid.

    ``p_gen_w`` is the least of nameplate and bench; ``reversion_s`` the device's own timer, refreshed at
    half; ``ramp_w_per_s`` None and ``deadband_w``, ``min_interval_s`` 0 mean: no shaping.
    """

    role: str
    mode: Literal["shadow", "armed"]
    p_gen_w: tuple[float, float]
    safe_w: float
    reversion_s: float
    soc: tuple[float, float] | None = None
    ramp_w_per_s: float | None = None
    deadband_w: float = 0.0
    min_interval_s: float = 0.0


@dataclass(frozen=True)
class Decision:
    """What the gate made of an order. ``sent_w`` is NaN where nothing was sent."""

    role: str
    time_s: float
    asked_w: float
    sent_w: float
    outcome: Outcome
    reason: str = ""


class PointWriter:
    """Writes allowed points of one device and reads them back. Cannot be built for a role that is not
    armed."""

    def __init__(self, device: SunSpecDevice, mode: str) -> None:
        if mode != "armed":
            raise NotArmedError(
                f"{device.port.name}: mode {mode} cannot write; only armed devices are written to"
            )
        self._device = device
        self.held: dict[tuple[int, str], float] = {}

    async def write(self, model_id: int, points: Points) -> None:
        """Write points one by one, in their order.

        Raises:
            NotArmedError: a point that is not on the allow-list; nothing was written.
        """
        forbidden = [n for n in points if n not in ALLOWED.get(model_id, ())]
        if forbidden:
            raise NotArmedError(f"model {model_id}: {', '.join(forbidden)} may not be written")
        for name, value in points.items():
            self.held.pop((model_id, name), None)  # unknown until the device has answered
            held = await self._device.write(model_id, name, value)
            self.held[model_id, name] = held

    async def differences(self, model_id: int, points: Points) -> list[str]:
        """Read points back; returns what differs from what was written."""
        found = await self._device.read(model_id, *points)
        wrong = []
        for name, value in points.items():
            expected = self.held.get((model_id, name), value)
            got = found[name]
            if not isinstance(got, float) or not math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9):
                wrong.append(f"{name} reads {got}, written {expected}")
        return wrong


@dataclass
class WriteGate:
    """The gate of one role. ``journal`` hears every decision."""

    rules: GateRules
    actuator: Actuator
    writer: PointWriter | None  # None in shadow
    journal: Journal = lambda kind, content: None
    latched: str = ""
    soc: float = math.nan  # as last read back
    _sent_w: float = field(default=math.nan, repr=False)
    _sent_at_s: float = field(default=-math.inf, repr=False)
    _fresh_at_s: float = field(default=-math.inf, repr=False)
    _prepared: bool = field(default=False, repr=False)

    async def order(self, p_w: float, time_s: float) -> Decision:
        """Order a power. Never raises for a limit: the decision says what happened, and a breach latches.

        Raises:
            LinkDownError, RequestTimeoutError: the outcome is unknown and could not be read back.
        """
        if self.latched:
            return self._decide(time_s, p_w, math.nan, "rejected", f"latched: {self.latched}")
        if breach := self._breach(p_w):
            self.latched = breach
            return self._decide(time_s, p_w, math.nan, "rejected", breach)
        value_w, shaped = self._shape(p_w, time_s)
        fresh = time_s - self._fresh_at_s < self.rules.reversion_s / 2
        if self._prepared and fresh and value_w == self._sent_w:
            return self._decide(time_s, p_w, value_w, "held", shaped or "unchanged")
        if self.writer is None:
            self._remember(value_w, time_s)
            return self._decide(time_s, p_w, value_w, "shadow", shaped)
        outcome, reason = await self._send(self.writer, value_w)
        if outcome == "sent":
            self._remember(value_w, time_s)
        return self._decide(time_s, p_w, value_w, outcome, reason or shaped)

    async def make_safe(self, time_s: float) -> None:
        """Write the safe value from any state, also when latched, and read it back; may be called again.

        Raises:
            ModbusError: it could not be written, or reads back otherwise.
        """
        if self.writer is None:
            return
        self._prepared = False
        outcome, reason = await self._send(self.writer, self.rules.safe_w)
        self._decide(time_s, self.rules.safe_w, self.rules.safe_w, outcome, reason or "make safe")
        if outcome != "sent":
            raise ModbusError(f"{self.rules.role}: not safe: {reason}")
        self._remember(self.rules.safe_w, time_s)

    def link_returned(self) -> None:
        """Forget what the device was told: after a lost link everything is written anew."""
        self._prepared = False
        self._sent_w = math.nan
        if self.writer is not None:
            self.writer.held.clear()

    def check(self) -> None:
        """Raise ``LatchedError`` where a breach waits for a person."""
        if self.latched:
            raise LatchedError(f"{self.rules.role}: {self.latched}; reset it with 'twin rig reset'")

    def _breach(self, p_w: float) -> str:
        least_w, most_w = self.rules.p_gen_w
        if not least_w <= p_w <= most_w:
            return f"{p_w} W lies outside {least_w} .. {most_w} W"
        if self.rules.soc is not None:
            least, most = self.rules.soc
            if p_w > 0 and not self.soc > least:
                return f"discharging at a state of charge of {self.soc}, least is {least}"
            if p_w < 0 and not self.soc < most:
                return f"charging at a state of charge of {self.soc}, most is {most}"
        return ""

    def _shape(self, p_w: float, time_s: float) -> tuple[float, str]:
        last_w, rules = self._sent_w, self.rules
        if math.isnan(last_w) or p_w == last_w:
            return p_w, ""
        passed_s = time_s - self._sent_at_s
        if passed_s < rules.min_interval_s:
            return last_w, f"least interval of {rules.min_interval_s} s"
        if abs(p_w - last_w) <= rules.deadband_w:
            return last_w, f"deadband of {rules.deadband_w} W"
        if rules.ramp_w_per_s is not None and abs(p_w - last_w) > rules.ramp_w_per_s * passed_s:
            step_w = math.copysign(rules.ramp_w_per_s * passed_s, p_w - last_w)
            return last_w + step_w, f"ramp of {rules.ramp_w_per_s} W/s"
        return p_w, ""

    async def _send(self, writer: PointWriter, value_w: float) -> tuple[Outcome, str]:
        model_id, actuator = self.actuator.model_id, self.actuator
        points = dict(actuator.value(value_w))
        if self._prepared:  # the mode of a set point stays; the value restarts the timer
            points = {
                n: v for n, v in points.items() if writer.held.get((model_id, n)) != v or n != "WSetMod"
            }
        else:
            points |= actuator.reversion(self.rules.safe_w, self.rules.reversion_s)
            points |= actuator.enable()
        trouble = ""
        try:
            await writer.write(model_id, points)
        except (LinkDownError, RequestTimeoutError) as error:
            trouble = str(error)  # it is unknown whether the device took it: the read-back decides
        try:
            wrong = await writer.differences(model_id, points)
        except ModbusError as error:
            self.link_returned()
            return "unknown", trouble or f"no read-back: {error}"
        if wrong:
            self.link_returned()
            return "unknown", "; ".join(wrong)
        return "sent", trouble and f"taken although {trouble}"

    def _remember(self, value_w: float, time_s: float) -> None:
        if value_w != self._sent_w:
            self._sent_at_s = time_s
        self._sent_w, self._fresh_at_s, self._prepared = value_w, time_s, True

    def _decide(
        self, time_s: float, asked_w: float, sent_w: float, outcome: Outcome, reason: str
    ) -> Decision:
        decision = Decision(self.rules.role, time_s, asked_w, sent_w, outcome, reason)
        self.journal("decision", decision.__dict__)
        return decision

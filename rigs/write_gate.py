"""The write gate: the only way from an order to a device.

Order of checks: latch, arming, hard limits (a breach is rejected and latched, never clamped), proof of the
reversion timer, write budget; then shaping (ramp, deadband, least interval; recorded with the value asked and
the value sent); then value, reversion, enable, and a read-back of everything that was written.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from adapters.modbus.errors import LinkDownError, ModbusError, RequestTimeoutError
from rigs.control_points import AnyActuator, Points
from rigs.errors import LatchedError, NotArmedError
from rigs.gate_rules import Decision, GateMemory, GateRules, Journal, Outcome
from rigs.point_writer import PointWriter, Proposal
from rigs.proof import let_it_run_out
from rigs.shaping import Shaping
from rigs.shared_limits import NO_ROOM, SharedLimits

_AT_ONCE = "at once: "


async def _closed() -> str:
    """The rig has no interlock."""
    return ""


@dataclass
class WriteGate:
    """The gate of one role. ``journal`` hears every decision."""

    rules: GateRules
    actuator: AnyActuator
    writer: PointWriter | None  # None in shadow
    memory: GateMemory
    journal: Journal = lambda kind, content: None
    soc: float = math.nan  # as last read back
    measured_w: float = math.nan  # as last read back: where a ramp begins that has nothing else to begin at
    proven: bool = False  # the reversion timer was seen to work in this run
    doubt: str = ""  # why the effect of what was sent is not believed, by an independent meter
    hold: str = ""  # why the set point must stay as it is for now, though orders are good
    refused: str = ""  # why the last order was not followed, empty where it was
    interlock: Callable[[], Awaitable[str]] = (
        _closed  # returns why nothing may be written, asked before every order
    )
    shared: SharedLimits = field(default_factory=SharedLimits)  # with other roles, on wall-clock time
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _sent_w: float = field(default=math.nan, repr=False)
    _stood_w: float = field(default=math.nan, repr=False)  # the same, kept over a lost link
    _sent_at_s: float = field(default=-math.inf, repr=False)
    _fresh_at_s: float = field(default=-math.inf, repr=False)
    _prepared: bool = field(default=False, repr=False)
    _returned: bool = field(default=False, repr=False)  # the link came back, nothing was written since
    _shaping: Shaping = field(default_factory=Shaping, repr=False)

    async def order(self, p_w: float, time_s: float) -> Decision:
        """Order a power. Never raises for a limit: the decision says what happened, and a breach latches."""
        async with self.turn:
            found = self.propose(p_w, time_s)
            if isinstance(found, Decision):
                return found
            if trouble := await self.interlock():
                self.latch(trouble)
                return self._decide(time_s, p_w, math.nan, "rejected", trouble)
            return await self.send(found)

    async def send(self, proposal: Proposal) -> Decision:
        """Write what was proposed, read it back, and book what became of it."""
        return self.settle(proposal, *await self._write(proposal.writer, self.points(proposal.value_w)))

    def propose(self, p_w: float, time_s: float) -> Decision | Proposal:
        """Return what was decided where nothing is to be sent, else what has to be sent, and then settled."""
        self.refused = self._refusal(p_w, time_s)
        if self.refused:
            self._not_followed(time_s)
            return self._decide(time_s, p_w, math.nan, "rejected", self.refused)
        if self.doubt:
            self.refused = f"the effect is in doubt: {self.doubt}"
            self._not_followed(time_s)
            return self._decide(time_s, p_w, self._sent_w, "held", self.refused)
        value_w, shaped = self.shape(p_w, time_s)
        if math.isnan(value_w):
            self.refused = shaped
            return self._decide(time_s, p_w, self._sent_w, "held", shaped)
        self._went_on(p_w, time_s, value_w, shaped)
        if self._prepared and value_w == self._sent_w and not self.due(time_s):
            return self._decide(time_s, p_w, value_w, "held", shaped or "unchanged")
        if self.writer is None:
            self._remember(value_w, time_s)
            self.shared.settle(self.rules.role, value_w)
            return self._decide(time_s, p_w, value_w, "shadow", shaped)
        if not self._spend(len(self.points(value_w))):
            self._shaping.stands(self._sent_w, time_s)
            self.refused = f"write budget of {self.rules.daily_writes} requests a day is used up"
            return self._decide(time_s, p_w, self._sent_w, "held", self.refused)
        self.shared.reserve(self.rules.role, value_w)  # nobody else has had a turn since it was seen to fit
        return Proposal(
            self.writer, p_w, value_w, time_s, shaped or ("written anew" if self._returned else "")
        )

    def _spend(self, requests: int) -> bool:
        """Count requests against the write budget; False where they are too many, and then not counted."""
        budget = self.rules.daily_writes
        if budget is not None and self.memory.written_today() + requests > budget:
            return False
        self.count(requests)
        return True

    def count(self, requests: int) -> None:
        """Count what wears and no budget forbids: making safe, and switching back."""
        if self.rules.daily_writes is not None:
            self.memory.count_writes(requests)

    def settle(self, proposal: Proposal, outcome: Outcome, reason: str) -> Decision:
        """Book what became of a proposal."""
        if outcome == "sent":
            self._remember(proposal.value_w, proposal.time_s)
            self.shared.settle(self.rules.role, proposal.value_w)
        elif outcome == "unknown":
            self.link_returned()
        return self._decide(
            proposal.time_s, proposal.asked_w, proposal.value_w, outcome, reason or proposal.shaped
        )

    def due(self, time_s: float) -> bool:
        """Tell whether the device's reversion timer must be refreshed: half of it has passed."""
        return not time_s - self._fresh_at_s < self.rules.reversion_s / 2

    async def refresh(self, time_s: float) -> None:
        """Write the last value again where the timer needs it: for an I/O loop whose control loop is healthy."""
        if self._prepared and not math.isnan(self._sent_w) and self.due(time_s):
            await self.order(self._sent_w, time_s)

    async def make_safe(self, time_s: float) -> None:
        """Write the safe value from any state, also when latched, and read it back; may be called again.

        Raises:
            ModbusError: it could not be written, or reads back otherwise.
        """
        if self.writer is None:
            return
        async with self.turn:  # an order that is on its way must not land behind it
            await self._make_safe(self.writer, time_s)

    async def _make_safe(self, writer: PointWriter, time_s: float) -> None:
        self._prepared = False
        self.shared.reserve(self.rules.role, self.rules.safe_w)  # no room forbids it, but it counts
        points = self.safe_points()
        self.count(len(points))
        outcome, reason = await self._write(writer, points)
        self._decide(time_s, self.rules.safe_w, self.rules.safe_w, outcome, reason or "make safe")
        if outcome != "sent":
            raise ModbusError(f"{self.rules.role}: not safe: {reason}")
        self._remember(self.rules.safe_w, time_s)
        self._shaping.stands(self.rules.safe_w, time_s)
        self.shared.settle(self.rules.role, self.rules.safe_w)
        self._prepared = False  # the next order brings its reversion with it again

    def safe_points(self) -> dict[str, float]:
        """Return what makes the device safe, in order, so that it stays safe when nobody writes any more."""
        actuator, rules = self.actuator, self.rules
        lasting = actuator.lasting(rules.safe_w, rules.reversion_s)
        return {**actuator.value(rules.safe_w), **lasting, **actuator.enable()}

    async def prove_reversion(self, wait: Callable[[float], Awaitable[None]]) -> None:
        """Let the device's reversion timer expire once, with a value that changes nothing, and see it fall back.

        Args:
            wait: Lets the device's time pass, in s.

        Raises:
            NotArmedError: the function is still enabled after its timer should have run out.
        """
        if self.writer is None or self.rules.unproven_reason:
            return
        shown, before, fallen = self.actuator.proof_point()
        proof_s = self.actuator.proof_s
        points = self.actuator.proof(self.rules.safe_w, proof_s)
        if not self._spend(len(points)):
            raise NotArmedError(
                f"{self.rules.role}: the write budget of {self.rules.daily_writes} requests a day leaves none for the "
                "proof of its reversion timer; arm it tomorrow, or raise daily_writes in the bench"
            )
        armed, after = await let_it_run_out(self.actuator, self.writer, points, wait)
        self.proven = armed == before and after == fallen
        self.journal("proof", {"role": self.rules.role, "before": armed, "after": after})
        if not self.proven:
            raise NotArmedError(
                f"{self.rules.role}: its reversion timer of {proof_s} s did not run out ({shown} {armed} -> "
                f"{after}); it would keep a set point for ever. Mend the device, or sign the exception in the bench"
            )

    def points(self, value_w: float) -> dict[str, float]:
        """Return what would be written for a value, in order: value, reversion, enable."""
        points = dict(self.actuator.value(value_w))
        if self._prepared and self.writer is not None:  # a write to the value restarts the timer
            if self.writer.held.get((self.actuator.model_id, "WSetMod")) == points.get("WSetMod"):
                points.pop("WSetMod", None)
            return points
        reversion = self.actuator.reversion(self.rules.safe_w, self.rules.reversion_s)
        return {**points, **reversion, **self.actuator.enable()}

    def latch(self, reason: str) -> None:
        """Refuse everything but making safe until a person resets the latch."""
        self.memory.set_latch(reason)
        self.journal("latch", {"role": self.rules.role, "reason": reason})

    def link_returned(self) -> None:
        """Forget what the device was told: after a lost link everything is written anew."""
        self._prepared, self._returned = False, True
        self._sent_w = math.nan
        self._shaping.stands(math.nan, math.nan)
        self.shared.lose(self.rules.role)
        if self.writer is not None:
            self.writer.held.clear()

    def check(self, time_s: float = -math.inf) -> None:
        """Raise ``LatchedError`` where a breach waits for a person, ``NotArmedError`` where arming is over."""
        self.memory.look()
        if self.memory.latch:
            raise LatchedError(f"{self.rules.role}: {self.memory.latch}; reset it with 'twin rig reset'")
        if self.rules.armed_until_s is not None and not time_s < self.rules.armed_until_s:
            raise NotArmedError(f"{self.rules.role}: the stated time of arming is over")

    def _refusal(self, p_w: float, time_s: float) -> str:
        self.memory.look()
        if self.memory.latch:
            return f"latched: {self.memory.latch}"
        until_s = self.rules.armed_until_s
        if until_s is not None and not time_s < until_s:
            return "the stated time of arming is over"
        if breach := self._breach(p_w):
            self.latch(breach)
            return breach
        if breach := self.shared.drained(self.rules.role, p_w):
            self.shared.latch_all(breach)
            return breach
        if self.writer is not None and not self.proven and not self.rules.unproven_reason:
            return "the device's reversion timer was not proven in this run"
        return ""

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

    def shape(self, p_w: float, time_s: float) -> tuple[float, str]:
        """Return what an accepted order would become, and by which rule of shaping, empty where it stays itself; NaN
        where nothing can be sent, and why.
        """
        last_w, hold = self._sent_w, self.hold
        if hold and not math.isnan(last_w):
            return last_w, hold
        rules, since_s = self.rules, self._sent_at_s
        recent = time_s - since_s < rules.min_interval_s  # a lost link does not shorten that
        stood_w = self._stood_w if recent and math.isnan(last_w) else last_w
        value_w, why = self._shaping.shaped(rules, p_w, time_s, stood_w, since_s, self.measured_w)
        if why and not math.isnan(value_w) and (breach := self._breach(value_w)):
            value_w, why = p_w, f"{_AT_ONCE}{breach}"  # no shaping may keep up what a limit forbids
        if full := self.shared.no_room(self.rules.role, value_w):
            return last_w, full
        return value_w, why

    def _went_on(self, p_w: float, time_s: float, value_w: float, why: str) -> None:
        """Let the ramp go on; while a limit shared with others holds the set point back, it stays where it is."""
        held_back = bool(why) and (why == self.hold or why.startswith(NO_ROOM))
        at_w = (
            p_w
            if why.startswith(_AT_ONCE)
            else self._shaping.on_the_way(self.rules, p_w, time_s, self.measured_w)
        )
        self._shaping.stands(value_w if held_back else at_w, time_s)

    def _not_followed(self, time_s: float) -> None:
        """Give a ramp no credit for this time, and count on the device's falling back by itself."""
        self._shaping.stood_still(time_s)
        self.shared.lose(self.rules.role)
        if (
            self.memory.latch
        ):  # whoever latched it may have written as well: nothing is believed when it is reset
            self._prepared, self._returned = False, True
            self._shaping.stands(math.nan, math.nan)

    def would(self, p_w: float, time_s: float) -> float:
        """Return the set point that the device would have after an order."""
        if self.memory.latch or self.doubt:
            return self.rules.safe_w if math.isnan(self._sent_w) else self._sent_w
        return self.shape(p_w, time_s)[0]

    async def _write(self, writer: PointWriter, points: Points) -> tuple[Outcome, str]:
        model_id, trouble = self.actuator.model_id, ""
        try:
            await writer.write(model_id, points)
        except (LinkDownError, RequestTimeoutError) as error:
            trouble = str(error)  # it is unknown whether the device took it: the read-back decides
        except ModbusError as error:
            self.link_returned()
            return "unknown", str(error)
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
        if value_w != self._stood_w:
            self._sent_at_s = time_s
        self._sent_w, self._fresh_at_s, self._prepared, self._stood_w = value_w, time_s, True, value_w
        self._returned = False

    def _decide(
        self, time_s: float, asked_w: float, sent_w: float, outcome: Outcome, reason: str
    ) -> Decision:
        decision = Decision(self.rules.role, time_s, asked_w, sent_w, outcome, reason)
        self.journal("decision", decision.__dict__)
        return decision

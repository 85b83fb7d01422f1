"""A device on wall-clock time: an I/O loop polls it, the step reads the last sample and its age, and never
waits.

Degrades in two stages: while no step comes the last set point is held as long as the device's own timer lets
it; after ``safe_after_s`` without a step, or without an answer, the device is made safe.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from adapters.modbus.errors import ModbusError
from rigs.device import Ambient, Command, Quality, Sample
from rigs.errors import RigError
from rigs.wire import WireDevice, plugged

STALLED = "the harness had stalled, and the supervisor stepped in"


@dataclass
class LiveTiming:
    """How well the I/O loop kept its time; all in s."""

    polls: int = 0
    missed_polls: int = 0
    overruns: int = 0
    worst_latency_s: float = 0.0
    worst_age_s: float = 0.0
    sum_latency_s: float = 0.0
    made_safe: str = ""  # why the device was made safe during the run, empty where it was not

    @property
    def mean_latency_s(self) -> float:
        """Mean time of one poll."""
        return self.sum_latency_s / self.polls if self.polls else math.nan


@dataclass
class LiveDevice:
    """One role polled in the background. ``run`` belongs to the event loop, ``post`` and ``latest`` to the
    step."""

    wire: WireDevice
    timing: LiveTiming = field(default_factory=LiveTiming)
    made_safe: str = ""  # why, empty while it is not
    stalled: Callable[[], bool] = lambda: (
        False
    )  # whether all of us stood still, and the supervisor stepped in
    failed: str = ""  # why it is not polled any more
    polled: asyncio.Event = field(default_factory=asyncio.Event)  # once, with or without an answer
    _intent: tuple[Command, Ambient] | None = None
    _ambient_sent: Ambient | None = None
    _stepped_at_s: float = -math.inf
    _sample: Sample | None = None
    _sampled_at_s: float = -math.inf
    _refused_at_s: float = math.inf  # since when no order was followed
    _stop: bool = False

    async def run(self) -> None:
        """Poll with absolute deadlines until stopped."""
        try:
            await self._poll()
        except Exception as error:  # whatever it is, nobody would refresh, watch or read this device any more
            self.failed = f"{self.wire.spec.role}: its I/O loop ended: {type(error).__name__}: {error}"
            with contextlib.suppress(ModbusError, RigError):
                await self.wire.make_safe(asyncio.get_running_loop().time())
        finally:
            self.polled.set()

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        section = self.wire.section
        self._refused_at_s = math.inf
        self._stepped_at_s = self._sampled_at_s = deadline_s = loop.time()
        while not self._stop:
            started_s = loop.time()
            await self._turn(started_s)
            self.polled.set()
            ended_s = loop.time()
            self._book(ended_s - started_s)
            deadline_s += section.poll_s
            if ended_s > deadline_s:
                self.timing.overruns += 1
                deadline_s = ended_s  # later polls are not hurried: the device sets the pace
            await asyncio.sleep(deadline_s - ended_s)

    def stop(self) -> None:
        """Let the loop end after its present turn."""
        self._stop = True

    async def step(self, command: Command, ambient: Ambient) -> Sample:
        """Leave an order and take the last sample; waits for no socket."""
        await self.post(command, ambient)
        return await self.latest()

    async def post(self, command: Command, ambient: Ambient) -> None:
        """Leave what the device shall do for the I/O loop.

        Raises:
            RigError: that loop has ended by a mistake of ours; the device was made safe.
        """
        if self.failed:
            raise RigError(self.failed)
        self._intent = command, ambient
        self._stepped_at_s = asyncio.get_running_loop().time()

    async def latest(self) -> Sample:
        """Return the last sample with its age, as it is now."""
        now_s = asyncio.get_running_loop().time()
        if self._sample is None:
            return Sample(
                math.nan, math.nan, 0.0, 0.0, math.nan, Quality.BAD, 0.0, wire=True, note="no sample yet"
            )
        age_s = now_s - self._sampled_at_s + abs(self.wire.section.meter.clock_offset_s)
        self.timing.worst_age_s = max(self.timing.worst_age_s, age_s)
        stale = age_s > self.wire.section.stale_after_s and self._sample.quality is Quality.GOOD
        note = "; ".join(filter(None, (self._sample.note, self.made_safe)))
        quality = Quality.STALE if stale else self._sample.quality
        return replace(self._sample, age_s=age_s, quality=quality, note=note)

    async def _turn(self, now_s: float) -> None:
        wire, safe_after_s = self.wire, self.wire.section.safe_after_s
        why = {
            "no step": now_s - self._stepped_at_s > safe_after_s,
            "no answer": now_s - self._sampled_at_s > safe_after_s,
            "no order was followed": now_s - self._refused_at_s > safe_after_s,
        }
        note = ""
        if (
            self.stalled() and not self.made_safe
        ):  # before anything is written: what we believe of the device is old
            self.was_made_safe(STALLED)
            with contextlib.suppress(ModbusError, RigError):  # the supervisor tries as well
                await wire.make_safe(now_s)
        if any(why.values()):
            await self._make_safe(next(name for name, holds in why.items() if holds), now_s)
        elif self._intent is not None and not self.made_safe:
            command, ambient = self._intent
            note = await wire.write(command.p_set_w, now_s)
            refused = wire.gate is not None and wire.gate.writer is not None and wire.gate.refused
            self._refused_at_s = min(self._refused_at_s, now_s) if refused else math.inf
            await self._surround(ambient)
        sample = await wire.read(now_s, note)
        if sample.quality is Quality.BAD and math.isnan(sample.p_gen_w):
            self.timing.missed_polls += 1
            if self._sample is not None:
                self._sample = replace(self._sample, quality=Quality.BAD, note=sample.note)
            return
        self._sample, self._sampled_at_s = sample, now_s

    async def _make_safe(self, why: str, now_s: float) -> None:
        if self.made_safe:
            return
        try:
            await self.wire.make_safe(now_s)
        except (ModbusError, RigError):
            return  # tried again with the next turn; the device's own timer runs meanwhile
        self.was_made_safe(f"{why} for {self.wire.section.safe_after_s} s")

    def was_made_safe(self, why: str) -> None:
        """Note that it is safe now, and let it stay so: no order of this run is sent any more."""
        self.made_safe = self.timing.made_safe = f"made safe: {why}"

    async def _surround(self, ambient: Ambient) -> None:
        emulator = self.wire.emulator
        if emulator is not None and ambient != self._ambient_sent:
            self._ambient_sent = ambient
            told = plugged(ambient)
            await emulator.ask("surroundings", p_available_w=ambient.p_available_w, v_pu=ambient.v_pu, **told)

    def _book(self, latency_s: float) -> None:
        self.timing.polls += 1
        self.timing.sum_latency_s += latency_s
        self.timing.worst_latency_s = max(self.timing.worst_latency_s, latency_s)


CANCEL_AGAIN_S = 1.0


async def cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks of the I/O loop and wait for their end.

    Again and again: ``asyncio.wait_for`` of Python 3.11 drops a cancellation that comes together with the answer that
    is waited for, and a loop would go on for ever.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)

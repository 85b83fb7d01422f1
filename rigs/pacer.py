"""Keeps wall-clock time for a bench with absolute deadlines: no drift, and an overrun is caught up and
told."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

_EARLY_S, _NAP_S = 0.01, 0.0005


@dataclass
class Pacer:
    """Step k begins at ``start + k * step_s`` of ``clock``, or at once where that has passed.

    mosaik's ``rt_factor`` runs steps about one step early and its strict mode always aborts, hence our own.
    ``clock``, ``sleep`` and ``nap`` are passed in; ``offsets_s`` keeps how late each step began. The event loop counts
    in whole milliseconds and wakes late, so the last few are napped away outside of it.
    """

    step_s: float
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    nap: Callable[[float], None] = time.sleep
    offsets_s: list[float] = field(default_factory=list)
    overruns: int = 0
    _start_s: float | None = None

    async def wait(self, step: int) -> float:
        """Wait for the beginning of a step; returns how late it is, in s.

        A step that begins more than one step late is an overrun; what to do about it is the caller's
        decision.
        """
        if self._start_s is None:
            self._start_s = self.clock() - step * self.step_s
        due_s = self._start_s + step * self.step_s
        # a waiting process is woken late on a busy machine: it wakes early instead, and naps up to the moment
        early_s = min(_EARLY_S, self.step_s / 10)
        if (left_s := due_s - self.clock()) > early_s:
            await self.sleep(left_s - early_s)
        while (left_s := due_s - self.clock()) > 0:
            self.nap(min(left_s, _NAP_S))
        late_s = self.clock() - due_s
        self.offsets_s.append(late_s)
        if late_s > self.step_s:
            self.overruns += 1
        return late_s

    def quantile_s(self, share: float) -> float:
        """Return the offset that ``share`` of all steps stayed below."""
        if not self.offsets_s:
            return math.nan
        ordered = sorted(self.offsets_s)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]

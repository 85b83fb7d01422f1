"""Means over windows of the clock, as power-quality standards ask for: kept one window at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.grid.feeder import Feeder, FloatArray, IntArray

TEN_MINUTES_S = 600


@dataclass(frozen=True)
class Mean:
    """One window: its start in seconds since 1970 (UTC), and the means; NaN where a part of it is not known.

    ``parts``: what was handed in with the values of each step, with the seconds that it counts for.
    """

    start_s: int
    values: FloatArray
    parts: tuple[tuple[float, Any], ...] = ()


class ClockMeans:
    """Root-mean-square values over windows that begin at full multiples of their length since 1970, in UTC.

    That is how IEC 61000-4-30 (class A) aggregates 10 minutes: on the ticks of the clock, over the squares of what
    is measured in between. A step's values hold over all of it; one that reaches over a tick counts on both sides.
    UTC knows no summer time, and every time zone's own shifts by full ten minutes, so the ticks are everybody's.
    Windows that the run did not see from their first second on are dropped.
    """

    def __init__(self, start_s: int, step_s: int, window_s: int, shape: tuple[int, ...]) -> None:
        """Bind to a run that starts at ``start_s`` (since 1970) with values of ``shape`` every ``step_s``."""
        self._start_s, self._step_s, self._window_s = start_s, step_s, window_s
        self._squares = np.zeros(shape)
        self._filled_s = 0
        self._parts: list[tuple[float, Any]] = []

    def take(self, step: int, values: FloatArray | None, beside: Any = None) -> list[Mean]:
        """Take a step's values (None: not known) and return the windows that ended with it."""
        at_s = self._start_s + step * self._step_s
        end_s, done = at_s + self._step_s, []
        squares = np.nan if values is None else values * values
        while at_s < end_s:
            into = at_s % self._window_s
            length = min(end_s - at_s, self._window_s - into)
            if into == 0:
                self._squares[...] = 0.0
                self._filled_s, self._parts = 0, []
            self._squares += length * squares
            self._filled_s += length
            self._parts.append((float(length), beside))
            at_s += length
            if at_s % self._window_s == 0 and self._filled_s == self._window_s:
                mean: FloatArray = np.sqrt(self._squares / self._window_s)
                # to 1e-12: what stood at a limit all the time is not moved beyond it by the square root
                done.append(Mean(at_s - self._window_s, mean.round(12), tuple(self._parts)))
        return done


def full_windows(start_s: int, end_s: int, window_s: int) -> int:
    """How many windows lie between two moments as a whole."""
    return max(0, end_s // window_s - -(-start_s // window_s))


def supply_rows(feeder: Feeder) -> IntArray:
    """Rows of the buses where somebody is connected, in every phase that is used there: the supply terminals."""
    rows: set[int] = set()
    for point in feeder.points:
        if point.phases == "abc" and not feeder.balanced:
            rows.update(int(r) for r in np.flatnonzero(feeder.site == feeder.site[point.bus]))
        else:
            rows.add(point.bus)
    return np.array(sorted(rows), dtype=np.int64)

"""The extremes of the plant: lowest and highest voltage, highest line and transformer loading, and their moments."""

from dataclasses import dataclass
from math import isfinite, isnan

import numpy as np
from numba import njit

from adapters.grid.engine import GridState
from twin.gate.limits import Limits
from twin.plant import WITH, WITHOUT
from twin.scenario.limits_section import LimitsSection
from twin.violations import Snapshot

V_MIN, V_MAX, LINE, TRAFO = range(4)
MEASURES = ("v_min", "v_max", "line", "trafo")


@dataclass(frozen=True)
class Reading:
    """An extreme in one step: value and row of its bus or branch with trades, and the same without trades.

    A NaN among the watched elements is the extreme, so it is never hidden; ``row`` is -1 where nothing is watched.
    """

    value: float
    row: int
    base: float
    base_row: int


@dataclass(frozen=True)
class Moment:
    """The worst reading of a run."""

    reading: Reading
    step: int
    snapshot: Snapshot


class Watch:
    """Finds the extremes of each step, among the elements that have a limit."""

    def __init__(self, limits: Limits, branch_kind: tuple[str, ...]) -> None:
        trafo = np.array([kind == "trafo" for kind in branch_kind])
        rated = np.isfinite(limits.loading_max_percent)
        self._buses = np.flatnonzero(np.isfinite(limits.v_min_pu))
        self._lines = np.flatnonzero(rated & ~trafo)
        self._trafos = np.flatnonzero(rated & trafo)
        self.worst: list[Moment | None] = [None] * len(MEASURES)
        self.worst_base: list[Moment | None] = [None] * len(MEASURES)

    def look(self, state: GridState) -> tuple[Reading, ...]:
        """The four readings of a solved step."""
        values, rows = _look(state.v_pu, state.loading_percent, self._buses, self._lines, self._trafos)
        return tuple(
            Reading(value, row, base, base_row)
            for (value, base), (row, base_row) in zip(values.tolist(), rows.tolist(), strict=True)
        )

    def remember(self, step: int, readings: tuple[Reading, ...], snapshot: Snapshot) -> None:
        """Keep the worst of the run, with trades and without."""
        for measure, reading in enumerate(readings):
            seen, base = self.worst[measure], self.worst_base[measure]
            if isfinite(reading.value) and (
                seen is None or further(measure, reading.value, seen.reading.value)
            ):
                self.worst[measure] = Moment(reading, step, snapshot)
            if isfinite(reading.base) and (base is None or further(measure, reading.base, base.reading.base)):
                self.worst_base[measure] = Moment(reading, step, snapshot)


def further(measure: int, one: float, other: float) -> bool:
    """Whether a value is further out than another; a NaN is further out than any number."""
    if isnan(other) or isnan(one):
        return isnan(one) and not isnan(other)
    return one < other if measure == V_MIN else one > other


def worst_of(measure: int, readings: list[Reading]) -> Reading:
    """The worst of several readings of one measure."""
    worst = readings[0]
    for reading in readings[1:]:
        if further(measure, reading.value, worst.value):
            worst = reading
    return worst


def worst_base_of(measure: int, readings: list[Reading]) -> float:
    """The worst value without trades of several readings of one measure."""
    worst = readings[0].base
    for reading in readings[1:]:
        if further(measure, reading.base, worst):
            worst = reading.base
    return worst


def worst_step(readings: list[tuple[Reading, ...]], limits: LimitsSection) -> int:
    """Which of an interval's steps comes nearest to a limit, or is farthest beyond one; the first of equals.

    A step without a value (NaN) is the worst: it is the one to look at.
    """
    if len(readings) == 1:
        return 0
    band = (limits.voltage_min_pu, limits.voltage_max_pu)
    ratings = (limits.highest_line_loading_percent, limits.highest_transformer_loading_percent)
    use = np.zeros(len(readings))
    for i, (low, high, *loadings) in enumerate(readings):
        parts = [
            (value - 1) / (limit - 1)
            for value, limit in zip((low.value, high.value), band, strict=True)
            if limit != 1
        ]
        parts += [one.value / limit for one, limit in zip(loadings, ratings, strict=True) if one.row >= 0]
        use[i] = np.inf if np.isnan(parts).any() else max(parts)
    return int(np.argmax(use))


@njit(cache=True)
def _furthest(values, rows, sign):  # type: ignore[no-untyped-def]
    """Greatest of ``sign`` times the values at the rows, and its row: the first NaN, or the first of equals."""
    found, at = np.nan, -1
    for row in rows:
        value = values[row]
        if np.isnan(value):
            return value, row
        if at < 0 or sign * value > sign * found:
            found, at = value, row
    return found, at


@njit(cache=True)
def _look(v_pu, loading_percent, buses, lines, trafos):  # type: ignore[no-untyped-def]
    """Values and rows of the four measures, (4, 2) each: with trades, without."""
    values, rows = np.empty((4, 2)), np.empty((4, 2), dtype=np.int64)
    for j, scenario in enumerate((WITH, WITHOUT)):
        v, loading = v_pu[scenario], loading_percent[scenario]
        values[V_MIN, j], rows[V_MIN, j] = _furthest(v, buses, -1.0)
        values[V_MAX, j], rows[V_MAX, j] = _furthest(v, buses, 1.0)
        values[LINE, j], rows[LINE, j] = _furthest(loading, lines, 1.0)
        values[TRAFO, j], rows[TRAFO, j] = _furthest(loading, trafos, 1.0)
    return values, rows

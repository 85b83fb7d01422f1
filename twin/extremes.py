"""The extremes of the plant: lowest and highest voltage, highest line and transformer loading, and their moments."""

from dataclasses import dataclass
from math import isfinite, isnan

import numpy as np

from adapters.grid.engine import GridState
from adapters.grid.feeder import FloatArray, IntArray
from twin.gate.limits import Limits
from twin.plant import WITH, WITHOUT
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


NONE = Reading(float("nan"), -1, float("nan"), -1)


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
        v = state.v_pu[:, self._buses]
        return (
            _reading(v, v.argmin(axis=1), self._buses) if v.size else NONE,
            _reading(v, v.argmax(axis=1), self._buses) if v.size else NONE,
            self._loading(state, self._lines),
            self._loading(state, self._trafos),
        )

    def _loading(self, state: GridState, rows: IntArray) -> Reading:
        if not len(rows):
            return NONE
        loading = state.loading_percent[:, rows]
        return _reading(loading, loading.argmax(axis=1), rows)

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


def _reading(values: FloatArray, at: IntArray, rows: IntArray) -> Reading:
    return Reading(
        float(values[WITH, at[WITH]]),
        int(rows[at[WITH]]),
        float(values[WITHOUT, at[WITHOUT]]),
        int(rows[at[WITHOUT]]),
    )

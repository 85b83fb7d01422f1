"""EN 50160: ten-minute means of every week against the bands of voltage and unbalance, at the supply terminals.

Clauses and numbers are those of EN 50160:2010 (with A1:2015): 4.2.2.2 and 4.2.4 at low voltage (up to 1 kV), 5.2.2.2
and 5.2.4 at medium voltage (up to 36 kV). docs/reference/limits.md says what of them was confirmed and how.
"""

from dataclasses import dataclass, field

import numpy as np

from adapters.grid.engine import BoolArray, GridState
from adapters.grid.feeder import Feeder, FloatArray, IntArray
from twin.clock_means import TEN_MINUTES_S, ClockMeans, Mean, full_windows, supply_rows
from twin.gate.further import whole_buses
from twin.gate.kinds import Kind
from twin.plant import WITH, WITHOUT
from twin.violations import NOTHING, WORSE_PU, Snapshot, over

VOLTAGE, EXTREME, UNBALANCE = "en50160_voltage", "en50160_extreme", "en50160_unbalance"
WINDOWS_PER_WEEK = 7 * 24 * 6
LV_V, MV_V = 1000.0, 36000.0
BAND = 0.10
UNBALANCE_PERCENT = 2.0
CLAUSES = {
    VOLTAGE: ("EN 50160:2010 4.2.2.2 (95 % of a week's 10 min means within ±10 %)",
              "EN 50160:2010 5.2.2.2 (99 % of a week's 10 min means below +10 %, 99 % above −10 %)"),
    EXTREME: ("EN 50160:2010 4.2.2.2 (all 10 min means within +10 %/−15 %)",
              "EN 50160:2010 5.2.2.2 (all 10 min means within ±15 %)"),
    UNBALANCE: ("EN 50160:2010 4.2.4 (95 % of a week's 10 min means up to 2 %)",
                "EN 50160:2010 5.2.4 (95 % of a week's 10 min means up to 2 %)"),
}  # fmt: skip
"""Low and medium voltage."""


@dataclass(frozen=True)
class WorstMean:
    """The worst ten-minute mean of a breach: what it is one of, the bound (pu or percent), how far beyond, and its
    moments.
    """

    kind: Kind
    limit: float
    beyond: float
    snapshot: Snapshot


@dataclass(frozen=True)
class Breach:
    """A clause that one supply terminal broke in one week.

    ``value`` and ``limit``: of VOLTAGE and UNBALANCE the percentage of means that were within the band and the one
    that must be; of EXTREME the outermost mean in pu. ``count`` ten-minute means were outside, first and worst at
    these seconds since 1970.
    """

    kind: str
    row: int
    value: float
    limit: float
    count: int
    first_s: int
    worst_s: int
    by_trades: bool
    clause: str
    mean: WorstMean | None = None


@dataclass
class Finding:
    """The worst week and terminal of one clause, with trades or without; ``margin`` positive inside."""

    value: float = float("nan")
    limit: float = float("nan")
    margin: float = float("nan")
    row: int = -1
    clause: str = ""
    broken: int = 0
    first_s: int | None = None

    def take(
        self, value: FloatArray, limit: FloatArray, margin: FloatArray, rows: IntArray, clauses: list[str]
    ) -> None:
        """Keep the least margin of one week."""
        if len(rows) == 0 or np.isnan(margin).all():
            return
        at = int(np.nanargmin(margin))
        if not margin[at] >= self.margin:
            self.value, self.limit, self.margin = float(value[at]), float(limit[at]), float(margin[at])
            self.row, self.clause = int(rows[at]), clauses[at]


@dataclass
class _Count:
    """Means outside one bound in the present week, (2, m): how many, and when first and worst.

    ``kind`` of the means, ``bound`` (m,) what they are held against; ``parts``: the moments of the worst mean with
    trades, by column, of those that are outside.
    """

    shape: tuple[int, int]
    kind: Kind
    bound: FloatArray
    outside: IntArray = field(init=False)
    first_s: IntArray = field(init=False)
    worst_s: IntArray = field(init=False)
    worst: FloatArray = field(init=False)
    parts: dict[int, tuple[tuple[float, Snapshot], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outside = np.zeros(self.shape, dtype=np.int64)
        self.first_s = np.zeros(self.shape, dtype=np.int64)
        self.worst_s = np.zeros(self.shape, dtype=np.int64)
        self.worst = np.full(self.shape, -np.inf)

    def see(self, mean: Mean, values: FloatArray) -> None:
        """Take the means (2, m); NaN, not known, is neither in nor out."""
        start_s = mean.start_s
        beyond = self.bound - values if self.kind == "voltage_min" else values - self.bound
        out = beyond > 0
        self.first_s[out & (self.outside == 0)] = start_s
        self.outside += out
        worse = beyond > self.worst
        self.worst_s[worse], self.worst[worse] = start_s, beyond[worse]
        for i in np.flatnonzero(worse[WITH] & out[WITH]).tolist():
            self.parts[i] = mean.parts

    def worst_mean(self, i: int) -> WorstMean | None:
        """The worst mean with trades of a column, if any was outside."""
        if i not in self.parts:
            return None
        return WorstMean(self.kind, float(self.bound[i]), float(self.worst[WITH, i]), over(self.parts[i]))


class En50160:
    """Counts a run's ten-minute means, week by week; only counters are kept, so that a year fits.

    Weeks are 1008 windows one after the other from the run's first full window; what is left at the end is no week.
    ``why_not`` says why nothing can be assessed, and is empty where something can.
    """

    def __init__(
        self, feeder: Feeder, start_s: int, step_s: int, end_s: int, profile_step_s: int = 0
    ) -> None:
        """Bind to a run from ``start_s`` to ``end_s`` (since 1970) with a solved state every ``step_s``.

        ``profile_step_s``: what the loads are means of; beyond ten minutes their peaks are gone before they are
        solved, however fine the steps.
        """
        rows = supply_rows(feeder)
        rows = rows[feeder.bus_vn_v[rows] <= MV_V * (1 + 1e-9)]
        sites = (
            np.intersect1d(whole_buses(feeder), _first_rows(feeder, rows))
            if not feeder.balanced
            else rows[:0]
        )
        self.rows = {VOLTAGE: rows, EXTREME: rows, UNBALANCE: np.asarray(sites, dtype=np.int64)}
        self._mv = {kind: feeder.bus_vn_v[at] > LV_V * (1 + 1e-9) for kind, at in self.rows.items()}
        self.windows = full_windows(start_s, end_s, TEN_MINUTES_S)
        self.weeks = 0
        self.unknown = 0  # means without a value, in weeks that were assessed
        self.breaches: list[Breach] = []
        self.found: dict[str, tuple[Finding, Finding]] = {kind: (Finding(), Finding()) for kind in self.rows}
        self.balanced = feeder.balanced
        self.why_not = _why_not(step_s, profile_step_s, self.windows, len(rows))
        shape = (2, len(rows) + len(sites))
        self._means = ClockMeans(start_s, step_s, TEN_MINUTES_S, shape)
        self._first_s = -(-start_s // TEN_MINUTES_S) * TEN_MINUTES_S
        self._begin_week()

    def _begin_week(self) -> None:
        m, sites = len(self.rows[VOLTAGE]), len(self.rows[UNBALANCE])
        mv, one = self._mv[VOLTAGE], np.ones(m)
        self._low = _Count((2, m), "voltage_min", (1 - BAND) * one)
        self._high = _Count((2, m), "voltage_max", (1 + BAND) * one)
        self._lowest = _Count((2, m), "voltage_min", 0.85 * one)
        self._highest = _Count((2, m), "voltage_max", np.where(mv, 1.15, 1.10))
        self._uneven = _Count((2, sites), "voltage_unbalance", np.full(sites, UNBALANCE_PERCENT))
        self._taken = 0
        self._lost = 0

    def look(self, step: int, state: GridState, snapshot: Snapshot = NOTHING) -> None:
        """Take one solved step (rows WITH and WITHOUT trades) and the powers behind it."""
        if self.why_not:
            return
        values: FloatArray | None = None
        if state.converged.all():
            values = state.v_pu[:, self.rows[VOLTAGE]]
            if len(self.rows[UNBALANCE]) and state.unbalance_percent is not None:
                values = np.concatenate((values, state.unbalance_percent[:, self.rows[UNBALANCE]]), axis=1)
        for mean in self._means.take(step, values, snapshot):
            self._take(mean)

    def _take(self, mean: Mean) -> None:
        m = len(self.rows[VOLTAGE])
        v, u = mean.values[:, :m], mean.values[:, m:]
        for count in (self._low, self._high, self._lowest, self._highest):
            count.see(mean, v)
        self._uneven.see(mean, u)
        self._lost += bool(np.isnan(mean.values).any())
        self._taken += 1
        if self._taken == WINDOWS_PER_WEEK:
            self._end_week()

    def _end_week(self) -> None:
        self.weeks += 1
        self.unknown += self._lost
        low, high = self._low, self._high
        mv = self._mv[VOLTAGE]
        # low voltage: both ends together may take 5 %; medium voltage: either end 1 %
        worse_end = np.maximum(low.outside, high.outside)
        self._share(
            VOLTAGE, np.where(mv, worse_end, low.outside + high.outside), np.where(mv, 99.0, 95.0), low, high
        )
        self._share(UNBALANCE, self._uneven.outside, np.full(len(self.rows[UNBALANCE]), 95.0), self._uneven)
        self._extremes()
        self._begin_week()

    def _share(self, kind: str, outside: IntArray, limit: FloatArray, *counts: _Count) -> None:
        """Judge how many of the week's means were within a band."""
        share = 100 * (1 - outside / WINDOWS_PER_WEEK)
        # in whole means, so that exactly 95 % is exactly that: limit percent of 1008 may be no whole number
        broken = outside * 100 > np.round((100 - limit) * WINDOWS_PER_WEEK)
        self._judge(kind, share, limit, share - limit, broken, outside, *counts)

    def _extremes(self) -> None:
        low, high, mv = self._lowest, self._highest, self._mv[EXTREME]
        lower = low.worst > high.worst  # how far beyond; both negative inside
        value = np.where(lower, 0.85 - low.worst, high.worst + np.where(mv, 1.15, 1.10))
        limit = np.where(lower, 0.85, np.where(mv, 1.15, 1.10))
        beyond = np.maximum(low.worst, high.worst)
        count = low.outside + high.outside
        self._judge(EXTREME, value, limit, -beyond, count > 0, count, low, high)

    def _judge(
        self, kind: str, value: FloatArray, limit: FloatArray, margin: FloatArray, broken: BoolArray,
        outside: IntArray, *counts: _Count,
    ) -> None:  # fmt: skip
        """Note one week of one clause: all arrays (2, m) but ``limit``, which may be (m,)."""
        rows, limit = self.rows[kind], np.broadcast_to(limit, value.shape)
        clauses = [CLAUSES[kind][int(level)] for level in self._mv[kind]]
        # of several bounds the one that was broken more, and the moment when it was worst
        worst = np.argmax([np.where(c.outside > 0, c.worst, -np.inf) for c in counts], axis=0)
        first_s = np.min([np.where(c.outside > 0, c.first_s, np.iinfo(np.int64).max) for c in counts], axis=0)
        for which in (WITH, WITHOUT):
            finding = self.found[kind][which]
            finding.take(value[which], limit[which], margin[which], rows, clauses)
            for i in np.flatnonzero(broken[which]):
                finding.broken += 1
                first = int(first_s[which, i])
                finding.first_s = first if finding.first_s is None else min(first, finding.first_s)
        for i in np.flatnonzero(broken[WITH]):
            count = counts[worst[WITH, i]]
            worst_s = int(count.worst_s[WITH, i])
            caused = bool(margin[WITHOUT, i] >= 0 or margin[WITH, i] < margin[WITHOUT, i] - WORSE_PU)
            self.breaches.append(
                Breach(kind, int(rows[i]), float(value[WITH, i]), float(limit[WITH, i]), int(outside[WITH, i]),
                       int(first_s[WITH, i]), worst_s, caused, clauses[i], count.worst_mean(int(i)))
            )  # fmt: skip


def _first_rows(feeder: Feeder, rows: IntArray) -> IntArray:
    """The first row of the site of each row."""
    _, first, inverse = np.unique(feeder.site, return_index=True, return_inverse=True)
    return np.unique(first[inverse[rows]])


def _why_not(step_s: int, profile_step_s: int, windows: int, rows: int) -> str:
    if step_s > TEN_MINUTES_S:
        return (
            f"the plant is solved every {step_s} s and 10 minute means need {TEN_MINUTES_S} s or less: "
            f"set interval_s or substep_s"
        )
    if profile_step_s > TEN_MINUTES_S:
        return (
            f"the profiles are means over {profile_step_s} s, whose peaks no step brings back: "
            f"10 minute means need profiles of {TEN_MINUTES_S} s or less"
        )
    if windows < WINDOWS_PER_WEEK:
        return (
            f"the run holds {windows} full 10 minute windows of the clock, and a week has {WINDOWS_PER_WEEK}: "
            f"run 7 days from a full ten minutes on"
        )
    return "" if rows else "nobody is connected at low or medium voltage"

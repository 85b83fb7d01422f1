"""ANSI C84.1: service voltage against ranges A and B, at the supply terminals, as sustained voltage.

Ranges of ANSI C84.1-2020 table 1, service voltage, in pu of the nominal system voltage: up to 600 V range A is 0.95 to
1.05 (114 to 126 V of 120) and range B 110/120 to 127/120; above, to 34.5 kV, A is 0.975 to 1.05 and B 0.95 to 127/120.
The standard limits sustained voltage and leaves open over which time; here means of ten minutes on the clock stand
for it, or the plant's own steps where these are longer.
"""

from dataclasses import dataclass, field

import numpy as np

from adapters.grid.engine import BoolArray, GridState
from adapters.grid.feeder import Feeder, FloatArray
from twin.clock_means import TEN_MINUTES_S, ClockMeans, Mean, full_windows, supply_rows
from twin.gate.kinds import Kind
from twin.plant import WITH, WITHOUT
from twin.scenario.limits_section import Standard
from twin.violations import NOTHING, WORSE_PU, EpisodeLog, Sighting, Snapshot, over

A: Kind = "ansi_range_a"
B: Kind = "ansi_range_b"
STANDARDS: dict[Kind, Standard] = {A: "ansi_c84_1_a", B: "ansi_c84_1_b"}
LV_V, MV_V = 600.0, 34500.0
RANGES = {A: ((0.95, 1.05), (0.975, 1.05)), B: ((110 / 120, 127 / 120), (0.95, 127 / 120))}
"""Low and medium voltage."""
CLAUSES = {
    A: "ANSI C84.1-2020 table 1, service voltage, range A",
    B: "ANSI C84.1-2020 table 1, service voltage, range B",
}
OUTCOMES = ("within range A", "within range B only", "outside range B")


@dataclass
class Stay:
    """How long the terminals stayed in each outcome, with trades or without; counts are of windows.

    ``terminals``, ``times`` and ``longest``: of being outside range A but within B, which B allows where it is
    "limited in extent, frequency, and duration": how many terminals, how often, and for how long at most.
    """

    windows: list[int] = field(default_factory=lambda: [0, 0, 0])
    times: int = 0
    longest: int = 0
    terminals: set[int] = field(default_factory=set)

    @property
    def worst(self) -> str:
        """The worst outcome that was seen."""
        return OUTCOMES[max((i for i, n in enumerate(self.windows) if n), default=0)]


@dataclass
class Extreme:
    """The least margin to a range, with trades (blamed on them, once anything is) or without."""

    margin: float = float("nan")
    value: float = float("nan")
    limit: float = float("nan")
    row: int = -1
    start_s: int = 0
    broken: int = 0
    first_s: int | None = None


class AnsiC84:
    """Follows the sustained voltage of a run; only counters and excursions are kept."""

    def __init__(self, asked: list[Standard], feeder: Feeder, start_s: int, step_s: int, end_s: int) -> None:
        """Bind to a run from ``start_s`` to ``end_s`` (since 1970) with a solved state every ``step_s``."""
        rows = supply_rows(feeder)
        self.rows = rows[feeder.bus_vn_v[rows] <= MV_V * (1 + 1e-9)]
        self.kinds: list[Kind] = [kind for kind, name in STANDARDS.items() if name in asked]
        self._names = feeder.bus_names
        mv = feeder.bus_vn_v[self.rows] > LV_V * (1 + 1e-9)
        self._low = {k: np.where(mv, RANGES[k][1][0], RANGES[k][0][0]) for k in RANGES}
        self._high = {k: np.where(mv, RANGES[k][1][1], RANGES[k][0][1]) for k in RANGES}
        # steps that are longer than ten minutes are the means themselves, wherever on the clock they begin
        self.window_s = max(step_s, TEN_MINUTES_S)
        self._shift_s = start_s % self.window_s if step_s > TEN_MINUTES_S else 0
        begin_s = start_s - self._shift_s
        self._means = ClockMeans(begin_s, step_s, self.window_s, (2, len(self.rows)))
        self.windows = full_windows(begin_s, end_s - self._shift_s, self.window_s)
        self._first_s = -(-begin_s // self.window_s) * self.window_s
        self.first_window_s = self._first_s - begin_s  # from the run's start
        self.log = EpisodeLog()  # in windows, from the first full one on
        self.unknown = 0
        self.stay = (Stay(), Stay())
        self.extremes: dict[Kind, tuple[Extreme, Extreme]] = {k: (Extreme(), Extreme()) for k in RANGES}
        self._since = np.zeros((2, len(self.rows)), dtype=np.int64)

    @property
    def why_not(self) -> str:
        """Why nothing can be assessed; empty where something can."""
        if not len(self.rows):
            return "nobody is connected at up to 34.5 kV"
        return "" if self.windows else "the run is shorter than ten minutes of the clock"

    def look(self, step: int, state: GridState, snapshot: Snapshot = NOTHING) -> None:
        """Take one solved step (rows WITH and WITHOUT trades) and the powers behind it."""
        if self.why_not:
            return
        values = state.v_pu[:, self.rows] if state.converged.all() else None
        for mean in self._means.take(step, values, snapshot):
            self._take(mean)

    def _take(self, mean: Mean) -> None:
        v = mean.values
        number = (mean.start_s - self._first_s) // self.window_s
        if np.isnan(v).any():
            self.unknown += 1
            self._since[:] = 0
            self.log.see(number, [], NOTHING)
            return
        # margins, not values, so that low and high voltages compare; negative is outside
        margin = {k: np.minimum(v - self._low[k], self._high[k] - v) for k in RANGES}
        for which in (WITH, WITHOUT):
            self._count(which, margin[A][which] < 0, margin[B][which] < 0)
        seen: list[Sighting] = []
        for kind, one in margin.items():
            kept = one[WITHOUT] >= 0
            blamed = (one[WITH] < 0) & (kept | ~(one[WITH] >= one[WITHOUT] - WORSE_PU))
            self._note(kind, WITH, one[WITH], blamed, v[WITH], mean.start_s + self._shift_s)
            self._note(
                kind, WITHOUT, one[WITHOUT], one[WITHOUT] < 0, v[WITHOUT], mean.start_s + self._shift_s
            )
            if kind in self.kinds:
                for i in np.flatnonzero(one[WITH] < 0):
                    value, limit = float(v[WITH, i]), self._limit(kind, int(i), float(v[WITH, i]))
                    row = int(self.rows[i])
                    seen.append(
                        Sighting(
                            kind, row, self._names[row], value, limit, -float(one[WITH, i]), bool(blamed[i])
                        )
                    )
        self.log.see(number, seen, over(mean.parts) if seen else NOTHING)

    def _limit(self, kind: Kind, i: int, value: float) -> float:
        """The end of the range that a value is nearer to."""
        low, high = float(self._low[kind][i]), float(self._high[kind][i])
        return low if value - low < high - value else high

    def _count(self, which: int, outside_a: BoolArray, outside_b: BoolArray) -> None:
        stay, between = self.stay[which], outside_a & ~outside_b
        stay.windows[0] += int((~outside_a).sum())
        stay.windows[1] += int(between.sum())
        stay.windows[2] += int(outside_b.sum())
        since = self._since[which]
        stay.times += int((between & (since == 0)).sum())
        since[:] = np.where(between, since + 1, 0)
        stay.longest = max(stay.longest, int(since.max(initial=0)))
        stay.terminals.update(np.flatnonzero(between).tolist())

    def _note(
        self, kind: Kind, which: int, margin: FloatArray, broken: BoolArray, v: FloatArray, start_s: int
    ) -> None:
        """Keep the least margin; once something is broken, only of what is."""
        extreme = self.extremes[kind][which]
        if broken.any():
            if not extreme.broken:
                extreme.margin, extreme.first_s = float("nan"), start_s
            extreme.broken += 1
            margin = np.where(broken, margin, np.inf)
        elif extreme.broken:
            return
        at = int(np.argmin(margin))
        if not margin[at] >= extreme.margin:
            extreme.margin, extreme.value, extreme.start_s = float(margin[at]), float(v[at]), start_s
            extreme.limit, extreme.row = self._limit(kind, at, float(v[at])), int(self.rows[at])

    def minutes(self, windows: int) -> float:
        """A number of windows as minutes."""
        return windows * self.window_s / 60

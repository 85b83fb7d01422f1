"""The linear programme: how much of each unit, within linearised limits. HiGHS solves it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters.grid.feeder import FloatArray
from twin.gate.units import Units

TIE = 1e-4
"""Relative weight by which an earlier order is preferred to a later one of the same value."""

OPTIONS = {
    "output_flag": False,
    "threads": 1,
    "presolve": "off",
    "solver": "simplex",
    "dual_feasibility_tolerance": 1e-9,
    "primal_feasibility_tolerance": 1e-9,
}

LEVELS = 6
"""Levels of the equal relative cut: those who are held up stay, the others go on."""


@dataclass(frozen=True)
class Row:
    """One linear row: ``coefficient`` @ y <= ``bound``, scaled to largest coefficient 1 by ``scale``."""

    key: Any
    coefficient: FloatArray
    bound: float
    scale: float

    @classmethod
    def make(cls, key: Any, coefficient: FloatArray, bound: float) -> "Row":
        """Scale a row; the schedule y = 0 of the moving units, the baseline, always stays allowed."""
        scale = float(np.abs(coefficient).max(initial=0.0)) or 1.0
        return cls(key, coefficient / scale, max(bound, 0.0) / scale, scale)


Cutter = Callable[[FloatArray], list[Row]]
"""Rows that a solution y breaks and that the programme does not hold yet."""


@dataclass
class Program:
    """Maximise value over accepted fractions y in [0, 1] of the units, pool sales equal to pool purchases.

    Rows are generated where a solution breaks them. Deterministic: one thread, simplex, ties by ``TIE``.
    Units that move power stay within ``radius`` of ``centre`` (fractions), if one is given.
    """

    units: Units
    centre: FloatArray | None = None
    radius: float = 1.0
    rows: list[Row] = field(default_factory=list)
    duals: dict[Any, float] = field(default_factory=dict)
    _index: list[int] = field(default_factory=list)
    _highs: Any = None
    _unit: float = 1.0
    _low: FloatArray = field(init=False)
    _high: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        import highspy

        n, energy = len(self.units.energy_wh), self.units.energy_wh
        self._inf = highspy.kHighsInf
        self._low, self._high = np.zeros(n + 1), np.ones(n + 1)
        if self.centre is not None:
            moving = np.flatnonzero(self.units.moves)
            self._low[moving] = np.maximum(self.centre[moving] - self.radius, 0)
            self._high[moving] = np.minimum(self.centre[moving] + self.radius, 1)
        self._highs = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in OPTIONS.items():
            self._highs.setOptionValue(option, value)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = n + 1, 0
        lp.sense_ = highspy.ObjSense.kMaximize
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = self.cost(), self._low, self._high
        lp.a_matrix_.start_ = np.zeros(n + 2, dtype=np.int32)
        self._highs.passModel(lp)
        balance = self.units.pool_sign * energy / max(1, int(energy.max(initial=1)))
        self._add(np.append(balance, 0.0), 0.0, 0.0)

    def cost(self) -> FloatArray:
        """Value of each unit, relative to the greatest, and 0 for the common fraction t."""
        n = len(self.units.energy_wh)
        preference = TIE * (1 - np.arange(n) / max(n, 1))
        value = (self.units.weight + np.abs(self.units.weight) * preference) * self.units.energy_wh
        # Largest coefficient 1: HiGHS judges optimality by absolute tolerances.
        self._unit = float(np.abs(value).max(initial=0.0)) or 1.0
        return np.append(value / self._unit, 0.0)

    def add(self, row: Row) -> None:
        """Add a limit row."""
        self.rows.append(row)
        self._index.append(self._highs.getNumRow())
        self._add(np.append(row.coefficient, 0.0), -self._inf, row.bound)

    def _add(self, coefficient: FloatArray, low: float, high: float) -> None:
        index = np.flatnonzero(coefficient).astype(np.int32)
        self._highs.addRow(low, high, len(index), index, coefficient[index])

    def value(self, cutter: Cutter) -> FloatArray:
        """Fractions of greatest value. Fills ``duals`` by row key, in millionths per unit of the row."""
        y = self._solve(cutter)
        self.duals = self._prices()
        return y

    def _prices(self) -> dict[Any, float]:
        dual = self._highs.getSolution().row_dual
        pairs = zip(self.rows, self._index, strict=True)
        return {row.key: float(dual[index]) * self._unit / 1000 / row.scale for row, index in pairs}

    def equal(self, cutter: Cutter) -> FloatArray:
        """Equal relative cut: raise the common fraction; who is held up stays, the others go on.

        ``duals`` then tell which limits bound, but are not money.
        """
        n = len(self.units.energy_wh)
        free = [int(u) for u in np.flatnonzero(self.units.moves & (self.units.energy_wh > 0))]
        held = np.zeros(n + 1)
        everything = np.arange(n + 1, dtype=np.int32)
        first = self._highs.getNumRow()
        for u in free:
            self._highs.addRow(0.0, self._inf, 2, np.array([u, n], dtype=np.int32), np.array([1.0, -1.0]))
        rows = {u: first + i for i, u in enumerate(free)}
        prices: dict[Any, float] = {}
        for _ in range(LEVELS):
            self._highs.changeColsCost(n + 1, everything, np.append(np.zeros(n), 1.0))
            y = self._solve(cutter)
            solution = self._highs.getSolution()
            t, dual = float(solution.col_value[n]), np.asarray(solution.row_dual)
            prices |= {key: price for key, price in self._prices().items() if price > 0}
            stuck = [u for u in rows if abs(dual[rows[u]]) > 1e-9 and y[u] <= t + 1e-9]
            for u in stuck:
                held[u] = t
                self._highs.changeRowBounds(rows.pop(u), -self._inf, self._inf)
                self._highs.changeColBounds(u, t, t)
            if not stuck or not rows or t >= 1:
                break
        for u in rows:
            held[u] = t
        self._highs.changeColsCost(n + 1, everything, self.cost())
        self._highs.changeColsBounds(n + 1, everything, np.maximum(held - 1e-9, self._low), self._high)
        y = self.value(cutter)
        self.duals |= {key: price for key, price in prices.items() if not self.duals.get(key, 0.0) > 0}
        return y

    def _solve(self, cutter: Cutter) -> FloatArray:
        """Solve, add what the solution breaks, until it breaks nothing."""
        import highspy

        while True:
            self._highs.run()
            if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                raise ProgramError(str(self._highs.getModelStatus()))
            y: FloatArray = np.clip(np.asarray(self._highs.getSolution().col_value)[:-1], 0.0, 1.0)
            broken = cutter(y)
            if not broken:
                return y
            for row in broken:
                self.add(row)


class ProgramError(Exception):
    """HiGHS found no optimum: the rows cannot be kept within the radius, or a numerical accident."""

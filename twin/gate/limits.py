"""Limits of a feeder as arrays, and what it means to break one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from adapters.grid.engine import BoolArray, GridState
from adapters.grid.feeder import Feeder, FloatArray

if TYPE_CHECKING:
    from twin.scenario.limits_section import LimitsSection

Kind = Literal["voltage_min", "voltage_max", "line_loading", "transformer_loading", "no_solution"]


@dataclass(frozen=True)
class Violation:
    """One element beyond one limit.

    ``row`` is the bus or branch row in the feeder, -1 for ``no_solution`` (the power flow itself has none).
    ``value`` and ``limit`` are in ``unit`` (pu or percent); ``value`` is NaN where the solver gave none.
    """

    kind: Kind
    row: int
    element: str
    value: float
    limit: float

    @property
    def unit(self) -> str:
        """Unit of value and limit; empty where there is no solution."""
        if self.kind == "no_solution":
            return ""
        return "pu" if self.kind.startswith("voltage") else "percent"


@dataclass(frozen=True)
class Limits:
    """Voltage band per bus and loading limit per branch.

    An infinite limit means that the element is not watched there: its value may then be NaN (a dead bus, a
    branch without rating). Where a limit is finite, NaN is never within it.
    """

    v_min_pu: FloatArray
    v_max_pu: FloatArray
    loading_max_percent: FloatArray
    bus_names: tuple[str, ...]
    branch_names: tuple[str, ...]
    branch_kind: tuple[str, ...]

    @classmethod
    def from_section(cls, feeder: Feeder, section: LimitsSection, dead_buses: Sequence[int] = ()) -> Limits:
        """Limits of a scenario; ``dead_buses`` (rows) are de-energised by design and not watched."""
        trafo = np.array([kind == "trafo" for kind in feeder.branch_kind], dtype=bool)
        rating = np.where(trafo, feeder.branch_rated_va, feeder.branch_rated_a)
        loading = np.where(trafo, section.transformer_loading_percent, section.line_loading_percent)
        return cls(
            v_min_pu=np.full(feeder.n_bus, float(section.voltage_min_pu)),
            v_max_pu=np.full(feeder.n_bus, float(section.voltage_max_pu)),
            loading_max_percent=np.where(np.isnan(rating), np.inf, loading),
            bus_names=feeder.bus_names,
            branch_names=feeder.branch_names,
            branch_kind=feeder.branch_kind,
        ).without_buses(dead_buses)

    def without_buses(self, rows: Sequence[int]) -> Limits:
        """The same limits with some buses not watched."""
        if not len(rows):
            return self
        low, high = self.v_min_pu.copy(), self.v_max_pu.copy()
        low[list(rows)], high[list(rows)] = -np.inf, np.inf
        return replace(self, v_min_pu=low, v_max_pu=high)

    def tightened(self, v_pu: float, loading_percent: float) -> Limits:
        """The same limits less a margin in pu and in percentage points."""
        return replace(
            self,
            v_min_pu=self.v_min_pu + v_pu,
            v_max_pu=self.v_max_pu - v_pu,
            loading_max_percent=self.loading_max_percent - loading_percent,
        )

    def no_worse_than(self, state: GridState, row: int, slack_pu: float) -> Limits:
        """The worse of each limit and the state's value: the feeder's own violations are not the trades'.

        ``slack_pu`` is added where the state is the worse of the two (a hundredfold of it in percent), so
        that the solver's last digits are not taken for a worsening.
        """
        v, loading = state.v_pu[row], state.loading_percent[row]
        return replace(
            self,
            v_min_pu=np.where(v < self.v_min_pu, v - slack_pu, self.v_min_pu),
            v_max_pu=np.where(v > self.v_max_pu, v + slack_pu, self.v_max_pu),
            loading_max_percent=np.where(
                loading > self.loading_max_percent, loading + 100 * slack_pu, self.loading_max_percent
            ),
        )

    @property
    def bounds(self) -> FloatArray:
        """The limits in one row: lowest voltages, highest voltages, loadings (2 n_bus + n_branch)."""
        return np.concatenate((self.v_min_pu, self.v_max_pu, self.loading_max_percent))

    @property
    def watched(self) -> BoolArray:
        """Which entries of ``bounds`` are finite."""
        return np.isfinite(self.bounds)

    def excess(self, state: GridState) -> FloatArray:
        """How far each watched limit is exceeded, (k, 2 n_bus + n_branch), in pu and percent; <= 0 is within.

        NaN and a row that did not converge count as infinitely far beyond; unwatched entries as -inf.
        """
        beyond = np.concatenate(
            (
                self.v_min_pu - state.v_pu,
                state.v_pu - self.v_max_pu,
                state.loading_percent - self.loading_max_percent,
            ),
            axis=1,
        )
        beyond[np.isnan(beyond) | ~state.converged[:, None]] = np.inf
        beyond[:, ~self.watched] = -np.inf
        return beyond

    def within(self, state: GridState) -> BoolArray:
        """Which of the k scenarios converged and keep every limit."""
        v, loading = state.v_pu, state.loading_percent
        # Written so that NaN fails: NaN <= x is False, and only an infinite limit excuses it.
        low = (self.v_min_pu <= v) | (self.v_min_pu == -np.inf)
        high = (v <= self.v_max_pu) | (self.v_max_pu == np.inf)
        load = (loading <= self.loading_max_percent) | (self.loading_max_percent == np.inf)
        inside: BoolArray = (low & high).all(axis=1) & load.all(axis=1) & state.converged
        return inside

    def name(self, entry: int) -> tuple[Kind, int, str]:
        """Kind, row and element name of an entry of ``bounds``."""
        n = len(self.bus_names)
        if entry < 2 * n:
            return ("voltage_min" if entry < n else "voltage_max"), entry % n, self.bus_names[entry % n]
        row = entry - 2 * n
        kind: Kind = "transformer_loading" if self.branch_kind[row] == "trafo" else "line_loading"
        return kind, row, self.branch_names[row]

    def label(self, entry: int) -> str:
        """An entry of ``bounds`` in words, e.g. 'voltage_min at LV1.101 Bus 4'."""
        kind, _, element = self.name(entry)
        return f"{kind} at {element}"

    def violations(self, state: GridState, row: int) -> list[Violation]:
        """Every limit that scenario ``row`` breaks, in the order of ``bounds``.

        A scenario without a solution gives a single ``no_solution``: no element has a value then.
        """
        if not state.converged[row]:
            return [Violation("no_solution", -1, "power flow", float("nan"), float("nan"))]
        one = self.excess(one_row(state, row))[0]
        values = np.concatenate((state.v_pu[row], state.v_pu[row], state.loading_percent[row]))
        bounds = self.bounds
        return [
            Violation(*self.name(int(e)), float(values[e]), float(bounds[e]))
            for e in np.flatnonzero(~(one <= 0))
        ]


def one_row(state: GridState, row: int) -> GridState:
    """Scenario ``row`` alone."""
    cut = slice(row, row + 1)
    return GridState(
        v_pu=state.v_pu[cut],
        loading_percent=state.loading_percent[cut],
        p_branch_w=state.p_branch_w[cut],
        p_slack_w=state.p_slack_w[cut],
        q_slack_var=state.q_slack_var[cut],
        loss_w=state.loss_w[cut],
        converged=state.converged[cut],
    )

"""Limits of a feeder as arrays, and what it means to break one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from adapters.grid.engine import BoolArray, GridState
from adapters.grid.feeder import Feeder, FloatArray
from twin.gate.further import Further
from twin.gate.kinds import Kind, unit_of
from twin.gate.screen import rows_within

if TYPE_CHECKING:
    from twin.scenario.limits_section import LimitsSection

__all__ = ["Kind", "Limits", "Violation", "one_row"]


@dataclass(frozen=True)
class Violation:
    """One element beyond one limit.

    ``row`` is the bus or branch row in the feeder, -1 at the feeder's head and for ``no_solution`` (the power flow
    itself has none). ``value`` and ``limit`` are in ``unit``; ``value`` is NaN where the solver gave none.
    """

    kind: Kind
    row: int
    element: str
    value: float
    limit: float

    @property
    def unit(self) -> str:
        """Unit of value and limit (pu, percent, W, VA); empty where there is no solution."""
        return unit_of(self.kind)


@dataclass(frozen=True)
class Limits:
    """Voltage band per bus, loading limit per branch, and ``further`` limits where a scenario sets any.

    An infinite limit means that the element is not watched there: its value may then be NaN (a dead bus, a
    branch without rating). Where a limit is finite, NaN is never within it.
    """

    v_min_pu: FloatArray
    v_max_pu: FloatArray
    loading_max_percent: FloatArray
    bus_names: tuple[str, ...]
    branch_names: tuple[str, ...]
    branch_kind: tuple[str, ...]
    further: Further | None = None

    @classmethod
    def from_section(
        cls,
        feeder: Feeder,
        section: LimitsSection,
        dead_buses: Sequence[int] = (),
        *,
        short_time: bool = False,
    ) -> Limits:
        """Limits of a scenario; ``dead_buses`` (rows) are de-energised by design and not watched.

        ``short_time``: loadings are held against the short-time ratings, where the scenario sets any, as the plant
        is judged (its moving average is judged apart). The operator does not know for how long a loading will last,
        so its limit is the continuous rating.
        """
        trafo = np.array([kind == "trafo" for kind in feeder.branch_kind], dtype=bool)
        rating = np.where(trafo, feeder.branch_rated_va, feeder.branch_rated_a)
        lines, trafos = section.line_loading_percent, section.transformer_loading_percent
        if short_time:
            lines, trafos = section.highest_line_loading_percent, section.highest_transformer_loading_percent
        loading = np.where(trafo, trafos, lines)
        return cls(
            v_min_pu=np.full(feeder.n_bus, float(section.voltage_min_pu)),
            v_max_pu=np.full(feeder.n_bus, float(section.voltage_max_pu)),
            loading_max_percent=np.where(np.isnan(rating), np.inf, loading),
            bus_names=feeder.bus_names,
            branch_names=feeder.branch_names,
            branch_kind=feeder.branch_kind,
            further=Further.from_section(feeder, section),
        ).without_buses(dead_buses)

    def without_buses(self, rows: Sequence[int]) -> Limits:
        """The same limits with some buses not watched."""
        if not len(rows):
            return self
        low, high = self.v_min_pu.copy(), self.v_max_pu.copy()
        low[list(rows)], high[list(rows)] = -np.inf, np.inf
        further = self.further and self.further.without_buses(rows)
        return replace(self, v_min_pu=low, v_max_pu=high, further=further)

    def based_on(self, v_pu: FloatArray) -> Limits:
        """The same limits, with the voltages without trades (n_bus,) that a limited rise is measured from."""
        if self.further is None or not len(self.further.risen):
            return self
        return replace(self, further=self.further.based_on(v_pu))

    def tightened(self, v_pu: float, loading_percent: float) -> Limits:
        """The same limits less a margin in pu and in percentage points."""
        return replace(
            self,
            v_min_pu=self.v_min_pu + v_pu,
            v_max_pu=self.v_max_pu - v_pu,
            loading_max_percent=self.loading_max_percent - loading_percent,
            further=self.further and self.further.tightened(v_pu, loading_percent),
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
            further=self.further and self.further.no_worse_than(state, row, slack_pu),
        )

    @property
    def bounds(self) -> FloatArray:
        """The limits in one row: lowest voltages, highest voltages, loadings, further (2 n_bus + n_branch + m)."""
        known = (self.v_min_pu, self.v_max_pu, self.loading_max_percent)
        return np.concatenate(known if self.further is None else (*known, self.further.bounds))

    def values(self, state: GridState) -> FloatArray:
        """What is held against ``bounds``, (k, 2 n_bus + n_branch + m), in pu, percent, W and VA."""
        known = (state.v_pu, state.v_pu, state.loading_percent)
        return np.concatenate(known if self.further is None else (*known, self.further.values(state)), axis=1)

    @property
    def watched(self) -> BoolArray:
        """Which entries of ``bounds`` are finite."""
        return np.isfinite(self.bounds)

    def excess(self, state: GridState) -> FloatArray:
        """How far each watched limit is exceeded, in the shape and units of ``values``; <= 0 is within.

        NaN and a row that did not converge count as infinitely far beyond; unwatched entries as -inf.
        """
        parts = [
            self.v_min_pu - state.v_pu,
            state.v_pu - self.v_max_pu,
            state.loading_percent - self.loading_max_percent,
        ]
        if self.further is not None:
            parts.append(self.further.values(state) - self.further.bounds)
        beyond = np.concatenate(parts, axis=1)
        beyond[np.isnan(beyond) | ~state.converged[:, None]] = np.inf
        beyond[:, ~self.watched] = -np.inf
        return beyond

    def within(self, state: GridState) -> BoolArray:
        """Which of the k scenarios converged and keep every limit."""
        inside: BoolArray = rows_within(
            state.v_pu, state.loading_percent, state.converged,
            self.v_min_pu, self.v_max_pu, self.loading_max_percent,
        )  # fmt: skip
        return inside if self.further is None else inside & self.further.within(state)

    def name(self, entry: int) -> tuple[Kind, int, str]:
        """Kind, row and element name of an entry of ``bounds``."""
        n = len(self.bus_names)
        if entry < 2 * n:
            return ("voltage_min" if entry < n else "voltage_max"), entry % n, self.bus_names[entry % n]
        row, m = entry - 2 * n, len(self.branch_names)
        if self.further is not None and row >= m:
            one = row - m
            return self.further.kinds[one], int(self.further.rows[one]), self.further.elements[one]
        kind: Kind = "transformer_loading" if self.branch_kind[row] == "trafo" else "line_loading"
        return kind, row, self.branch_names[row]

    def label(self, entry: int) -> str:
        """An entry of ``bounds`` in words, e.g. 'voltage_min at LV1.101 Bus 4'."""
        kind, _, element = self.name(entry)
        return f"{kind} at {element}"

    def worst(self, excess: FloatArray) -> int:
        """The entry that is furthest beyond its limit, (n_bounds,) of one scenario; W and VA count in percent."""
        if self.further is None:
            return int(np.argmax(excess))
        known, m = len(excess) - len(self.further), len(self.further.head)
        weighed = excess.copy()
        weighed[known : known + m] *= 100 / np.maximum(self.further.bounds[:m], 1.0)
        return int(np.argmax(weighed))

    def violations(self, state: GridState, row: int) -> list[Violation]:
        """Every limit that scenario ``row`` breaks, in the order of ``bounds``.

        A scenario without a solution gives a single ``no_solution``: no element has a value then.
        """
        if not state.converged[row]:
            return [Violation("no_solution", -1, "power flow", float("nan"), float("nan"))]
        alone = one_row(state, row)
        one, values = self.excess(alone)[0], self.values(alone)[0]
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
        unbalance_percent=None if state.unbalance_percent is None else state.unbalance_percent[cut],
    )

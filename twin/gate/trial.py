"""A trial: the gate's question to the power flow, what if these energies were accepted?"""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from adapters.grid.engine import BoolArray, Engine, GridState
from adapters.grid.feeder import FloatArray
from twin.gate.limits import Limits, one_row
from twin.gate.sensitivity import Sensitivity, sensitivity
from twin.gate.units import Units, WattHours

ENUMERATED = 2000
"""Up to so many sets of failing deliveries are all put to the power flow; beyond, the worst for each limit."""

Failures = tuple[int, ...]
"""Rows of ``Units.by_participant`` that deliver nothing."""


@dataclass(frozen=True)
class Answer:
    """What the power flow says to one schedule.

    ``state`` holds the scenario in which everybody delivers; ``excess`` (n_bounds,) is the worst over it and
    all failures that were tried; ``failed`` maps each of those to its own excess.
    """

    passed: bool
    state: GridState
    excess: FloatArray
    failed: dict[Failures, FloatArray]


@dataclass
class Trial:
    """Baseline, units and the limits that hold in this interval; counts the power flows it asked for.

    ``robust`` deliveries may fail at the same time without breaking a limit.
    """

    engine: Engine
    limits: Limits
    p_base_w: FloatArray
    q_base_var: FloatArray
    units: Units
    robust: int = 0
    solves: int = 0
    slope: FloatArray | None = None

    def solve(self, p_gen_w: FloatArray) -> GridState:
        """Solve k scenarios of power at the connection points, (k, n_points)."""
        return self._count(p_gen_w, np.broadcast_to(self.q_base_var, p_gen_w.shape))

    def state(self, accepted_wh: WattHours) -> GridState:
        """Solve one schedule (n,) or several (k, n), everybody delivering."""
        return self.solve(np.atleast_2d(self.p_base_w + self.units.power_w(accepted_wh)))

    def linearise(self, accepted_wh: WattHours) -> Sensitivity:
        """Derivatives at a schedule with respect to every point where somebody moves power."""
        units = self.units
        step_w = max(1.0, 0.02 * float(np.abs(units.effect_w_per_wh * units.energy_wh).max(initial=0.0)))
        points = np.flatnonzero((units.effect_w_per_wh != 0).any(axis=1) | self._placed())
        p_gen_w = self.p_base_w + units.power_w(accepted_wh)
        feeder = self.engine.feeder
        sens = sensitivity(
            self._count, feeder, p_gen_w, self.q_base_var, points, step_w, further=self.limits.further
        )
        self.slope = sens.excess_per_w
        return sens

    def _count(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        self.solves += len(p_gen_w)
        return self.engine.solve(p_gen_w, q_gen_var)

    def _placed(self) -> BoolArray:
        placed = np.zeros(len(self.p_base_w), dtype=bool)
        placed[self.units.place] = True
        return placed

    def ask(self, accepted_wh: WattHours) -> Answer:
        """Put one schedule to the power flow, with the failures it must stand.

        Where these are too many to try them all, the latest derivatives find the worst for each limit.
        """
        sets = self._failures(accepted_wh)
        change = self.units.change_w(accepted_wh)
        power = np.tile(self.p_base_w + self.units.power_w(accepted_wh), (1 + len(sets), 1))
        for row, failures in enumerate(sets, start=1):
            np.subtract.at(power[row], self.units.place[list(failures)], change[list(failures)])
        states = self.solve(power)
        excess = self.limits.excess(states)
        return Answer(
            passed=bool(self.limits.within(states).all()),
            state=one_row(states, 0),
            excess=excess.max(axis=0),
            failed=dict(zip(sets, excess[1:], strict=True)),
        )

    def passing(self, schedules: WattHours) -> tuple[BoolArray, FloatArray]:
        """Which schedules of (k, n) pass, and the worst excess of each, (k, n_bounds)."""
        if not self.robust:
            states = self.state(schedules)
            return self.limits.within(states), self.limits.excess(states)
        answers = [self.ask(schedule) for schedule in schedules]
        return np.array([a.passed for a in answers], dtype=bool), np.stack([a.excess for a in answers])

    def _failures(self, accepted_wh: WattHours) -> list[Failures]:
        if not self.robust:
            return []
        change = self.units.change_w(accepted_wh)
        who = np.flatnonzero(change)
        sizes = range(1, min(self.robust, len(who)) + 1)
        if sum(comb(len(who), size) for size in sizes) <= ENUMERATED:
            return [tuple(int(i) for i in c) for size in sizes for c in combinations(who, size)]
        if self.slope is None:
            self.linearise(accepted_wh)
        single: set[Failures] = {(int(i),) for i in who}
        return sorted((single | set(self.worst(change))) - {()})

    def worst(self, change_w: FloatArray) -> list[Failures]:
        """For each limit the failures, at most ``robust``, that the latest derivatives find worst."""
        assert self.slope is not None
        if not self.robust:
            return [()] * len(self.slope)
        effect = -self.slope[:, self.units.place] * change_w
        order = np.argsort(-effect, axis=1, kind="stable")[:, : self.robust]
        adverse = np.take_along_axis(effect, order, axis=1) > 0
        return [tuple(sorted(int(i) for i in o[a])) for o, a in zip(order, adverse, strict=True)]

"""Sequential linear programming: solve, round to whole Wh, ask the power flow, relinearise there."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from adapters.grid.engine import GridState
from adapters.grid.feeder import FloatArray, IntArray
from twin.gate.program import Program, ProgramError, Row
from twin.gate.sensitivity import Sensitivity, sensitivity
from twin.gate.trial import Trial
from twin.gate.units import WattHours

ROUNDS = 8
ROWS_PER_CUT = 4
CUT_TOLERANCE = 1e-9

Key = tuple[int, int]
"""Entry of ``Limits.bounds``, and the direction of flow that a loading was linearised at (0: voltages)."""


@dataclass(frozen=True)
class Settled:
    """What the sequence ended with.

    ``feasible``: the schedule has passed the power flow; otherwise it is the last one tried. ``price`` is the
    dual of each limit in millionths per pu or percent, and ``sensitivity`` belongs to the last programme.
    """

    accepted_wh: WattHours
    feasible: bool
    price: dict[int, float]
    sensitivity: Sensitivity
    rounds: int


@dataclass
class _Linear:
    """The linearised limits: the newest row of each key; a loading keeps one row per direction of flow.

    A current's magnitude is close to the larger of two linear functions, one per direction, so both are kept:
    replacing one by the other would make the sequence jump back and forth over a reversal.
    """

    trial: Trial
    reserve: float = 2.0
    rows: dict[Key, Row] = field(default_factory=dict)
    excess: FloatArray = field(init=False)
    slope: FloatArray = field(init=False)
    direction: IntArray = field(init=False)
    at: FloatArray = field(init=False)
    margin: FloatArray = field(init=False)

    def relinearise(self, state: GridState, at_wh: WattHours, sens: Sensitivity) -> None:
        """Take value and slope at a schedule; refresh the rows that belong to its directions of flow."""
        units = self.trial.units
        n_bus = state.v_pu.shape[1]
        self.at, self.slope = at_wh.astype(np.float64), sens.excess_per_w
        self.excess = self.trial.limits.excess(state)[0]
        flow = np.where(state.p_branch_w[0] < 0, -1, 1)
        self.direction = np.concatenate((np.zeros(2 * n_bus, dtype=np.int64), flow))
        # Rounding to whole Wh may cost the power of one Wh per unit that is cut in part: usually two.
        per_wh = np.abs(units.effect_w_per_wh).max(initial=0.0)
        self.margin = self.reserve * np.abs(self.slope).max(axis=1) * per_wh
        for key in [k for k in self.rows if self.direction[k[0]] == k[1]]:
            self.rows[key] = self.row(key[0])

    def row(self, entry: int) -> Row:
        """The row of one limit at the present operating point, over fractions of the units."""
        units = self.trial.units
        per_wh = self.slope[entry] @ units.effect_w_per_wh
        bound = per_wh @ self.at - self.excess[entry] - self.margin[entry]
        return Row.make((entry, int(self.direction[entry])), per_wh * units.energy_wh, float(bound))

    def broken(self, y: FloatArray) -> list[Row]:
        """The worst limits that the fractions break in the linear model and that no row states yet."""
        units = self.trial.units
        change = units.effect_w_per_wh @ (y * units.energy_wh - self.at)
        size = np.abs(self.slope).max(axis=1) + 1e-30
        over = (self.excess + self.slope @ change + self.margin) / size
        over[~np.isfinite(over)] = -np.inf
        new: list[Row] = []
        for entry in np.argsort(-over, kind="stable")[: 4 * ROWS_PER_CUT]:
            key = (int(entry), int(self.direction[entry]))
            if not over[entry] > CUT_TOLERANCE or len(new) == ROWS_PER_CUT:
                break
            if key not in self.rows:
                self.rows[key] = self.row(int(entry))
                new.append(self.rows[key])
        return new


def settle(
    trial: Trial, weights: Literal["value", "equal"], start_wh: WattHours, start: GridState
) -> Settled:
    """Run the sequence from a solved schedule (``start`` holds one scenario) until it is feasible as rounded.

    Raises ``ProgramError`` where HiGHS finds no optimum.
    """
    units = trial.units
    moving = (units.effect_w_per_wh != 0).any(axis=1)
    points = np.flatnonzero(moving)
    step_w = max(1.0, 0.02 * float(np.abs(units.effect_w_per_wh * units.energy_wh).max()))
    linear = _Linear(trial)
    at, state = start_wh, start
    accepted, price, sens = at, {}, Sensitivity(np.zeros((0, 0)), np.zeros(0))
    for done in range(1, ROUNDS + 1):
        sens = sensitivity(trial, trial.p_base_w + units.power_w(at), points, step_w)
        linear.relinearise(state, at, sens)
        program = Program(units)
        for row in linear.rows.values():
            program.add(row)
        y = program.value(linear.broken) if weights == "value" else program.equal(linear.broken, units.moves)
        price = _by_entry(program.duals)
        accepted = units.balanced(y * units.energy_wh)
        state = trial.state(accepted)
        if bool(trial.limits.within(state)[0]):
            return Settled(accepted, True, price, sens, done)
        if state.converged[0]:
            at = accepted
        else:
            at, state = _half_way(trial, at, accepted)
        linear.reserve *= 1.5
    return Settled(accepted, False, price, sens, done)


def _half_way(trial: Trial, at: WattHours, beyond: WattHours) -> tuple[WattHours, GridState]:
    """From a schedule with a solution towards one without, half of the way as often as it takes."""
    for _ in range(20):
        beyond = trial.units.balanced((at + beyond) / 2)
        state = trial.state(beyond)
        if state.converged[0]:
            return beyond, state
    return at, trial.state(at)


def _by_entry(duals: dict[Any, float]) -> dict[int, float]:
    price: dict[int, float] = {}
    for (entry, _), value in duals.items():
        if value > 1e-9:
            price[entry] = price.get(entry, 0.0) + value
    return price


__all__ = ["ProgramError", "Settled", "settle"]

"""Sequential linear programming: solve, round to whole Wh, ask the power flow, relinearise there."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from twin.gate.program import Program, ProgramError, Row
from twin.gate.sensitivity import Sensitivity
from twin.gate.trial import Answer, Failures, Trial
from twin.gate.units import WattHours

ROUNDS = 8
FREE_ROUNDS = 2
FIRST_RADIUS = 0.2
"""How far an order's share may move in the first round that is not free; half of it in each one after."""
ROWS_PER_CUT = 4
CUT_TOLERANCE = 1e-9

Weights = Literal["value", "equal"]

Key = tuple[int, int, Failures]
"""Entry of ``Limits.bounds``, direction of flow that a loading was linearised at (0: voltages), failures."""


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
    failed: dict[Failures, FloatArray] = field(init=False)

    def relinearise(self, answer: Answer, at_wh: WattHours, sens: Sensitivity) -> None:
        """Take value and slope at a schedule; refresh the rows that belong to its directions of flow."""
        state, units = answer.state, self.trial.units
        self.at, self.slope, self.failed = at_wh.astype(np.float64), sens.excess_per_w, answer.failed
        self.excess = self.trial.limits.excess(state)[0]
        flow = np.where(state.p_branch_w[0] < 0, -1, 1)
        buses = 2 * state.v_pu.shape[1]
        self.direction = np.zeros(len(self.excess), dtype=np.int64)  # 0: not of a branch
        self.direction[buses : buses + len(flow)] = flow
        # Rounding to whole Wh may cost the power of one Wh per unit that is cut in part: usually two.
        per_wh = np.abs(units.effect_w_per_wh).max(initial=0.0)
        self.margin = self.reserve * np.abs(self.slope).max(axis=1) * per_wh
        for entry, direction, failures in list(self.rows):
            if self.direction[entry] == direction:
                self.rows[entry, direction, failures] = self.row(entry, failures)

    def turned(self, answer: Answer) -> bool:
        """Whether a current flows the other way than where the slopes were taken."""
        flow, buses = np.where(answer.state.p_branch_w[0] < 0, -1, 1), 2 * answer.state.v_pu.shape[1]
        return bool((flow != self.direction[buses : buses + len(flow)]).any())

    def row(self, entry: int, failures: Failures) -> Row:
        """The row of one limit under some failures at the present operating point, over fractions."""
        units = self.trial.units
        lost = list(failures)
        per_wh = units.per_wh(self.slope[entry : entry + 1])[0]
        for who in lost:
            per_wh = per_wh - self.slope[entry, units.place[who]] * units.by_participant[who]
        if failures in self.failed:
            excess = self.failed[failures][entry]
        else:
            without = self.slope[entry, units.place[lost]] @ units.change_w(self.at)[lost]
            excess = self.excess[entry] - without
        bound = float(per_wh @ self.at - excess - self.margin[entry])
        return Row.make((entry, int(self.direction[entry]), failures), per_wh * units.energy_wh, bound)

    def broken(self, y: FloatArray) -> list[Row]:
        """The worst limits that the fractions break in the linear model and that no row states yet."""
        units = self.trial.units
        wh = y * units.energy_wh
        over = self.excess + self.slope @ units.power_w(wh - self.at) + self.margin
        failures: list[Failures] = [()] * len(over)
        if self.trial.robust:
            lost = units.change_w(wh)
            failures = self.trial.worst(lost)
            over = over - [
                self.slope[e, units.place[list(f)]] @ lost[list(f)] for e, f in enumerate(failures)
            ]
        over = over / (np.abs(self.slope).max(axis=1) + 1e-30)
        over[~np.isfinite(over)] = -np.inf
        new: list[Row] = []
        for entry in np.argsort(-over, kind="stable")[: 4 * ROWS_PER_CUT]:
            key = (int(entry), int(self.direction[entry]), failures[entry])
            if not over[entry] > CUT_TOLERANCE or len(new) == ROWS_PER_CUT:
                break
            if key not in self.rows:
                self.rows[key] = self.row(key[0], key[2])
                new.append(self.rows[key])
        return new


def settle(trial: Trial, weights: Weights, start_wh: WattHours, start: Answer) -> Settled:
    """Run the sequence from a schedule with a solution until it passes the power flow as rounded.

    The first rounds may go anywhere; the later ones stay ever nearer to the schedule before, because among
    many orders of nearly the same worth the best schedule jumps, and what it breaks jumps with it.
    Raises ``ProgramError`` where HiGHS finds no optimum.
    """
    linear, at, answer = _Linear(trial), start_wh, start
    for done in range(1, ROUNDS + 1):
        # Near by, the slopes still hold; only a current that has turned round needs new ones.
        if done <= FREE_ROUNDS or linear.turned(answer):
            sens = trial.linearise(at)
        linear.relinearise(answer, at, sens)
        radius = 1.0 if done <= FREE_ROUNDS else FIRST_RADIUS * 0.5 ** (done - FREE_ROUNDS - 1)
        accepted, price = _round(linear, weights, radius)
        answer = trial.ask(accepted)
        if answer.passed or done == ROUNDS:
            break
        at, answer = _solved(trial, at, accepted, answer)
        linear.reserve *= 1.5
    if answer.passed and done > FREE_ROUNDS:
        linear.relinearise(answer, accepted, sens)
        free, price = _round(linear, weights, 1.0)
        if float(trial.units.weight @ (free - accepted)) > 0 and trial.ask(free).passed:
            accepted = free
    return Settled(accepted, answer.passed, price, sens, done)


def _round(linear: _Linear, weights: Weights, radius: float) -> tuple[WattHours, dict[int, float]]:
    """One programme, within the radius (1 or more: anywhere) or the next wider one that has a solution."""
    units = linear.trial.units
    while True:
        near = radius < 1
        centre = linear.at / np.maximum(units.energy_wh, 1) if near else None
        program = Program(units, centre, radius)
        for row in linear.rows.values():
            program.add(row)
        try:
            y = program.value(linear.broken) if weights == "value" else program.equal(linear.broken)
        except ProgramError:
            if not near:
                raise
            radius *= 4
        else:
            return units.balanced(y * units.energy_wh), _by_entry(program.duals)


def _solved(trial: Trial, at: WattHours, beyond: WattHours, answer: Answer) -> tuple[WattHours, Answer]:
    """The schedule itself if it has a solution, else half of the way to it as often as it takes."""
    for _ in range(20):
        if answer.state.converged[0]:
            return beyond, answer
        beyond = trial.units.balanced((at + beyond) / 2)
        answer = trial.ask(beyond)
    return at, trial.ask(at)


def _by_entry(duals: dict[Any, float]) -> dict[int, float]:
    price: dict[int, float] = {}
    for (entry, _, _), value in duals.items():
        if value > 1e-9:
            price[entry] = price.get(entry, 0.0) + value
    return price

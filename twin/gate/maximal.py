"""The last pass: raise what still fits, so that no order was cut without need."""

import numpy as np

from adapters.grid.feeder import FloatArray
from twin.gate.sensitivity import Sensitivity
from twin.gate.trial import Trial
from twin.gate.units import Units, WattHours

PASSES = 40
WORTH_TRYING_WH = 0.2
"""A pair of pool orders is put to the power flow if the linear model leaves it at least this much."""


def maximal(trial: Trial, accepted_wh: WattHours, sens: Sensitivity) -> WattHours:
    """Raise single orders, contracts and pairs of pool orders while the power flow allows it.

    At the end no order outside the pool could have one Wh more, nor any pair of a pool sale and a pool
    purchase that the linear model does not rule out already.
    """
    units = trial.units
    state = trial.state(accepted_wh)
    excess = trial.limits.excess(state)[0]
    for _ in range(PASSES):
        steps = _steps(units, accepted_wh)
        room = _room(units, steps, excess, sens)
        left = (units.energy_wh - accepted_wh).astype(np.float64)
        cap = np.array([left[u != 0].min() for u in steps]) if len(steps) else np.empty(0)
        pooled = np.array([abs(u).sum() > 1 for u in steps], dtype=bool)
        keep = ~pooled | (room >= WORTH_TRYING_WH)
        steps, room, cap = steps[keep], room[keep], cap[keep]
        if not len(steps):
            break
        amount = np.maximum(np.floor(np.minimum(room, cap)), 1.0)
        gain = (steps @ units.weight) * amount
        tries = np.concatenate((accepted_wh + steps * amount[:, None].astype(np.int64), accepted_wh + steps))
        worth = np.concatenate((gain, steps @ units.weight))
        states = trial.state(tries)
        passed = np.flatnonzero(trial.limits.within(states))
        if not len(passed):
            break
        best = passed[np.argmax(worth[passed])]
        accepted_wh = tries[best]
        excess = trial.limits.excess(states)[best]
    return accepted_wh


def _steps(units: Units, accepted_wh: WattHours) -> WattHours:
    """What could have one Wh more, (k, n_units) of 0 and 1: units outside the pool, and pool pairs."""
    n = len(accepted_wh)
    short = accepted_wh < units.energy_wh
    single = np.flatnonzero(short & (units.pool_sign == 0) & units.moves)
    sales = _one_of_a_kind(units, np.flatnonzero(short & (units.pool_sign > 0)))
    buys = _one_of_a_kind(units, np.flatnonzero(short & (units.pool_sign < 0)))
    pair_s, pair_b = np.repeat(sales, len(buys)), np.tile(buys, len(sales))
    steps = np.zeros((len(single) + len(pair_s), n), dtype=np.int64)
    steps[np.arange(len(single)), single] = 1
    row = len(single) + np.arange(len(pair_s))
    steps[row, pair_s] = 1
    steps[row, pair_b] = 1
    return steps


def _one_of_a_kind(units: Units, chosen: WattHours) -> WattHours:
    """Of units with the same effect on the feeder the most valuable, the earliest among equals."""
    best: dict[bytes, int] = {}
    for u in chosen[np.argsort(-units.weight[chosen], kind="stable")]:
        best.setdefault(units.effect_w_per_wh[:, u].tobytes(), int(u))
    return np.array(sorted(best.values()), dtype=np.int64)


def _room(units: Units, steps: WattHours, excess: FloatArray, sens: Sensitivity) -> FloatArray:
    """Wh that each step could grow by in the linear model."""
    slope = sens.excess_per_w @ (units.effect_w_per_wh @ steps.T)
    watched = np.isfinite(excess)
    with np.errstate(divide="ignore"):
        room = np.where(slope > 1e-15, -excess[:, None] / np.where(slope > 1e-15, slope, 1.0), np.inf)
    least: FloatArray = room[watched].min(axis=0, initial=np.inf)
    return np.maximum(least, 0.0)

"""The last pass: raise what still fits, so that no order was cut without need."""

from dataclasses import dataclass

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from twin.gate.sensitivity import Sensitivity
from twin.gate.trial import Trial
from twin.gate.units import Units, WattHours

PASSES = 40
ROBUST_PASSES = 4  # each costs a power flow per delivery that could fail
FIRST = 8
"""Steps that are tried first, by the value that the linear model promises; the rest only if none of them fits."""
PARTS = np.array([1.0, 0.5, 0.2, 0.05, 0.0])
"""Parts of what the linear model promises that are tried together, down to a single Wh."""
WORTH_TRYING_WH = 0.2
WORTH_TRYING = 1e-6
"""A pair of pool orders is put to the power flow if the linear model leaves it at least so much energy, and so
much of the whole schedule's value."""


@dataclass(frozen=True)
class _Steps:
    """Ways to accept one Wh more: units ``a`` and, for a pair of pool orders, ``b`` (else -1)."""

    a: IntArray
    b: IntArray

    def __len__(self) -> int:
        return len(self.a)

    def sum(self, units: FloatArray) -> FloatArray:
        """Sum of a per-unit quantity (..., n_units) over the units of each step, (..., k)."""
        return units[..., self.a] + np.where(self.b >= 0, units[..., self.b], 0)

    def least(self, left: WattHours) -> FloatArray:
        """Smallest of a per-unit quantity over the units of each step, (k,)."""
        return np.minimum(left[self.a], np.where(self.b >= 0, left[self.b], left[self.a]))

    def pick(self, keep: IntArray) -> "_Steps":
        return _Steps(self.a[keep], self.b[keep])


def maximal(trial: Trial, accepted_wh: WattHours, sens: Sensitivity) -> WattHours:
    """Raise single orders, contracts and pairs of pool orders while the power flow allows it.

    At the end no order outside the pool could have one Wh more, nor any pair of a pool sale and a pool
    purchase, unless the linear model rules it out or finds it worth less than a millionth of the whole.
    """
    units, accepted = trial.units, accepted_wh.copy()
    excess = trial.ask(accepted).excess
    per_wh = units.per_wh(sens.excess_per_w)
    for _ in range(ROBUST_PASSES if trial.robust else PASSES):
        steps = _steps(units, accepted)
        room = _room(steps.sum(per_wh), excess)
        gain = steps.sum(units.weight)
        amount = np.maximum(np.floor(np.minimum(room, steps.least(units.energy_wh - accepted))), 1.0)
        worth = (room >= WORTH_TRYING_WH) & (gain * amount >= WORTH_TRYING * np.abs(units.weight) @ accepted)
        keep = np.flatnonzero(((steps.b < 0) | worth) & (gain > 0))
        steps, gain, amount = steps.pick(keep), gain[keep], amount[keep]
        order = np.argsort(-gain * amount, kind="stable")
        for part in (order[:FIRST], order[FIRST:]):
            best = _try(trial, accepted, steps.pick(part), amount[part], gain[part])
            if best is not None:
                break
        else:
            return accepted
        step, wh, excess = part[best[0]], best[1], best[2]
        accepted[steps.a[step]] += wh
        if steps.b[step] >= 0:
            accepted[steps.b[step]] += wh
    return accepted


def _try(
    trial: Trial, accepted: WattHours, steps: _Steps, amount: FloatArray, gain: FloatArray
) -> tuple[int, int, FloatArray] | None:
    """Put steps to the power flow, with their amount, parts of it and one Wh; the best that fits."""
    if not len(amount):
        return None
    parts = np.maximum(np.floor(amount * PARTS[:, None]), 1.0)
    tried = np.ones(parts.shape, dtype=bool)
    tried[1:] = parts[1:] < parts[:-1]  # the same energy need not be tried twice
    step, wh = np.nonzero(tried)[1], parts[tried]
    tries = np.tile(accepted, (len(wh), 1))
    each, a, b = np.arange(len(wh)), steps.a[step], steps.b[step]
    tries[each, a] += wh.astype(np.int64)
    tries[each[b >= 0], b[b >= 0]] += wh[b >= 0].astype(np.int64)
    ok, excess = trial.passing(tries)
    passed = np.flatnonzero(ok)
    if not len(passed):
        return None
    best = passed[np.argmax((gain[step] * wh)[passed])]
    return int(step[best]), int(wh[best]), excess[best]


def _steps(units: Units, accepted: WattHours) -> _Steps:
    short = accepted < units.energy_wh
    single = np.flatnonzero(short & (units.pool_sign == 0) & units.moves)
    sales = _one_of_a_kind(units, np.flatnonzero(short & (units.pool_sign > 0)))
    buys = _one_of_a_kind(units, np.flatnonzero(short & (units.pool_sign < 0)))
    return _Steps(
        np.concatenate((single, np.repeat(sales, len(buys)))),
        np.concatenate((np.full(len(single), -1, dtype=np.int64), np.tile(buys, len(sales)))),
    )


def _one_of_a_kind(units: Units, chosen: IntArray) -> IntArray:
    """Of units with the same effect on the feeder the most valuable, the earliest among equals."""
    best: dict[bytes, int] = {}
    for u in chosen[np.argsort(-units.weight[chosen], kind="stable")]:
        best.setdefault(units.effect_w_per_wh[:, u].tobytes(), int(u))
    return np.array(sorted(best.values()), dtype=np.int64)


def _room(per_wh: FloatArray, excess: FloatArray) -> FloatArray:
    """Wh that each step could grow by in the linear model; ``per_wh`` (n_bounds, k) is what one does."""
    watched = np.isfinite(excess)
    slope = per_wh[watched]
    rising = slope > 1e-15
    room = np.where(rising, -excess[watched, None] / np.where(rising, slope, 1.0), np.inf)
    least: FloatArray = room.min(axis=0, initial=1e18)
    return np.maximum(least, 0.0)

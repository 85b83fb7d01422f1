"""The way back to the baseline: scale what moves power until the power flow is content."""

import numpy as np

from twin.gate.trial import Trial
from twin.gate.units import Units, WattHours

SECTIONS = 16
ROUNDS = 3


def scaled(units: Units, schedule_wh: WattHours, share: float) -> WattHours:
    """``share`` of every unit that moves power; the others only give up what the pool's balance needs."""
    return units.balanced(np.where(units.moves, schedule_wh * share, schedule_wh))


def bisect(trial: Trial, schedule_wh: WattHours) -> tuple[WattHours, int | None]:
    """The largest tried share of a schedule that keeps every limit, in whole Wh; the share 0 is the baseline.

    Sections instead of halves, because a batch of sixteen power flows costs little more than one. The result
    has passed the power flow as it stands, rounding included. The baseline is taken as feasible (it is what
    the limits were relaxed to). Also returns the limit (entry of ``Limits.bounds``) that the next larger share
    breaks, None where that has no solution.
    """
    low, high = 0.0, 1.0
    best, binding = scaled(trial.units, schedule_wh, 0.0), None
    for _ in range(ROUNDS):
        shares = np.linspace(low, high, SECTIONS + 2)[1:-1]
        tries = np.stack([scaled(trial.units, schedule_wh, float(share)) for share in shares])
        ok, excess = trial.passing(tries)
        passed = np.flatnonzero(ok)
        last = int(passed[-1]) if len(passed) else -1
        if last >= 0:
            best, low = tries[last], float(shares[last])
        if last + 1 < SECTIONS:
            high = float(shares[last + 1])
            over = excess[last + 1]
            binding = None if np.isposinf(over).any() else trial.limits.worst(over)
    return best, binding

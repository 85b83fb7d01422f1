"""Fit an emulated device to a recorded step response, with the error of the fit, so that CI runs the bench's
twin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_GOLDEN = (math.sqrt(5) - 1) / 2
_ITERATIONS = 80


@dataclass(frozen=True)
class StepFit:
    """A first-order lag fitted to a step from ``from_w`` to ``to_w`` at time 0.

    ``response_s`` is the time constant that ``emulated.response_s`` of a bench takes; ``rms_w`` the remaining
    root mean square error, ``worst_w`` the largest.
    """

    response_s: float
    from_w: float
    to_w: float
    rms_w: float
    worst_w: float
    samples: int


def fit_step(times_s: Sequence[float], powers_w: Sequence[float], from_w: float, to_w: float) -> StepFit:
    """Fit by least squares over the time constant (golden section on its logarithm).

    Args:
        times_s: Times since the step, rising, in s.
        powers_w: Powers at these times, in W.
        from_w: Power before the step.
        to_w: Set point of the step.

    Raises:
        ValueError: fewer than three samples, times that do not rise, a NaN, or no step at all.
    """
    if len(times_s) != len(powers_w) or len(times_s) < 3:
        raise ValueError(f"need at least three samples, got {len(times_s)} times and {len(powers_w)} powers")
    if any(not b > a for a, b in pairwise(times_s)) or not times_s[-1] > 0:
        raise ValueError("times must rise and end after the step")
    if not all(math.isfinite(p) for p in powers_w):
        raise ValueError("a power is not a number; leave bad samples out")
    if from_w == to_w:
        raise ValueError("there is no step: from_w equals to_w")

    def errors_w(response_s: float) -> list[float]:
        return [
            p - (to_w + (from_w - to_w) * math.exp(-max(t, 0.0) / response_s))
            for t, p in zip(times_s, powers_w, strict=True)
        ]

    def cost(log_s: float) -> float:
        return sum(e * e for e in errors_w(math.exp(log_s)))

    shortest_s = min(b - a for a, b in pairwise(times_s)) / 10
    low, high = math.log(shortest_s), math.log(10 * times_s[-1])
    for _ in range(_ITERATIONS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if cost(left) < cost(right):
            high = right
        else:
            low = left
    response_s = math.exp((low + high) / 2)
    left_w = errors_w(response_s)
    rms_w = math.sqrt(sum(e * e for e in left_w) / len(left_w))
    return StepFit(response_s, from_w, to_w, rms_w, max(abs(e) for e in left_w), len(left_w))


def has_drifted(fit: StepFit, response_s: float, *, tolerance: float = 0.2) -> bool:
    """Tell whether a fit and the bench's ``response_s`` have parted by more than ``tolerance`` (a share)."""
    return not abs(fit.response_s - response_s) <= tolerance * response_s

"""What one more watt does: derivatives of every watched value by batched central differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adapters.grid.feeder import Feeder, FloatArray, IntArray

if TYPE_CHECKING:
    from twin.gate.trial import Trial


@dataclass(frozen=True)
class Sensitivity:
    """Derivatives at one operating point.

    ``excess_per_w`` (n_bounds, n_points) in pu and percent per W, ordered as ``Limits.bounds``; columns of
    points where nobody moves power are zero. ``loss_per_w`` (n_points,) is W of loss per W injected.
    """

    excess_per_w: FloatArray
    loss_per_w: FloatArray


def groups(feeder: Feeder, points: IntArray) -> IntArray:
    """For each of ``points`` the first that has the same bus and phases: they cannot be told apart."""
    place = [(feeder.points[int(p)].bus, feeder.points[int(p)].phases) for p in points]
    first: dict[tuple[int, str], int] = {}
    for at, key in enumerate(place):
        first.setdefault(key, at)
    return np.array([first[key] for key in place], dtype=np.int64)


def sensitivity(trial: Trial, p_gen_w: FloatArray, points: IntArray, step_w: float) -> Sensitivity:
    """Differentiate at ``p_gen_w`` (n_points,) with respect to the given points, ``step_w`` either way.

    A derivative that has no value (a neighbouring power flow without solution) is zero; the power flow that
    verifies every schedule finds what that hides.
    """
    group = groups(trial.engine.feeder, points)
    heads = np.unique(group)
    power = np.tile(p_gen_w, (2 * len(heads), 1))
    each = np.arange(len(heads))
    power[each, points[heads]] += step_w
    power[len(heads) + each, points[heads]] -= step_w
    state = trial.solve(power)

    def slope(values: FloatArray) -> FloatArray:
        up, down = values[: len(heads)], values[len(heads) :]
        return np.nan_to_num((up - down) / (2 * step_w), nan=0.0, posinf=0.0, neginf=0.0)

    dv, dload, dloss = slope(state.v_pu), slope(state.loading_percent), slope(state.loss_w)
    column = np.searchsorted(heads, group)
    out = np.zeros((2 * dv.shape[1] + dload.shape[1], len(p_gen_w)))
    out[:, points] = np.concatenate((-dv, dv, dload), axis=1).T[:, column]
    loss = np.zeros(len(p_gen_w))
    loss[points] = dloss[column]
    return Sensitivity(out, loss)

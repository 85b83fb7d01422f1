"""What one more watt does: derivatives of every value by batched central differences."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from adapters.grid.engine import GridState
from adapters.grid.feeder import Feeder, FloatArray, IntArray
from twin.gate.further import Further

Solve = Callable[[FloatArray, FloatArray], GridState]


@dataclass(frozen=True)
class Sensitivity:
    """Derivatives at one operating point per W (or var) injected at each connection point.

    ``v_per_w`` (n_bus, n_points) in pu, ``loading_per_w`` (n_branch, n_points) in percent, ``loss_per_w``
    (n_points,) in W; columns of points that were not asked for are zero.
    """

    v_per_w: FloatArray
    loading_per_w: FloatArray
    loss_per_w: FloatArray
    further_per_w: FloatArray | None = None  # (m, n_points), of ``Limits.further``

    @property
    def excess_per_w(self) -> FloatArray:
        """Derivatives of ``Limits.excess``, (2 n_bus + n_branch + m, n_points)."""
        known = (-self.v_per_w, self.v_per_w, self.loading_per_w)
        return np.concatenate(known if self.further_per_w is None else (*known, self.further_per_w))


def sensitivity(
    solve: Solve,
    feeder: Feeder,
    p_gen_w: FloatArray,
    q_gen_var: FloatArray,
    points: IntArray,
    step_w: float,
    reactive: bool = False,
    further: Further | None = None,
) -> Sensitivity:
    """Differentiate at the operating point (n_points,) with respect to the given points, ``step_w`` either way.

    Points with the same bus and phases share a column of power flows. A derivative that has no value (a
    neighbouring power flow without solution) is zero; whoever uses it has the power flow check the outcome.
    """
    places = {(feeder.points[int(p)].bus, feeder.points[int(p)].phases): int(p) for p in points[::-1]}
    heads = np.array(sorted(places.values()), dtype=np.int64)
    k, each = len(heads), np.arange(len(heads))
    moved = np.tile(q_gen_var if reactive else p_gen_w, (2 * k, 1))
    moved[each, heads] += step_w
    moved[k + each, heads] -= step_w
    fixed = np.broadcast_to(p_gen_w if reactive else q_gen_var, moved.shape)
    state = solve(fixed, moved) if reactive else solve(moved, fixed)
    head_of = [places[feeder.points[int(p)].bus, feeder.points[int(p)].phases] for p in points]
    column = np.searchsorted(heads, np.array(head_of, dtype=np.int64))

    def slope(values: FloatArray) -> FloatArray:
        per_w = np.nan_to_num((values[:k] - values[k:]) / (2 * step_w), nan=0.0, posinf=0.0, neginf=0.0)
        out = np.zeros((values.shape[1], len(p_gen_w)))
        out[:, points] = per_w.T[:, column]
        return out

    more = None if further is None else slope(further.values(state))
    return Sensitivity(slope(state.v_pu), slope(state.loading_percent), slope(state.loss_w[:, None])[0], more)

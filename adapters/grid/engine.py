"""The contract of a power-flow engine: powers of shape (k, n) in, states of shape (k, ...) out."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from adapters.grid.feeder import Feeder, FloatArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ModelError:
    """How an engine's model departs from the feeder's data, to study a plant that is not what was planned.

    ``line_impedance_factor`` multiplies r and x of every line; ``source_voltage_pu`` replaces the slack's set
    point and ``tap_pos`` the position of every tap (``None``: as in the case).
    """

    line_impedance_factor: float = 1.0
    source_voltage_pu: float | None = None
    tap_pos: int | None = None


@dataclass(frozen=True)
class GridState:
    """Solved states of k scenarios. Where ``converged`` is False every number of that row is NaN.

    ``v_pu`` (k, n_bus); a bus that is de-energised by design is NaN and listed in ``Engine.dead_buses``.
    ``loading_percent`` (k, n_branch): current over rating for lines, the larger side's apparent power over
    rated power for transformers; NaN where the branch has no rating.
    ``p_branch_w`` (k, n_branch): active power into the branch at its from side.
    ``p_slack_w`` (k,): power the upstream grid delivers (positive: the feeder imports).
    ``loss_w`` (k,).
    """

    v_pu: FloatArray
    loading_percent: FloatArray
    p_branch_w: FloatArray
    p_slack_w: FloatArray
    q_slack_var: FloatArray
    loss_w: FloatArray
    converged: BoolArray


class Engine(Protocol):
    """A power-flow engine bound to one feeder (and one model error). Deterministic; keeps no state between calls."""

    name: str
    feeder: Feeder

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """Solve k balanced scenarios.

        Args:
            p_gen_w: (k, n_points) active power at the connection points, positive into the grid.
            q_gen_var: (k, n_points) reactive power, positive into the grid.

        Never raises for a scenario that does not converge: that row is marked. Raises ``GridInputError`` on a
        wrong shape or a non-finite input.
        """
        ...

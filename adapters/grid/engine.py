"""The contract of a power-flow engine: powers of shape (k, n) in, states of shape (k, ...) out."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from adapters.grid.errors import GridInputError
from adapters.grid.feeder import Feeder, FloatArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ModelError:
    """How an engine's model departs from the feeder's data, to study a plant that is not what was planned.

    ``line_impedance_factor`` multiplies r and x of every line; ``source_voltage_pu`` replaces the slack's set
    point and ``tap_pos`` the position of every tap (``None``: as in the case). ``line_factors`` multiplies r and x of
    each line by its own besides, in the order of the feeder's lines; empty: none. ``tap_positions`` are those of the
    transformers with a tap one by one, in the order of the case, and win over ``tap_pos``; empty: none.
    """

    line_impedance_factor: float = 1.0
    source_voltage_pu: float | None = None
    tap_pos: int | None = None
    line_factors: tuple[float, ...] = ()
    tap_positions: tuple[int, ...] = ()

    @property
    def of_lines(self) -> float | FloatArray:
        """What r and x of the lines are multiplied by: one number, or one per line."""
        return (
            self.line_impedance_factor * np.array(self.line_factors)
            if self.line_factors
            else self.line_impedance_factor
        )


AS_PLANNED = ModelError()


@dataclass(frozen=True)
class GridState:
    """Solved states of k scenarios. Where ``converged`` is False every number of that row is NaN.

    ``v_pu`` (k, n_bus): every bus of a feeder is energised, those that are not were left out on loading.
    ``loading_percent`` (k, n_branch), as pandapower's default defines it. Lines: the larger of the currents
    at both ends over the rating (with derating and parallel systems). Transformers: the larger of both
    windings' current over its rated current, rated power over the square root of three times the winding's
    rated voltage. NaN where the branch has no rating.
    ``p_branch_w`` (k, n_branch): active power into the branch at its from side; ``p_branch_to_w`` the same at its
    to side, where the engine ``keeps_ends``.
    ``p_slack_w``, ``q_slack_var`` (k,): what the upstream grid delivers (positive: the feeder imports).
    ``loss_w`` (k,): active power that goes into branches at one end and does not leave at the other.
    On an unbalanced feeder rows are per phase (``Feeder.bus_phase``), voltages are those to neutral, slack
    powers and losses are sums over phases, and ``unbalance_percent`` (k, n_bus) is the negative- over the
    positive-sequence voltage of the row's bus (IEC 61000-4-30), NaN where a phase is missing.
    """

    v_pu: FloatArray
    loading_percent: FloatArray
    p_branch_w: FloatArray
    p_slack_w: FloatArray
    q_slack_var: FloatArray
    loss_w: FloatArray
    converged: BoolArray
    unbalance_percent: FloatArray | None = None
    p_branch_to_w: FloatArray | None = None
    p_shift_w: FloatArray | None = None
    """(k, n_points): what the voltage makes of the points' powers, injected less asked; None where nothing depends."""


class Engine(Protocol):
    """A power-flow engine bound to one feeder and one model error. Deterministic; no state between calls."""

    name: str
    feeder: Feeder
    keeps_ends: bool
    """Whether states hold ``p_branch_to_w``; off unless somebody sets it."""

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """Solve k scenarios; a three-phase point spreads its power evenly over its phases.

        Args:
            p_gen_w: (k, n_points) active power at the connection points, positive into the grid.
            q_gen_var: (k, n_points) reactive power, positive into the grid.

        Never raises for a scenario that does not converge: that row is marked. Raises ``GridInputError`` on a
        wrong shape or a non-finite input.
        """
        ...


def check_powers(feeder: Feeder, p_gen_w: FloatArray, q_gen_var: FloatArray) -> None:
    """Refuse powers of a wrong shape or with a value that is no finite number.

    Raises:
        GridInputError: naming the first connection point and scenario concerned.
    """
    n_points = len(feeder.points)
    for name, values in (("p_gen_w", p_gen_w), ("q_gen_var", q_gen_var)):
        if values.ndim != 2 or values.shape[1] != n_points or values.shape != p_gen_w.shape:
            raise GridInputError(
                f"{name} has shape {values.shape}; (k, {n_points}) is needed, as many scenarios in both."
            )
        # a sum is finite unless a value is not (or overflows, which no power does): one pass, no temporary
        if not math.isfinite(values.sum()):
            scenarios, columns = np.nonzero(~np.isfinite(values))
            where = (
                (int(scenarios[0]), feeder.points[columns[0]].name) if len(columns) else ("all", "their sum")
            )
            raise GridInputError(f"{name} is not finite: scenario {where[0]}, connection point {where[1]}.")

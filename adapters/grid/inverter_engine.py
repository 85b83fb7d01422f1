"""An engine in which inverters answer: what a planner who knows their settings computes with."""

from typing import Protocol, runtime_checkable

import numpy as np

from adapters.grid.engine import Engine, GridState
from adapters.grid.feeder import FloatArray
from adapters.grid.inverter_fleet import InverterFleet, InverterSolution, solve_with_inverters
from adapters.grid.oltc import Following


@runtime_checkable
class Believing(Protocol):
    """An engine whose answers depend on what it was last told."""

    def frozen(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> tuple[Engine, FloatArray, FloatArray]:
        """A plain engine, and the powers that give there what this engine answers now."""
        ...


class InverterEngine:
    """Solves every scenario to the fixed point of power flow and inverters, as the plant does.

    The power at a connection point is a sum; ``foresee`` says which part of it inverters carry, at the baseline and of
    a change. Before it is told, there are no inverters. A fixed point that is not found is a scenario without solution.
    """

    def __init__(self, engine: Engine, fleet: InverterFleet) -> None:
        """Bind to an engine and the inverters on its feeder."""
        self._engine, self._fleet = engine, fleet
        self.feeder, self.name = engine.feeder, engine.name
        self.dead_buses = getattr(engine, "dead_buses", ())
        self._p_base_w: FloatArray | None = None
        self._place = np.zeros((len(fleet.point), len(engine.feeder.points)))
        self._place[np.arange(len(fleet.point)), fleet.point] = 1.0
        self._carried_w = self._share = np.zeros(len(fleet.point))

    @property
    def keeps_ends(self) -> bool:
        """As of the engine."""
        return self._engine.keeps_ends

    @keeps_ends.setter
    def keeps_ends(self, keeps: bool) -> None:
        self._engine.keeps_ends = keeps

    @property
    def follower(self) -> Following | None:
        """The engine behind, where that is told the taps' positions."""
        return self._engine if isinstance(self._engine, Following) else None

    def foresee(self, p_base_w: FloatArray, carried_w: FloatArray, share: FloatArray) -> None:
        """Say what is expected.

        Args:
            p_base_w: (n_points,) baseline, positive into the grid.
            carried_w: (m,) what of it each inverter could feed in (negative: it charges).
            share: (m,) of a change of power at an inverter's point, the part that it carries; 0..1.
        """
        self._p_base_w, self._carried_w, self._share = p_base_w, carried_w, share

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """See ``Engine.solve``."""
        if self._p_base_w is None:
            return self._engine.solve(p_gen_w, q_gen_var)
        found = self._solved(p_gen_w, q_gen_var)
        return without_rows(found.state, found)

    def frozen(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> tuple[Engine, FloatArray, FloatArray]:
        """See ``Believing``."""
        plain = self.follower.at() if self.follower is not None else self._engine
        if self._p_base_w is None:
            return plain, p_gen_w, q_gen_var
        found, p, q = self._solved(p_gen_w, q_gen_var), p_gen_w.copy(), q_gen_var.copy()
        p += (found.p_w - self._available(p_gen_w)) @ self._place
        q += found.q_var @ self._place
        return plain, p, q

    def _available(self, p_gen_w: FloatArray) -> FloatArray:
        at = self._fleet.point
        return self._carried_w + self._share * (p_gen_w[:, at] - self._p_base_w[at])  # type: ignore[index]

    def _solved(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> InverterSolution:
        available = self._available(p_gen_w)
        other = p_gen_w - available @ self._place
        return solve_with_inverters(self._engine, other, q_gen_var, self._fleet, available)


def without_rows(state: GridState, found: InverterSolution) -> GridState:
    """The state with rows whose fixed point was not found marked as not converged: all of their numbers are NaN."""
    lost = ~found.converged
    if not lost.any():
        return state
    for name in ("v_pu", "loading_percent", "p_branch_w", "p_slack_w", "q_slack_var", "loss_w"):
        getattr(state, name)[lost] = np.nan
    for part in (state.unbalance_percent, state.p_branch_to_w):
        if part is not None:
            part[lost] = np.nan
    state.converged[lost] = False
    return state

"""pandapower per phase: the reference for unbalanced feeders, slow and with limits that it does not state itself."""

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np

from adapters.grid.engine import AS_PLANNED, GridState, ModelError, check_powers
from adapters.grid.errors import UnsupportedElementError
from adapters.grid.feeder import Feeder, FloatArray
from adapters.grid.normalise import label
from adapters.grid.pgm_thevenin import borrowed
from adapters.grid.phases import PHASES, phase_shares
from adapters.grid.taps import net_with_error
from adapters.grid.thevenin import Thevenin

# others converge to NaN or to a plain exception in the middle of a run
VECTOR_GROUPS = ("DYN", "YNYN", "YZN")
NO_MAGNETISING_PERCENT = 1e6  # OpenDSS and power-grid-model have no zero-sequence magnetising branch


class PandapowerPhaseEngine:
    """``pandapower.runpp_3ph`` bound to an unbalanced feeder. Rows are per bus and phase."""

    name = "pandapower"
    keeps_ends = False

    def __init__(self, feeder: Feeder, model_error: ModelError = AS_PLANNED) -> None:
        """Copy the feeder's net, apply the model error and make every point a wye load.

        Raises:
            UnsupportedElementError: transformer groups that its three-phase run cannot do, three-winding
                transformers, generators and shunts that it leaves out without a word (all named).
            GridInputError: a tap position that the feeder does not have.
        """
        self.feeder = feeder
        self._model_error = model_error
        refused = tuple(_refused(feeder.native))
        if refused:
            raise UnsupportedElementError("pandapower (per phase)", refused, "opendss")
        self._net = _three_phase_net(feeder, model_error)
        self._shares = phase_shares(feeder)

    @cached_property
    def thevenin(self) -> Thevenin | None:
        """The feeder as its connection points see it, measured in power-grid-model; None where that cannot."""
        return borrowed(self.feeder, self._model_error)

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """See ``Engine.solve``."""
        check_powers(self.feeder, p_gen_w, q_gen_var)
        k, feeder = len(p_gen_w), self.feeder
        state = GridState(
            v_pu=np.full((k, feeder.n_bus), np.nan),
            loading_percent=np.full((k, feeder.n_branch), np.nan),
            p_branch_w=np.full((k, feeder.n_branch), np.nan),
            p_slack_w=np.full(k, np.nan),
            q_slack_var=np.full(k, np.nan),
            loss_w=np.full(k, np.nan),
            converged=np.zeros(k, dtype=np.bool_),
            unbalance_percent=np.full((k, feeder.n_bus), np.nan),
            p_branch_to_w=np.full((k, feeder.n_branch), np.nan) if self.keeps_ends else None,
        )
        for row in range(k):
            if self._run(p_gen_w[row], q_gen_var[row]):
                self._read(state, row)
                if not _balanced(state, row, p_gen_w[row]):
                    _blank(state, row)
        return state

    def _run(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> bool:
        import pandapower

        for i, phase in enumerate(PHASES):
            self._net.asymmetric_load[f"p_{phase}_mw"] = -p_gen_w * self._shares[:, i] / 1e6
            self._net.asymmetric_load[f"q_{phase}_mvar"] = -q_gen_var * self._shares[:, i] / 1e6
        try:
            with np.errstate(all="ignore"):
                pandapower.runpp_3ph(self._net, numba=False, max_iteration=60, tolerance_mva=1e-9)
        except (pandapower.LoadflowNotConverged, np.linalg.LinAlgError):
            return False
        # it can report convergence with NaN in its results
        return bool(np.isfinite(_table(self._net.res_bus_3ph, "vm_{}_pu")).all())

    def _read(self, state: GridState, row: int) -> None:
        net = self._net
        state.v_pu[row] = _table(net.res_bus_3ph, "vm_{}_pu")
        line, trafo, grid = net.res_line_3ph, net.res_trafo_3ph, net.res_ext_grid_3ph
        state.loading_percent[row] = np.concatenate(
            [_table(line, "loading_{}_percent"), _table(trafo, "loading_{}_percent")]
        )
        p_from = np.concatenate([_table(line, "p_{}_from_mw"), _table(trafo, "p_{}_hv_mw")]) * 1e6
        p_to = np.concatenate([_table(line, "p_{}_to_mw"), _table(trafo, "p_{}_lv_mw")]) * 1e6
        state.p_branch_w[row] = p_from
        if state.p_branch_to_w is not None:
            state.p_branch_to_w[row] = p_to
        state.loss_w[row] = p_from.sum() + p_to.sum()
        state.p_slack_w[row] = _table(grid, "p_{}_mw").sum() * 1e6
        state.q_slack_var[row] = _table(grid, "q_{}_mvar").sum() * 1e6
        state.converged[row] = True
        if state.unbalance_percent is not None:
            state.unbalance_percent[row] = np.repeat(net.res_bus_3ph.unbalance_percent.to_numpy(), 3)


def _balanced(state: GridState, row: int, p_gen_w: FloatArray) -> bool:
    """Whether power is conserved: beyond the loadability limit the run reports convergence without it."""
    residual = p_gen_w.sum() + state.p_slack_w[row] - state.loss_w[row]
    return bool(abs(residual) <= 1.0 + 1e-4 * np.abs(p_gen_w).sum())


def _blank(state: GridState, row: int) -> None:
    for field in dataclasses.fields(state):
        values = getattr(state, field.name)
        if values is None:
            continue
        values[row] = False if field.name == "converged" else np.nan


def _table(frame: Any, pattern: str) -> FloatArray:
    """A result per phase as one row per element and phase."""
    values: FloatArray = frame[[pattern.format(x) for x in PHASES]].to_numpy(dtype=np.float64).ravel()
    return values


def _refused(net: Any) -> list[str]:
    found = [
        f"{label(net, 'trafo', i)} (vector group {net.trafo.at[i, 'vector_group']})"
        for i in net.trafo.index
        if str(net.trafo.at[i, "vector_group"]).rstrip("0123456789").upper() not in VECTOR_GROUPS
    ]
    for table in ("trafo3w", "gen", "shunt", "ward", "xward", "motor", "impedance"):
        found += [f"{label(net, table, i)} ({table})" for i in net[table].index]
    return found


def _three_phase_net(feeder: Feeder, error: ModelError) -> Any:
    import pandapower

    net = net_with_error(feeder.native, error)
    for column in ("s_sc_max_mva", "rx_max", "r0x0_max", "x0x_max"):  # an ideal source, in every sequence
        value = {"s_sc_max_mva": 1e9}.get(column, 0.1 if "r" in column else 1.0)
        net.ext_grid[column] = value
    net.trafo["mag0_percent"], net.trafo["si0_hv_partial"] = NO_MAGNETISING_PERCENT, 0.5
    net.trafo["mag0_rx"] = 0.0
    net.load = net.load.iloc[:0]
    for point in feeder.points:
        pandapower.create_asymmetric_load(net, point.bus // 3, name=point.name)
    return net

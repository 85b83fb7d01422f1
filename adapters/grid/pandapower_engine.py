"""The pandapower engine: the reference, one Newton-Raphson power flow per scenario."""

from functools import cached_property
from typing import Any, Literal

import numpy as np

from adapters.grid.engine import AS_PLANNED, GridState, ModelError, check_powers
from adapters.grid.feeder import Feeder, FloatArray
from adapters.grid.own_solution import own_solution
from adapters.grid.pgm_thevenin import borrowed
from adapters.grid.taps import net_with_error
from adapters.grid.thevenin import ComplexArray, Thevenin
from adapters.grid.topology import potentials

TrafoModel = Literal["pi", "t"]
NEAR_PU = 0.25
"""Within this of nominal voltage nothing has collapsed."""
TOLERANCE_MVA = 1e-9  # 1 mW of mismatch; pandapower's own default is 10 mW


class PandapowerEngine:
    """pandapower bound to a feeder, with the π transformer model or pandapower's default, T."""

    name = "pandapower"
    keeps_ends = False

    def __init__(
        self, feeder: Feeder, model_error: ModelError = AS_PLANNED, trafo_model: TrafoModel = "pi"
    ) -> None:
        """Copy the feeder's net and apply the model error.

        Raises:
            GridInputError: ``model_error.tap_pos`` is outside the range of a tap.
        """
        self.feeder = feeder
        self._trafo_model = trafo_model
        self._model_error = model_error
        self._net = net_with_error(feeder.native, model_error)
        self._start = _start_values(self._net)
        self._unrated = ~(feeder.branch_rated_a > 0) & ~(feeder.branch_rated_va > 0)

    @cached_property
    def thevenin(self) -> Thevenin | None:
        """The feeder as its connection points see it, measured in power-grid-model; None where that cannot."""
        return borrowed(self.feeder, self._model_error)

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """See ``Engine.solve``."""
        check_powers(self.feeder, p_gen_w, q_gen_var)
        k, feeder = p_gen_w.shape[0], self.feeder
        state = GridState(
            v_pu=np.full((k, feeder.n_bus), np.nan),
            loading_percent=np.full((k, feeder.n_branch), np.nan),
            p_branch_w=np.full((k, feeder.n_branch), np.nan),
            p_slack_w=np.full(k, np.nan),
            q_slack_var=np.full(k, np.nan),
            loss_w=np.full(k, np.nan),
            converged=np.zeros(k, dtype=np.bool_),
            p_branch_to_w=np.full((k, feeder.n_branch), np.nan) if self.keeps_ends else None,
        )
        for row in range(k):
            if self._own(p_gen_w[row], q_gen_var[row]):
                self._read(state, row)
        return state

    def _run(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> bool:
        import pandapower

        self._net.load["p_mw"] = -p_gen_w / 1e6
        self._net.load["q_mvar"] = -q_gen_var / 1e6
        try:
            with np.errstate(all="ignore"):  # a diverging iteration overflows before it is given up
                pandapower.runpp(
                    self._net,
                    algorithm="nr",
                    **self._start,
                    calculate_voltage_angles=True,
                    trafo_model=self._trafo_model,
                    trafo_loading="current",
                    tolerance_mva=TOLERANCE_MVA,
                    max_iteration=30,
                    numba=False,  # compiling takes longer than all the reference solves of a run
                )
        except pandapower.LoadflowNotConverged:
            return False
        return bool(np.isfinite(self._net.res_bus.vm_pu.to_numpy()).all())

    def _phasors(self) -> ComplexArray:
        bus = self._net.res_bus
        at: ComplexArray = bus.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(bus.va_degree.to_numpy()))
        return at

    @cached_property
    def _idle(self) -> ComplexArray | None:
        """Voltages at no load; asked for where a solution is far from nominal voltage."""
        zero = np.zeros(len(self.feeder.points))
        return self._phasors() if self._run(zero, zero) else None

    def _own(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> bool:
        """Solve one scenario; whether it has a solution, and that is the feeder's own."""
        if not self._run(p_gen_w, q_gen_var):
            return False
        near = self._net.res_bus.vm_pu.to_numpy()
        if (np.abs(near - 1) < NEAR_PU).all():
            return True
        found, idle = self._phasors(), self._idle
        if idle is None or not own_solution(found, idle):
            return False
        return self._run(p_gen_w, q_gen_var)  # the results of no load stand in the net

    def _read(self, state: GridState, row: int) -> None:
        net = self._net
        state.v_pu[row] = net.res_bus.vm_pu.to_numpy()
        branches = _branch_results(net)
        state.loading_percent[row] = np.where(self._unrated, np.nan, branches[:, 0])
        state.p_branch_w[row] = branches[:, 1] * 1e6
        if state.p_branch_to_w is not None:
            state.p_branch_to_w[row] = (branches[:, 2] - branches[:, 1]) * 1e6
        state.p_slack_w[row] = net.res_ext_grid.p_mw.sum() * 1e6
        state.q_slack_var[row] = net.res_ext_grid.q_mvar.sum() * 1e6
        state.loss_w[row] = branches[:, 2].sum() * 1e6
        state.converged[row] = True


def _branch_results(net: Any) -> FloatArray:
    """Loading in percent, power into the from side in MW and loss in MW, per branch row of the feeder."""
    blocks = [
        net.res_line[["loading_percent", "p_from_mw", "pl_mw"]].to_numpy(dtype=np.float64),
        net.res_trafo[["loading_percent", "p_hv_mw", "pl_mw"]].to_numpy(dtype=np.float64),
    ]
    for row in net.res_trafo3w.itertuples() if len(net.trafo3w) else ():
        # the loss stands in the first of the two rows, so that sums over branches are right
        blocks.append(np.array([[row.loading_percent, -row.p_mv_mw, row.pl_mw]]))
        blocks.append(np.array([[row.loading_percent, -row.p_lv_mw, 0.0]]))
    for table in ("impedance", "tcsc"):
        if table in net and len(net[table]):
            result = net[f"res_{table}"]
            values = np.column_stack([np.full(len(result), np.nan), result.p_from_mw, result.pl_mw])
            blocks.append(values.astype(np.float64))
    return np.concatenate([block for block in blocks if len(block)] or [np.zeros((0, 3))])


def _start_values(net: Any) -> dict[str, Any]:
    """Start from nominal voltage and the angles that the transformers' vector groups give.

    pandapower's own start, a DC power flow, divides by the reactance, which a short cable may not have.
    """
    if len(net.trafo3w):
        return {"init": "dc"}
    shifts = [(int(a), int(b), 0.0) for a, b in zip(net.line.from_bus, net.line.to_bus, strict=True)]
    shifts += [
        (int(t.hv_bus), int(t.lv_bus), -float(np.nan_to_num(t.shift_degree))) for t in net.trafo.itertuples()
    ]
    sources = dict(zip(net.ext_grid.bus.tolist(), net.ext_grid.va_degree.fillna(0.0), strict=True))
    return {"init_vm_pu": "flat", "init_va_degree": potentials(len(net.bus), shifts, sources)}

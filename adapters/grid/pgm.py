"""The power-grid-model engine: fast, balanced, batches of scenarios in one call."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from adapters.grid.engine import AS_PLANNED, GridState, ModelError, check_powers
from adapters.grid.feeder import Feeder, FloatArray
from adapters.grid.pgm_core import ITERATIVE_CURRENT, BatchPlan, CoreModel
from adapters.grid.pgm_last_resort import LastResort
from adapters.grid.pgm_model import input_data
from adapters.grid.pgm_results import gathered, handed_over
from adapters.grid.pgm_thevenin import thevenin
from adapters.grid.taps import checked_tap
from adapters.grid.thevenin import Thevenin

# In pu between two iterations. Iterative current converges linearly, so it is asked for more than Newton.
TOLERANCE = 1e-9
ITERATIONS_CURRENT = 25
_UPDATE = {"sym_gen": ("p_specified", "q_specified")}
_OUTPUT = {
    "node": ("u_pu",),
    "line": ("loading", "p_from", "p_to"),
    "transformer": ("i_from", "i_to", "p_from", "p_to"),
    "source": ("p", "q"),
}


class PgmEngine:
    """power-grid-model bound to a feeder. Newton-Raphson is tried again where iterative current gives up."""

    name = "power_grid_model"
    keeps_ends = False

    def __init__(self, feeder: Feeder, model_error: ModelError = AS_PLANNED) -> None:
        """Convert the feeder.

        Raises:
            UnsupportedElementError: naming what power-grid-model cannot model.
            GridInputError: ``model_error.tap_pos`` is outside the range of a tap.
        """
        self.feeder = feeder
        net = feeder.native
        checked_tap(net, model_error)
        self._model_error = model_error
        self._model = CoreModel(input_data(net, model_error), float(net.f_hz), _UPDATE, _OUTPUT)
        self._n_line, self._n_trafo = len(net.line), len(net.trafo)
        self._rated = feeder.branch_rated_a[: self._n_line] > 0
        rated_va = feeder.branch_rated_va[self._n_line :]
        to_percent = 100.0 * np.sqrt(3.0) / rated_va
        self._hv_percent_per_a = to_percent * net.trafo.vn_hv_kv.to_numpy(dtype=np.float64) * 1e3
        self._lv_percent_per_a = to_percent * net.trafo.vn_lv_kv.to_numpy(dtype=np.float64) * 1e3

    @cached_property
    def _last_resort(self) -> LastResort:
        """A model of its own, because angles are of no use to any other solution."""
        net, output = self.feeder.native, {**_OUTPUT, "node": ("u_pu", "u_angle")}
        model = CoreModel(input_data(net, self._model_error), float(net.f_hz), _UPDATE, output)
        return LastResort(model, "sym_gen")

    @cached_property
    def thevenin(self) -> Thevenin | None:
        """The feeder as its connection points see it; None where it has too many."""
        net, feeder = self.feeder.native, self.feeder
        lines = 100.0 / feeder.branch_rated_a[: self._n_line]
        sides = (self._hv_percent_per_a, self._lv_percent_per_a)
        per_a = np.stack([np.concatenate((lines, side)) for side in sides])
        data = input_data(net, self._model_error)
        return thevenin(data, float(net.f_hz), feeder, np.ones((len(feeder.points), 1)), per_a)

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """See ``Engine.solve``."""
        k = len(p_gen_w)
        if not p_gen_w.shape == q_gen_var.shape == (k, len(self.feeder.points)):
            check_powers(self.feeder, p_gen_w, q_gen_var)
        plan = self._model.plan(k)
        if k == 0:
            return self._state(plan, k)
        update = plan.update["sym_gen"]
        powers = np.ascontiguousarray(p_gen_w, np.float64), np.ascontiguousarray(q_gen_var, np.float64)
        buffers = update["p_specified"], update["q_specified"], plan.output["node"]["u_pu"]
        if not handed_over(*powers, *buffers):
            check_powers(self.feeder, p_gen_w, q_gen_var)
        failed = self._model.calculate(plan, ITERATIVE_CURRENT, TOLERANCE, ITERATIONS_CURRENT)
        if failed:
            return self._with_newton(self._state(plan, k), failed, p_gen_w, q_gen_var)
        return self._state(plan, k)

    def _with_newton(
        self, state: GridState, failed: list[int], p_gen_w: FloatArray, q_gen_var: FloatArray
    ) -> GridState:
        """Solve the failed scenarios again, each as its own batch, and mark those that fail for good."""
        for row in failed:
            plan = self._last_resort.solve(p_gen_w[row], q_gen_var[row])
            solved = None if plan is None else self._state(plan, 1)
            for name in ("v_pu", "loading_percent", "p_branch_w", "p_slack_w", "q_slack_var", "loss_w"):
                getattr(state, name)[row] = np.nan if solved is None else getattr(solved, name)[0]
            if state.p_branch_to_w is not None:
                ends = None if solved is None else solved.p_branch_to_w
                state.p_branch_to_w[row] = np.nan if ends is None else ends[0]
            state.converged[row] = solved is not None and solved.converged[0]
        return state

    def _state(self, plan: BatchPlan, k: int) -> GridState:
        if plan.tables is None:
            plan.tables = tuple(
                plan.output[component][name] if component in plan.output else np.empty((k, 0))
                for component, names in _OUTPUT.items()
                for name in names
            )
        percent_per_a = (self._hv_percent_per_a, self._lv_percent_per_a)
        made = gathered(*plan.tables, *percent_per_a, self._rated)  # type: ignore[call-arg]
        if not self.keeps_ends:
            return GridState(*made)
        tables = [plan.output[name]["p_to"] for name in ("line", "transformer") if name in plan.output]
        return replace(GridState(*made), p_branch_to_w=np.concatenate(tables, axis=1))

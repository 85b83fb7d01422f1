"""power-grid-model per phase: unbalanced feeders, batches of scenarios in one call."""

from functools import cached_property
from typing import Any

import numpy as np

from adapters.grid.engine import AS_PLANNED, GridState, ModelError, check_powers
from adapters.grid.errors import UnsupportedElementError
from adapters.grid.feeder import Feeder, FloatArray
from adapters.grid.normalise import label
from adapters.grid.pgm_core import ITERATIVE_CURRENT, BatchPlan, CoreModel
from adapters.grid.pgm_last_resort import LastResort
from adapters.grid.pgm_model import ENGINE, input_data
from adapters.grid.pgm_thevenin import thevenin
from adapters.grid.phases import phase_shares, unbalance_percent
from adapters.grid.taps import checked_tap
from adapters.grid.thevenin import Thevenin

TOLERANCE = 1e-9
ITERATIONS = 50
WINDINGS = {"Y": 0, "YN": 1, "D": 2, "Z": 3, "ZN": 4}
STAR = (0, 1)
_UPDATE = {"asym_gen": ("p_specified", "q_specified")}
_OUTPUT = {
    "node": ("u_pu", "u_angle"),
    "line": ("i_from", "i_to", "p_from", "p_to"),
    "transformer": ("i_from", "i_to", "p_from", "p_to"),
    "source": ("p", "q"),
}
_FIELDS = ("v_pu", "loading_percent", "p_branch_w", "p_slack_w", "q_slack_var", "loss_w", "unbalance_percent")


class PgmPhaseEngine:
    """power-grid-model bound to an unbalanced feeder. Rows are per bus and phase."""

    name = ENGINE
    keeps_ends = False

    def __init__(self, feeder: Feeder, model_error: ModelError = AS_PLANNED) -> None:
        """Convert the feeder.

        Raises:
            UnsupportedElementError: naming what power-grid-model cannot model per phase.
            GridInputError: ``model_error.tap_pos`` is outside the range of a tap.
        """
        self.feeder = feeder
        net = feeder.native
        checked_tap(net, model_error)
        self._model_error = model_error
        data = _phase_data(net, feeder, model_error)
        self._model = CoreModel(data, float(net.f_hz), _UPDATE, _OUTPUT, symmetric=False)
        self._shares = phase_shares(feeder)
        n_line, trafo = len(net.line), net.trafo
        self._percent_from, self._percent_to = np.empty(feeder.n_branch), np.empty(feeder.n_branch)
        line_percent = 100.0 / feeder.branch_rated_a[: 3 * n_line]
        self._percent_from[: 3 * n_line] = self._percent_to[: 3 * n_line] = line_percent
        rated_va = feeder.branch_rated_va[3 * n_line :]  # of one phase
        for target, column in ((self._percent_from, "vn_hv_kv"), (self._percent_to, "vn_lv_kv")):
            volt = np.repeat(trafo[column].to_numpy(dtype=np.float64), 3) * 1e3 / np.sqrt(3)
            target[3 * n_line :] = 100.0 * volt / rated_va

    @cached_property
    def thevenin(self) -> Thevenin | None:
        """The feeder as its connection points see it; None where it has too many."""
        net, feeder = self.feeder.native, self.feeder
        per_a = np.stack((self._percent_from, self._percent_to))
        data = _phase_data(net, feeder, self._model_error)
        return thevenin(data, float(net.f_hz), feeder, self._shares, per_a)

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """See ``Engine.solve``."""
        check_powers(self.feeder, p_gen_w, q_gen_var)
        plan = self._model.plan(len(p_gen_w))
        failed = self._run(plan, p_gen_w, q_gen_var) if len(p_gen_w) else []
        state = self._state(plan, len(p_gen_w))
        for row in failed:
            own = (each[row, :, None] * self._shares for each in (p_gen_w, q_gen_var))
            again = self._last_resort.solve(*own)
            solved = None if again is None else self._state(again, 1)
            for name in (*_FIELDS, "p_branch_to_w") if self.keeps_ends else _FIELDS:
                getattr(state, name)[row] = np.nan if solved is None else getattr(solved, name)[0]
            state.converged[row] = solved is not None and solved.converged[0]
        return state

    @cached_property
    def _last_resort(self) -> LastResort:
        return LastResort(self._model, "asym_gen")

    def _run(self, plan: BatchPlan, p_gen_w: FloatArray, q_gen_var: FloatArray) -> list[int]:
        update = plan.update["asym_gen"]
        np.multiply(p_gen_w[:, :, None], self._shares, out=update["p_specified"])
        np.multiply(q_gen_var[:, :, None], self._shares, out=update["q_specified"])
        plan.output["node"]["u_pu"].fill(np.nan)
        return self._model.calculate(plan, ITERATIVE_CURRENT, TOLERANCE, ITERATIONS)

    def _state(self, plan: BatchPlan, k: int) -> GridState:
        output = plan.output
        v = output["node"]["u_pu"]
        v_pu = v.reshape(k, -1).copy()
        tables = [output[name] for name in ("line", "transformer") if name in output]

        def joined(attribute: str) -> Any:
            return np.concatenate([table[attribute].reshape(k, -1) for table in tables], axis=1)

        p_from = joined("p_from")
        unbalance = unbalance_percent(v * np.exp(1j * output["node"]["u_angle"]))
        return GridState(
            v_pu=v_pu,
            loading_percent=np.maximum(
                joined("i_from") * self._percent_from, joined("i_to") * self._percent_to
            ),
            p_branch_w=p_from,
            p_slack_w=output["source"]["p"].sum(axis=(1, 2)),
            q_slack_var=output["source"]["q"].sum(axis=(1, 2)),
            loss_w=p_from.sum(axis=1) + joined("p_to").sum(axis=1),
            p_branch_to_w=joined("p_to") if self.keeps_ends else None,
            converged=np.isfinite(v_pu.sum(axis=1)),
            unbalance_percent=np.repeat(unbalance, 3, axis=1),
        )


def _phase_data(net: Any, feeder: Feeder, error: ModelError) -> dict[str, Any]:
    """The balanced input arrays with zero-sequence values and per-phase connection points."""
    from power_grid_model import initialize_array

    refused = tuple(text for i in net.trafo.index for text in _refused(net, i))
    if refused:
        raise UnsupportedElementError(f"{ENGINE} (per phase)", refused)
    data = input_data(net, error)
    if "line" in data:
        line, rows = net.line, data["line"]
        length, parallel = line.length_km.to_numpy(), line.parallel.to_numpy(dtype=np.float64)
        rows["r0"] = line.r0_ohm_per_km.to_numpy() * length / parallel * error.of_lines
        rows["x0"] = line.x0_ohm_per_km.to_numpy() * length / parallel * error.of_lines
        rows["c0"] = line.c0_nf_per_km.to_numpy() * 1e-9 * length * parallel
        rows["tan0"] = 0.0
    if "transformer" in data:
        high, low = zip(*(_windings(group) for group in net.trafo.vector_group), strict=True)
        data["transformer"]["winding_from"], data["transformer"]["winding_to"] = high, low
    if "shunt" in data:  # a star with its neutral on earth
        data["shunt"]["g0"], data["shunt"]["b0"] = data["shunt"]["g1"], data["shunt"]["b1"]
    balanced = data.pop("sym_gen")
    points = initialize_array("input", "asym_gen", max(1, len(feeder.points)))
    for column in ("id", "node", "status", "type"):
        points[column] = balanced[column]
    points["p_specified"], points["q_specified"] = 0.0, 0.0
    return {**data, "asym_gen": points}


def _windings(group: str) -> tuple[int, int]:
    """Winding types of a vector group such as Dyn5: upper case before lower case."""
    text = "".join(x for x in group if x.isalpha())
    split = next((i for i, x in enumerate(text) if x.islower()), len(text))
    return WINDINGS[text[:split].upper()], WINDINGS[text[split:].upper()]


def _refused(net: Any, i: Any) -> list[str]:
    row, name = net.trafo.loc[i], label(net, "trafo", i)
    try:
        windings = _windings(str(row.vector_group))
    except KeyError:
        return [f"{name} (vector group {row.vector_group})"]
    # a star against a delta or zigzag turns by an odd multiple of 30 degrees
    odd = (windings[0] in STAR) != (windings[1] in STAR)
    if round(float(row.shift_degree) / 30) % 2 != odd:
        return [f"{name} (group {row.vector_group} with a phase shift of {row.shift_degree:g} degrees)"]
    same = abs(row.vk0_percent - row.vk_percent) <= 1e-6 and abs(row.vkr0_percent - row.vkr_percent) <= 1e-6
    return [] if same else [f"{name} (zero-sequence impedance other than the positive-sequence one)"]

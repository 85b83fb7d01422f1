"""The OpenDSS engine: unbalanced feeders, regulators, the user's own ``.dss`` files, exported pandapower nets."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from adapters.grid.engine import AS_PLANNED, GridState, ModelError, check_powers
from adapters.grid.feeder import Feeder, FloatArray, IntArray
from adapters.grid.opendss_core import (
    V_MAX_PU,
    V_MIN_PU,
    BranchReader,
    load_w,
    new_context,
    node_voltages,
    run,
    set_powers,
    solve,
    varying_loads,
)
from adapters.grid.opendss_export import delta_turns, export_commands
from adapters.grid.pgm_thevenin import borrowed
from adapters.grid.phases import unbalance_percent
from adapters.grid.taps import net_with_error
from adapters.grid.thevenin import Thevenin


@dataclass(frozen=True)
class BranchMap:
    """Where the rows of ``Feeder.branch_names`` stand in the arrays of a ``BranchReader``.

    ``at`` (n_branch, 2) are positions of both ends, ``percent_per_a`` (n_branch, 2) what a current there means
    for the loading, ``phases`` by how many phases a row is multiplied (3 on a balanced feeder, else 1).
    ``shunt`` (n_branch, 2) are positions of what an exported branch draws at its ends beside it (magnetising
    and line conductance), -1 where there is nothing.
    """

    at: IntArray
    percent_per_a: FloatArray
    phases: int
    shunt: IntArray


class OpenDssEngine:
    """OpenDSS bound to a feeder. Controls are off: taps stay where the case or the model error puts them."""

    name = "opendss"
    keeps_ends = False

    def __init__(self, feeder: Feeder, model_error: ModelError = AS_PLANNED) -> None:
        """Build the circuit in a context of its own.

        Raises:
            UnsupportedElementError: naming what is not exported to OpenDSS.
            GridInputError: OpenDSS refuses the circuit, or a tap position that the feeder does not have.
        """
        from adapters.grid.opendss_branches import dss_branch_map
        from adapters.grid.opendss_case import DssCase, open_case

        self.feeder = feeder
        self._model_error = model_error
        if isinstance(feeder.native, DssCase):
            self._context = open_case(feeder.native, model_error)
            self._reader = BranchReader(self._context)
            self._map = dss_branch_map(self._context, self._reader, feeder)
            rows, loads = feeder.native.node_rows, feeder.native.load_rows
            base = feeder.native.base_v
        else:
            self._context = new_context()
            net = net_with_error(feeder.native, model_error)
            run(self._context, export_commands(feeder, net), feeder.name)
            self._reader = BranchReader(self._context)
            self._map = exported_branch_map(self._reader, feeder, net)
            rows = _exported_rows(self._context, feeder)
            base = feeder.bus_vn_v / np.sqrt(3)
            loads = _load_rows(self._context, len(feeder.points))
        self._rows, self._base, self._loads = rows, base, loads
        self._varying = varying_loads(self._context, loads)
        self._point_buses = np.array([point.bus for point in feeder.points], dtype=np.int64)
        # a context whose very first scenario diverges finds no solution any more
        set_powers(self._context, loads, *np.zeros((2, len(feeder.points))))
        solve(self._context)

    @cached_property
    def thevenin(self) -> Thevenin | None:
        """The feeder as its connection points see it; None where it cannot be reduced."""
        from adapters.grid.opendss_case import DssCase
        from adapters.grid.opendss_thevenin import dss_thevenin

        if isinstance(self.feeder.native, DssCase):
            return dss_thevenin(self.feeder, self._model_error, self._map.at, self._map.percent_per_a)
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
            unbalance_percent=None if feeder.balanced else np.full((k, feeder.n_bus), np.nan),
            p_branch_to_w=np.full((k, feeder.n_branch), np.nan) if self.keeps_ends else None,
        )
        if self._varying:
            state = replace(state, p_shift_w=np.zeros((k, len(feeder.points))))
        for row in range(k):
            set_powers(self._context, self._loads, p_gen_w[row], q_gen_var[row])
            if solve(self._context) and self._loads_as_asked():
                self._read(state, row)
                if state.p_shift_w is not None:
                    for point, name in self._varying.items():
                        state.p_shift_w[row, point] = -load_w(self._context, name) - p_gen_w[row, point]
        return state

    def _loads_as_asked(self) -> bool:
        """Whether no load has turned into an impedance: then the solution is that of other powers."""
        at = node_voltages(self._context)[self._rows[self._point_buses]] / self._base[self._point_buses]
        return bool(((np.abs(at) > V_MIN_PU) & (np.abs(at) < V_MAX_PU)).all())

    def _read(self, state: GridState, row: int) -> None:
        voltage = node_voltages(self._context)[self._rows]
        state.v_pu[row] = np.abs(voltage) / self._base
        current, power, m = *self._reader.read(), self._map
        has_shunt = m.shunt >= 0
        at_ends = current[m.at] + np.where(has_shunt, current[m.shunt], 0.0)
        state.loading_percent[row] = (np.abs(at_ends) * m.percent_per_a).max(axis=1)
        into = (power[m.at] + np.where(has_shunt, power[m.shunt], 0.0)) * m.phases
        state.p_branch_w[row] = into[:, 0]
        if state.p_branch_to_w is not None:
            state.p_branch_to_w[row] = into[:, 1]
        total = np.asarray(self._context.Circuit.TotalPower(), dtype=np.float64) * 1e3
        state.p_slack_w[row], state.q_slack_var[row] = -total[0], -total[1]
        exported = hasattr(self.feeder.native, "bus")
        state.loss_w[row] = into.sum() if exported else float(self._context.Circuit.Losses()[0])
        state.converged[row] = True
        if state.unbalance_percent is not None:
            state.unbalance_percent[row] = _unbalance(self.feeder, voltage)


def _unbalance(feeder: Feeder, voltage: Any) -> FloatArray:
    """Voltage unbalance per bus row, NaN where the bus lacks a phase."""
    result = np.full(feeder.n_bus, np.nan)
    column = {"a": 0, "b": 1, "c": 2}
    table = np.full((int(feeder.site.max()) + 1, 3), np.nan, dtype=np.complex128)
    table[feeder.site, [column[phase] for phase in feeder.bus_phase]] = voltage
    whole = ~np.isnan(table).any(axis=1)
    factor = np.full(len(table), np.nan)
    factor[whole] = unbalance_percent(table[whole])
    result[:] = factor[feeder.site]
    return result


def _exported_rows(context: Any, feeder: Feeder) -> IntArray:
    place = {str(name).lower(): i for i, name in enumerate(context.Circuit.AllNodeNames())}
    if feeder.balanced:
        return np.array([place[f"b{i}.1"] for i in range(feeder.n_bus)], dtype=np.int64)
    return np.array([place[f"b{i // 3}.{i % 3 + 1}"] for i in range(feeder.n_bus)], dtype=np.int64)


def _load_rows(context: Any, n_points: int) -> IntArray:
    place = {str(name).lower(): i for i, name in enumerate(context.Loads.AllNames())}
    return np.array([place[f"p{i}"] for i in range(n_points)], dtype=np.int64)


def exported_branch_map(reader: BranchReader, feeder: Feeder, net: Any) -> BranchMap:
    """Rows of lines and transformers of an exported net."""
    place = {name.lower(): i for i, name in enumerate(reader.names)}
    phases = 1 if feeder.balanced else 3
    n_line = len(net.line)
    names = [f"g{i}" for i in range(n_line)] + [f"m{i}" for i in range(len(net.trafo))]
    shunts = [[place.get(f"reactor.{name}{end}", -1) for end in "ft"] for name in names]
    elements = [(place[f"line.l{i}"], 0) for i in range(n_line)]
    elements += [(place[f"transformer.t{i}"], turn) for i, turn in enumerate(delta_turns(feeder, net))]
    at = np.array(
        [
            [reader.position(e, 0, (c - turn) % 3), reader.position(e, 1, c)]
            for e, turn in elements
            for c in range(phases)
        ],
        dtype=np.int64,
    ).reshape(-1, 2)
    per_a = np.full((feeder.n_branch, 2), np.nan)
    per_a[:] = 100.0 / feeder.branch_rated_a[:, None]
    for side, column in enumerate(("vn_hv_kv", "vn_lv_kv")):
        volt = np.repeat(net.trafo[column].to_numpy(dtype=np.float64), phases) * 1e3
        rated_va = feeder.branch_rated_va[n_line * phases :]
        factor = np.sqrt(3.0) if feeder.balanced else 1 / np.sqrt(3.0)
        per_a[n_line * phases :, side] = 100.0 * factor * volt / rated_va
    extra = [
        [-1 if e < 0 else reader.position(e, 0, c) for e in pair] for pair in shunts for c in range(phases)
    ]
    shunt = np.array(extra, dtype=np.int64).reshape(-1, 2)
    return BranchMap(at, per_a, 3 if feeder.balanced else 1, shunt)

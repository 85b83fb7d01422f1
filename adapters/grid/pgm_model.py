"""A reduced pandapower net as power-grid-model input arrays.

Our own conversion: the one of power-grid-model-io leaves the source's short-circuit power at a finite default
(0.0003 pu on Baran-Wu's feeder) and does not know storages. Formulas: power-grid-model user manual,
"Components".
"""

from typing import Any

import numpy as np

from adapters.grid.engine import ModelError
from adapters.grid.errors import UnsupportedElementError
from adapters.grid.feeder import FloatArray, IntArray
from adapters.grid.normalise import label
from adapters.grid.taps import set_positions

ENGINE = "power_grid_model"
STIFF_SOURCE_VA = 1e20  # pandapower's external grid is an ideal voltage source
NO_RATING_A = 1e12
WYE = 0  # winding type; only zero-sequence quantities depend on it
_UNSUPPORTED = (
    *("trafo3w", "impedance", "tcsc", "gen", "ward", "xward", "motor", "svc", "ssc"),
    *("asymmetric_load", "asymmetric_sgen"),
)
_MAX_RATED_VOLTAGE_GAP = 1e-6


def refused_elements(net: Any) -> tuple[str, ...]:
    """What power-grid-model cannot model, or we do not convert: one text per element, naming it."""
    found = [
        f"{label(net, table, i)} ({table})"
        for table in _UNSUPPORTED
        if table in net and len(net[table])
        for i in net[table].index
    ]
    for i in net.trafo.index:
        found += [f"{label(net, 'trafo', i)} ({reason})" for reason in _refused_trafo(net.trafo.loc[i])]
    vn_kv = net.bus.vn_kv.to_numpy()
    gap = np.abs(vn_kv[net.line.from_bus] / vn_kv[net.line.to_bus] - 1)
    found += [
        f"{label(net, 'line', i)} (line between different rated voltages)"
        for i in np.flatnonzero(~(gap <= _MAX_RATED_VOLTAGE_GAP))
    ]
    impedance = np.hypot(net.line.r_ohm_per_km, net.line.x_ohm_per_km) * net.line.length_km
    return (*found, *(f"{label(net, 'line', i)} (zero impedance)" for i in np.flatnonzero(~(impedance > 0))))


def _refused_trafo(row: Any) -> list[str]:
    reasons = []
    clock = float(row.shift_degree) / 30
    if abs(clock - round(clock)) > 1e-9:
        reasons.append(f"phase shift of {row.shift_degree:g} degrees is no multiple of 30")
    tapped = _has_tap(row)
    if row.get("tap_dependency_table") is True or str(row.get("tap_changer_type")) == "Tabular":
        reasons.append("tap-dependent table")
    if tapped and np.nan_to_num(float(row.get("tap_step_degree", 0.0))) != 0:
        reasons.append("tap changer with a phase step")
    if str(row.get("tap_changer_type")) == "Ideal":
        reasons.append("ideal phase shifter")
    second = float(row.get("tap2_pos", np.nan)) - float(row.get("tap2_neutral", np.nan))
    if np.nan_to_num(second) != 0:
        reasons.append("second tap changer off neutral")
    return reasons


def _has_tap(row: Any) -> bool:
    kind = row.get("tap_changer_type")
    return isinstance(kind, str) and kind in ("Ratio", "Symmetrical") and bool(np.isfinite(row.tap_pos))


def input_data(net: Any, error: ModelError) -> dict[str, Any]:
    """Input arrays; ids count up in the order node, line, transformer, source, sym_gen, shunt.

    Node ids are bus rows; branches, sources and connection points keep their row order.

    Raises:
        UnsupportedElementError: naming every element that cannot be modelled.
    """
    refused = refused_elements(net)
    if refused:
        raise UnsupportedElementError(ENGINE, refused)
    tables = {
        "node": _nodes(net),
        "line": _lines(net, error),
        "transformer": _transformers(net, error),
        "source": _sources(net, error),
        "sym_gen": _generators(net),
        "shunt": _shunts(net),
    }
    first = 0
    for rows in tables.values():
        rows["id"] = np.arange(first, first + len(rows))
        first += len(rows)
    return {name: rows for name, rows in tables.items() if len(rows)}


def _rows(component: str, n: int) -> Any:
    from power_grid_model import initialize_array

    return initialize_array("input", component, n)


def _nodes(net: Any) -> Any:
    rows = _rows("node", len(net.bus))
    rows["u_rated"] = net.bus.vn_kv.to_numpy() * 1e3
    return rows


def _switched_in(rows: Any, from_node: IntArray, to_node: IntArray) -> None:
    rows["from_node"], rows["to_node"] = from_node, to_node
    rows["from_status"] = rows["to_status"] = 1


def _lines(net: Any, error: ModelError) -> Any:
    line = net.line
    rows = _rows("line", len(line))
    _switched_in(rows, line.from_bus.to_numpy(), line.to_bus.to_numpy())
    length = line.length_km.to_numpy(dtype=np.float64)
    parallel = line.parallel.to_numpy(dtype=np.float64)
    capacitance = line.c_nf_per_km.to_numpy(dtype=np.float64) * 1e-9 * length * parallel
    conductance = line.g_us_per_km.fillna(0.0).to_numpy(dtype=np.float64) * 1e-6 * length * parallel
    rows["r1"] = line.r_ohm_per_km.to_numpy() * length / parallel * error.of_lines
    rows["x1"] = line.x_ohm_per_km.to_numpy() * length / parallel * error.of_lines
    rows["c1"] = capacitance
    susceptance = 2 * np.pi * float(net.f_hz) * capacitance
    # a conductance without a capacitance has no loss tangent; a vanishing capacitance carries it instead
    rows["c1"] = np.where((conductance > 0) & (susceptance <= 0), 1e-15, capacitance)
    omega_c = 2 * np.pi * float(net.f_hz) * rows["c1"]
    rows["tan1"] = np.divide(conductance, omega_c, out=np.zeros_like(omega_c), where=omega_c > 0)
    rating = line.max_i_ka.to_numpy(dtype=np.float64) * 1e3 * line.df.to_numpy(dtype=np.float64) * parallel
    rows["i_n"] = np.where(rating > 0, rating, NO_RATING_A)
    return rows


def _transformers(net: Any, error: ModelError) -> Any:
    trafo = net.trafo
    rows = _rows("transformer", len(trafo))
    _switched_in(rows, trafo.hv_bus.to_numpy(), trafo.lv_bus.to_numpy())
    parallel = trafo.parallel.to_numpy(dtype=np.float64)
    sn_va = trafo.sn_mva.to_numpy(dtype=np.float64) * parallel * 1e6
    rows["u1"], rows["u2"] = trafo.vn_hv_kv.to_numpy() * 1e3, trafo.vn_lv_kv.to_numpy() * 1e3
    rows["sn"] = sn_va
    rows["uk"] = trafo.vk_percent.to_numpy() / 100
    rows["pk"] = trafo.vkr_percent.to_numpy() / 100 * sn_va
    rows["p0"] = trafo.pfe_kw.to_numpy() * parallel * 1e3
    # pandapower takes the magnetising reactance as zero where the iron losses exceed the no-load current
    rows["i0"] = np.maximum(trafo.i0_percent.to_numpy() / 100, rows["p0"] / sn_va)
    rows["winding_from"] = rows["winding_to"] = WYE
    clock = np.rint(trafo.shift_degree.to_numpy() / 30).astype(int) % 12
    rows["clock"] = clock
    rows["winding_to"] = np.where(clock % 2 == 1, 2, WYE)  # an odd clock needs a delta on one side
    moved = set_positions(net, error)
    tap = np.array([_tap(row, moved.get(i)) for i, (_, row) in enumerate(trafo.iterrows())]).reshape(-1, 6)
    for column, name in enumerate(("tap_side", "tap_pos", "tap_min", "tap_max", "tap_nom", "tap_size")):
        rows[name] = tap[:, column]
    return rows


def _tap(row: Any, override: int | None) -> tuple[float, ...]:
    """Side, position, range, nominal position and size in V of a tap, as power-grid-model counts them.

    A pandapower position may be fractional, power-grid-model's is an integer: the size is scaled to one step.
    """
    if not _has_tap(row):
        return (0, 0, 0, 0, 0, 0.0)
    side = 0 if row.tap_side == "hv" else 1
    neutral = float(np.nan_to_num(float(row.tap_neutral)))
    steps = (float(row.tap_pos) if override is None else float(override)) - neutral
    size_v = float(row.tap_step_percent) / 100 * float(row.vn_hv_kv if side == 0 else row.vn_lv_kv) * 1e3
    return (
        (side, 1, 0, 1, 0, steps * size_v) if steps * size_v >= 0 else (side, -1, -1, 0, 0, -steps * size_v)
    )


def _sources(net: Any, error: ModelError) -> Any:
    grid = net.ext_grid
    rows = _rows("source", len(grid))
    rows["node"], rows["status"] = grid.bus.to_numpy(), 1
    rows["u_ref"] = grid.vm_pu.to_numpy() if error.source_voltage_pu is None else error.source_voltage_pu
    rows["u_ref_angle"] = np.radians(grid.va_degree.fillna(0.0).to_numpy())
    rows["sk"] = STIFF_SOURCE_VA
    return rows


def _generators(net: Any) -> Any:
    # a feeder without connection points gets an idle generator, so that a batch has something to set
    buses = net.load.bus.to_numpy() if len(net.load) else net.ext_grid.bus.to_numpy()[:1]
    rows = _rows("sym_gen", len(buses))
    rows["node"], rows["status"] = buses, 1
    rows["type"] = 0  # constant power
    rows["p_specified"], rows["q_specified"] = 0.0, 0.0
    return rows


def _shunts(net: Any) -> Any:
    shunt = net.shunt
    rows = _rows("shunt", len(shunt))
    if len(shunt):
        scale: FloatArray = shunt.step.to_numpy(dtype=np.float64) / (shunt.vn_kv.to_numpy() * 1e3) ** 2 * 1e6
        rows["node"], rows["status"] = shunt.bus.to_numpy(), 1
        rows["g1"], rows["b1"] = shunt.p_mw.to_numpy() * scale, -shunt.q_mvar.to_numpy() * scale
    return rows

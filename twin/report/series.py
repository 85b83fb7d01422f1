"""Time series and grid states for the browser, thinned where a run is long, and never by losing the worst."""

from typing import Any

import numpy as np
import numpy.typing as npt

from twin.report.pack import pack
from twin.results import RunResult

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
MAX_POINTS = 3000

# chart name: (columns that are added up, factor, how a bucket of intervals becomes one point)
_SERIES: dict[str, tuple[tuple[str, ...], float, str]] = {
    "v_min": (("v_min_pu",), 1, "min"),
    "v_max": (("v_max_pu",), 1, "max"),
    "base_v_min": (("base_v_min_pu",), 1, "min"),
    "base_v_max": (("base_v_max_pu",), 1, "max"),
    "line": (("line_loading_max_percent",), 1, "max"),
    "trafo": (("trafo_loading_max_percent",), 1, "max"),
    "base_line": (("base_line_loading_max_percent",), 1, "max"),
    "base_trafo": (("base_trafo_loading_max_percent",), 1, "max"),
    "slack_kw": (("p_slack_w",), 1e-3, "mean"),
    "loss_kw": (("loss_w",), 1e-3, "mean"),
    "load_kw": (("load_w",), 1e-3, "mean"),
    "pv_kw": (("pv_w",), 1e-3, "mean"),
    "battery_kw": (("battery_w",), 1e-3, "mean"),
    "ev_kw": (("ev_w",), 1e-3, "mean"),
    "heat_kw": (("heat_pump_w",), 1e-3, "mean"),
    "price": (("price_micro_per_kwh",), 1e-6, "mean"),
    "local_kwh": (("local_accepted_wh",), 1e-3, "sum"),
    "supplier_kwh": (("supplier_flexible_accepted_wh",), 1e-3, "sum"),
    "cut_kwh": (("cut_wh",), 1e-3, "sum"),
}


def column(table: Any, name: str) -> FloatArray:
    """A column as floats, NaN where it is null or absent."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    values: FloatArray = table[name].cast("float64").to_numpy(zero_copy_only=False)
    return values


def at_a_moment(limits: dict[str, Any]) -> dict[str, Any]:
    """The limits with short-time ratings in the place of continuous ones: what holds for values of moments."""
    short = {
        f"{kind}_loading_percent": limits.get(f"{kind}_short_time_loading_percent")
        for kind in ("line", "transformer")
    }
    return {**limits, **{key: value for key, value in short.items() if value}}


def use_percent(table: Any, limits: dict[str, Any]) -> FloatArray:
    """Per interval, how much of its tightest limit the plant uses: 100 is at the limit, NaN is not known.

    For a voltage it is the way from 1 pu (the middle of the band where 1 pu is outside it) to the limit.
    """
    low, high = _number(limits, "voltage_min_pu"), _number(limits, "voltage_max_pu")
    middle = 1.0 if low < 1.0 < high else (low + high) / 2
    parts = [
        (middle - column(table, "v_min_pu")) / (middle - low),
        (column(table, "v_max_pu") - middle) / (high - middle),
        column(table, "line_loading_max_percent") / _number(limits, "line_loading_percent"),
        column(table, "trafo_loading_max_percent") / _number(limits, "transformer_loading_percent"),
    ]
    worst: FloatArray = np.fmax.reduce(parts) * 100.0
    if "plant_converged" in table.column_names:
        worst[column(table, "plant_converged") == 0] = np.nan
    return worst


def series_payload(table: Any, use: FloatArray) -> dict[str, Any]:
    """Packed series of one variant; point i stands for the intervals from ``i * stride`` on."""
    stride = max(1, -(-table.num_rows // MAX_POINTS))
    payload: dict[str, Any] = {"stride": stride, "n": -(-table.num_rows // stride)}
    for name, (columns, factor, how) in _SERIES.items():
        values = np.sum([column(table, c) for c in columns], axis=0) * factor
        payload[name] = pack(bucketed(values, stride, how))
    payload["use"] = pack(bucketed(use, stride, "max"))
    payload["unsolved"] = pack(bucketed(np.isnan(use).astype(float), stride, "max"))
    return payload


def slots_of(use: FloatArray, max_slots: int) -> IntArray:
    """The intervals that the slider shows: all, or the worst of each bucket. An unknown one is worst."""
    stride = max(1, -(-len(use) // max(1, max_slots)))
    severity = np.where(np.isnan(use), np.inf, use)
    starts = range(0, len(use), stride)
    return np.array([s + int(np.argmax(severity[s : s + stride])) for s in starts], dtype=np.int64)


def states_payload(
    run: RunResult, intervals: Any, slots: IntArray, n_bus: int, n_branch: int
) -> dict[str, Any]:
    """Voltages (slot by bus), loadings (slot by branch) and what market and gate did, at the slots."""
    table = run.table("grid_states")
    row_of = {int(k): row for row, k in enumerate(table["interval"].to_pylist())}
    rows = np.array([row_of.get(int(k), -1) for k in slots], dtype=np.int64)
    payload: dict[str, Any] = {
        "slots": slots.tolist(),
        "v": pack(_vectors(table, "v_pu", rows, n_bus)),
        "l": pack(_vectors(table, "loading_percent", rows, n_branch)),
        "price": pack(column(intervals, "price_micro_per_kwh")[slots] * 1e-6),
        "local": pack(column(intervals, "local_accepted_wh")[slots]),
        "cut": pack(column(intervals, "cut_wh")[slots]),
    }
    for name in ("gate_status", "binding"):
        values = intervals[name].take(slots).to_pylist() if name in intervals.column_names else []
        words = sorted({str(v) for v in values if v is not None})
        payload[name] = {"words": words, "at": [-1 if v is None else words.index(str(v)) for v in values]}
    return payload


def power_payload(run: RunResult, slots: IntArray) -> dict[str, Any] | None:
    """Power of every participant at the slots, positive into the grid; None where it was not kept."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = run.table("participants", ["interval", "participant", "p_gen_w"])
    table = table.filter(pc.is_in(table["interval"], value_set=pa.array(slots)))
    if not table.num_rows:
        return None
    encoded = table["participant"].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    who = encoded.indices.to_numpy(zero_copy_only=False)
    at = np.searchsorted(slots, table["interval"].to_numpy())
    p_w = np.full((len(slots), len(names)), np.nan)
    p_w[at, who] = column(table, "p_gen_w")
    return {"names": names, "p": pack(p_w)}


def _number(limits: dict[str, Any], key: str) -> float:
    value = limits.get(key)
    return float(value) if isinstance(value, int | float) else float("nan")


def bucketed(values: FloatArray, stride: int, how: str) -> FloatArray:
    """One value per ``stride`` of them: their min, max, mean or sum, NaN where all are NaN."""
    if stride == 1 or not len(values):
        return values
    padded = np.full(-(-len(values) // stride) * stride, np.nan)
    padded[: len(values)] = values
    buckets = padded.reshape(-1, stride)
    some = np.isfinite(buckets).any(axis=1)
    out = np.full(len(buckets), np.nan)
    reduce: dict[str, Any] = {"min": np.nanmin, "max": np.nanmax, "mean": np.nanmean, "sum": np.nansum}
    out[some] = reduce[how](buckets[some], axis=1)
    return out


def _vectors(table: Any, name: str, rows: IntArray, width: int) -> FloatArray:
    """List column as a matrix of the wanted rows; NaN where a row is missing or has another length."""
    out = np.full((len(rows), width), np.nan)
    lists = table[name].take(np.where(rows < 0, 0, rows)) if table.num_rows else []
    for i, (row, item) in enumerate(zip(rows, lists, strict=False)):
        if row >= 0 and item.is_valid and len(item) == width:
            out[i] = item.values.to_numpy(zero_copy_only=False)
    return out

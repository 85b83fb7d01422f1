"""Heat pumps in the report: what the variants made of them, and each one's heat, comfort and SG Ready states."""

from typing import Any

import numpy as np
import pyarrow as pa

from rigs.sg_ready import STATE_NAMES
from twin.report import words
from twin.results import RunResult

Context = dict[str, Any]


def heat_pumps_context(run: RunResult, runs: dict[str, RunResult], titles: Context) -> Context | None:
    """A row per variant, and one per heat pump of the judged one, those with the least comfort first."""
    pumps = _pumps(run)
    if not pumps:
        return None
    return {
        "variants": [{"title": titles.get(name, name), **_sums(one.kpis)} for name, one in runs.items()],
        "pumps": pumps,
        "states": [f"{state} {name}" for state, name in STATE_NAMES.items()],
    }


def _sums(kpis: Context) -> Context:
    """What the KPIs of a variant say."""

    def hours(name: str) -> str:
        value = kpis.get(name)
        return words.NOT_RECORDED if value is None else words.duration(value * 3600)

    return {
        "electrical": words.energy(kpis.get("heat_pump_wh")),
        "made": words.energy(kpis.get("heat_made_wh")),
        "stored": words.energy(kpis.get("heat_stored_change_wh")),
        "unserved": words.energy(kpis.get("heat_unserved_wh")),
        "cold": hours("heat_comfort_lost_h"),
        "blocked": hours("heat_pump_blocked_h"),
        "boosted": hours("heat_pump_boosted_h"),
        "switches": words.number(kpis.get("heat_pump_switches_count")),
        "bad": bool(kpis.get("heat_unserved_wh") or kpis.get("heat_comfort_lost_h")),
    }


def _pumps(run: RunResult) -> list[Context]:
    """A row per heat pump of a run."""
    table = run.table("heat_pumps")
    if not table.num_rows:
        return []
    interval_s = float(run.manifest.get("interval_s") or 900)
    names = np.array(table["participant"].to_pylist())
    rows = [
        _pump(name, table.filter(pa.array(names == name)), interval_s)
        for name in sorted(set(names), key=words.natural)
    ]
    return sorted(rows, key=lambda row: -float(row["cold_s"]))


def _pump(name: str, own: pa.Table, interval_s: float) -> Context:
    column = {c: own[c].to_numpy(zero_copy_only=False) for c in own.column_names if c != "participant"}
    cold_s = float(np.count_nonzero(~column["comfortable"].astype(bool))) * interval_s
    inside = [float(np.count_nonzero(column["sg_state"] == state)) * interval_s for state in STATE_NAMES]
    return {
        "name": name,
        "electrical": words.energy(float(column["heat_pump_w"].sum()) * interval_s / 3600),
        "made": words.energy(float(column["made_wh"].sum())),
        "least": words.energy(float(column["stored_wh"].min())),
        "unserved": words.energy(float(column["unserved_wh"].sum())),
        "cold": words.duration(cold_s),
        "cold_s": cold_s,
        "states": [words.duration(seconds) if seconds else "" for seconds in inside],
        "bad": cold_s > 0,
    }

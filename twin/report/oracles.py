"""Whose meters were believed: faults found, trades that waited, and the three numbers of the trades, for the report."""

from typing import Any

import pyarrow.compute as pc

from twin.report import words
from twin.results import RunResult

SHOWN = 40
KINDS = {
    "meter_lie": "lies",
    "meter_frozen": "stands still",
    "meter_silent": "is silent",
    "meter_replay": "repeats old readings",
}


def oracles_context(run: RunResult, times: list[str], currency: str) -> dict[str, Any] | None:
    """What the settlement section tells of the oracles; None where the run had none.

    Args:
        run: the judged variant.
        times: ISO time of every interval.
        currency: of the scenario.
    """
    record = run.verdict_record.get("oracles")
    if not record:
        return None
    rows = run.table("oracles").to_pylist()
    return {
        "quorum": record["quorum"],
        "tolerance": f"{words.energy(record['tolerance_wh'])} or {record['tolerance_percent']:g} %",
        "log": words.energy(record["grid_log_uncertainty_median_wh"]),
        "log_worst": words.energy(record["grid_log_uncertainty_max_wh"]),
        "shared": record["shared_places_count"],
        "readings": words.number(run.kpis.get("oracle_readings_count")),
        "agreed": words.number(run.kpis.get("oracle_agreed_count")),
        "outvoted": words.number(run.kpis.get("oracle_outvoted_count")),
        "held": words.number(run.kpis.get("oracle_held_count")),
        "open": run.kpis.get("oracle_open_count") or 0,
        "signatures": words.number(record["signatures_count"]),
        "refused": run.kpis.get("oracle_signatures_refused_count") or 0,
        "faults": [_fault(fault) for fault in record["faults"]],
        "rows": [_row(row, times, currency) for row in rows[:SHOWN]],
        "more": max(0, len(rows) - SHOWN),
        "trades": _trades(run),
        "imbalance": _charges(run, currency),
    }


def _fault(fault: dict[str, Any]) -> dict[str, Any]:
    named = fault["named_as"]
    return {
        "participant": fault["participant"],
        "what": KINDS.get(fault["kind"], fault["kind"]),
        "from": words.duration(fault["from_s"]) if fault["from_s"] else "the start",
        "length": words.duration(fault["until_s"] - fault["from_s"]),
        "after": words.duration(fault["after_s"]) if fault["after_s"] is not None else "never",
        "named": named or "–",
        "good": bool(fault["named_right"]),
        "held": words.number(fault["held_count"]),
        "outvoted": words.number(fault["outvoted_count"]),
    }


def _row(row: dict[str, Any], times: list[str], currency: str) -> dict[str, Any]:
    def energy(key: str) -> str:
        return "–" if row[key] is None else words.energy(row[key])

    resolved = row["resolved_interval"]
    decided = "not yet" if row["status"] == "held" else "–"
    return {
        "time": _time(times, row["interval"]),
        "participant": row["participant"],
        "status": row["status"],
        "why": f"{row['named']}: {row['finding']}" if row["named"] != "nobody" else row["finding"],
        "reason": row["reason"],
        "meter": energy("meter_wh"),
        "log": energy("grid_log_wh"),
        "band": f"{words.energy(row['model_low_wh'])} to {words.energy(row['model_high_wh'])}",
        "settled": energy("settled_wh"),
        "decided": decided if resolved is None else f"{_time(times, resolved)}, {row['resolved_by']}",
        "withheld": words.money(row["withheld_micro"], currency) if row["status"] == "held" else "–",
    }


def _time(times: list[str], interval: int) -> str:
    return words.moment(times[interval]) if interval < len(times) else str(interval)


def _trades(run: RunResult) -> dict[str, str] | None:
    """Energy of local sales: cleared, metered and on the chain."""
    trades = run.table("trades", ["side", "counterparty", "cleared_wh", "accepted_wh", "settled_wh"])
    entries = run.table("entries", ["kind", "energy_wh"])
    if not trades.num_rows or not entries.num_rows:
        return None
    local = trades.filter(
        pc.and_(pc.equal(trades["side"], "sell"), pc.not_equal(trades["counterparty"], "supplier"))
    )
    sold = entries.filter(pc.and_(pc.equal(entries["kind"], "trade"), pc.greater(entries["energy_wh"], 0)))
    return {
        "cleared": words.energy(pc.sum(local["cleared_wh"]).as_py() or 0),
        "accepted": words.energy(pc.sum(local["accepted_wh"]).as_py() or 0),
        "metered": words.energy(pc.sum(local["settled_wh"]).as_py() or 0),
        "chain": words.energy(pc.sum(sold["energy_wh"]).as_py() or 0),
    }


def _charges(run: RunResult, currency: str) -> str | None:
    charged = run.kpis.get("imbalance_charges_micro")
    return None if charged is None else words.money(charged, currency)

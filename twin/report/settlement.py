"""The settlement section of the report: what became of every batch on its chain."""

import json
from datetime import UTC, datetime
from typing import Any

from twin.report import words
from twin.results import RunResult

SHOWN = 60


def settlement_context(run: RunResult, start: Any) -> dict[str, Any]:
    """Rows of settlement.parquet in words, the check on them, and what befell the chain."""
    rows = run.table("settlement").to_pylist()
    chain = _chain(run)
    for row in rows[:SHOWN]:
        row["period"] = f"{_after(start, row['period_start_s'])} – {_after(start, row['period_end_s'])}"
        for key in ("recorded", "final"):
            row[key] = _when(row.get(f"{key}_s"), row["period_end_s"], chain.get("kind") == "embedded")
    check = next((check for check in run.checks if check["name"] == "settlement"), {})
    return {
        "rows": rows[:SHOWN],
        "total": len(rows),
        "gas": words.number(run.kpis.get("gas_total")),
        "money_sum": run.kpis.get("money_sum_micro"),
        "detail": check.get("detail", ""),
        "verdict": check.get("verdict", ""),
        "outages": chain.get("outages", 0),
        "reorganised": chain.get("reorganised_blocks", 0),
        "resent": any(row.get("resent") for row in rows),
    }


def _chain(run: RunResult) -> dict[str, Any]:
    try:
        return dict(json.loads((run.folder / "chain.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _when(at_s: Any, end_s: Any, simulated: bool) -> str:
    """How long after the period in simulated time, or when by the clock of a chain that keeps its own."""
    if not at_s:
        return "not yet"
    if simulated:
        return words.duration(at_s - end_s)
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M} UTC"


def _after(start: Any, seconds: Any) -> str:
    """Periods are written as seconds since the start of the scenario, or since 1970."""
    try:
        begin = datetime.fromisoformat(str(start))
        since = float(seconds) if float(seconds) > 1e9 else begin.timestamp() + float(seconds)
        return words.moment(datetime.fromtimestamp(since, begin.tzinfo).isoformat())
    except (TypeError, ValueError):
        return words.NOT_RECORDED

"""Violations, averted ones and those behind them, as the report shows them: the worst first."""

from typing import Any

from twin.report import words
from twin.results import RunResult

SHOWN = 40
SHOWN_BURDENS, SHOWN_RELIEFS = 7, 3
KINDS = {
    "voltage_min": "voltage too low",
    "voltage_max": "voltage too high",
    "line_loading": "line overloaded",
    "transformer_loading": "transformer overloaded",
    "voltage_rise": "voltage raised too far by trades",
    "voltage_unbalance": "voltage too unbalanced",
    "reverse_power": "too much power into the upstream grid",
    "feeder_cap": "too much power through the feeder head",
    "feeder_cap_apparent": "too much apparent power through the feeder head",
    "line_loading_average": "line overloaded for too long (moving mean)",
    "transformer_loading_average": "transformer overloaded for too long (moving mean)",
    "en50160_voltage": "EN 50160: too few 10 min means of a week within ±10 %",
    "en50160_extreme": "EN 50160: a 10 min mean too far out",
    "en50160_unbalance": "EN 50160: too few 10 min means of a week up to 2 % of unbalance",
    "ansi_range_a": "ANSI C84.1: outside range A",
    "ansi_range_b": "ANSI C84.1: outside range B",
}
Row = dict[str, Any]


def violations_context(run: RunResult, times: list[str], currency: str) -> dict[str, Any]:
    """Both lists of a variant, ``violated`` (in the plant) and ``averted`` (by the gate).

    Each has ``rows`` (at most SHOWN, worst relative excess first, then earliest) and ``total``; a row holds
    formatted texts and ``people``: the largest shares and the largest reliefs, the rest summed up.
    """
    rows = run.table("violations").to_pylist()
    shares = _shares(run)
    context: dict[str, Any] = {}
    for status in ("violated", "averted"):
        wanted = [row for row in rows if row["status"] == status]
        wanted.sort(key=lambda row: (-_excess(row), row["interval"] or 0, str(row["element"])))
        shown = [
            _row(row, shares.get(_key(row, "worst_interval"), []), times, currency) for row in wanted[:SHOWN]
        ]
        context[status] = {"rows": shown, "total": len(wanted)}
    context["unshared"] = run.verdict_record.get("episodes_without_shares") or 0
    return context


def _shares(run: RunResult) -> dict[tuple[Any, ...], list[Row]]:
    grouped: dict[tuple[Any, ...], list[Row]] = {}
    for row in run.table("shares").to_pylist():
        grouped.setdefault(_key(row, "interval"), []).append(row)
    return grouped


def _key(row: Row, interval: str) -> tuple[Any, ...]:
    return (row[interval], row["element"], row["kind"], row["status"])


def _excess(row: Row) -> float:
    """How far beyond its limit, relative to what is left of 1 (in pu: to 10 % of nominal)."""
    value, limit = row["value"], row["limit"]
    if not words.is_number(value) or not words.is_number(limit):
        return float("inf")
    scale = 0.1 if row["unit"] == "pu" else abs(limit) or 1.0
    return float(abs(value - limit) / scale)


def _row(row: Row, shares: list[Row], times: list[str], currency: str) -> Row:
    unit = row["unit"]
    return {
        "element": row["element"],
        "phase": None if row["phase"] == "abc" else row["phase"],
        "kind": KINDS.get(row["kind"], row["kind"]),
        "value": words.quantity(row["value"], unit, apart_from=row["limit"], currency=currency),
        "limit": words.quantity(row["limit"], unit, currency=currency),
        "first": _time(times, row["interval"]),
        "worst": _time(times, row["worst_interval"]),
        "worst_interval": row["worst_interval"],
        "duration": words.duration(row["duration_s"]),
        "clause": row.get("clause"),
        "cause": {"feeder": "the feeder itself", "trades": "trades"}.get(row["cause"], row["cause"]),
        "people": _people(shares, unit),
    }


def _people(shares: list[Row], unit: str) -> Row | None:
    known = [row for row in shares if words.is_number(row["share_of_change"])]
    if not known:
        return None
    known.sort(key=lambda row: (-row["share_of_change"], str(row["participant"])))
    burdens = [row for row in known if not row["share_of_change"] < 0]
    reliefs = [row for row in known if row["share_of_change"] < 0]
    shown = burdens[:SHOWN_BURDENS] + reliefs[-SHOWN_RELIEFS:]
    rest = burdens[SHOWN_BURDENS:] + reliefs[:-SHOWN_RELIEFS]
    widest = max(abs(row["share_of_change"]) for row in shown) or 1.0
    residual = next((row["residual"] for row in known if words.is_number(row["residual"])), None)
    return {
        "rows": [
            {
                "name": row["participant"],
                "share": words.difference(row["share_of_change"], row["unit"] or unit),
                "excess": words.difference(row["share_of_excess"], row["unit"] or unit),
                "power": words.power(row["change_p_w"]),
                "width": round(100 * abs(row["share_of_change"]) / widest, 1),
                "relief": row["share_of_change"] < 0,
            }
            for row in shown
        ],
        "rest_count": len(rest),
        "rest": words.difference(sum(row["share_of_change"] for row in rest), unit),
        "residual": words.small(residual, "pp" if unit == "percent" else unit),
    }


def _time(times: list[str], interval: Any) -> str:
    known = isinstance(interval, int) and 0 <= interval < len(times)
    return words.moment(times[interval]) if known else f"interval {interval}"

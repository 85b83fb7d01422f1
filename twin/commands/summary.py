"""The end of ``twin run``: the verdict as a sentence, the smallest margin, what was not assessed."""

from collections.abc import Iterator, Mapping
from typing import Any

from twin.check_names import check_words
from twin.report import words
from twin.results import RunResult
from twin.scenario.words import listed

MAX_CHECKS = 8
Record = Mapping[str, Any]


def summary(result: RunResult) -> list[str]:
    """Return the lines to print."""
    record = result.verdict_record
    lines = [_sentence(result, record)]
    lines += [f"  {line}" for line in _variants(result)]
    lines += [f"  {line}" for line in _broken(result.checks)]
    margin = record.get("smallest_margin")
    if margin and margin.get("margin") is not None:
        where = f", at {margin['element']}" if margin.get("element") else ""
        when = f", {str(margin['time'])[:16].replace('T', ' ')}" if margin.get("time") else ""
        name, amount = (
            check_words(str(margin["name"])),
            _amount(margin["margin"], str(margin.get("unit") or "")),
        )
        own = (
            "; the feeder's own, without trades" if result.verdict == "pass" and margin["margin"] < 0 else ""
        )
        lines.append(f"  smallest margin: {amount} ({name}{where}{when}{own})")
    lines += [f"  {line}" for line in _robust(result)]
    lines += [f"  {line}" for line in _unshared(record)]
    skipped = [check_words(str(item["name"])) for item in record.get("not_assessed", ())]
    if skipped:
        lines.append(f"  not assessed: {listed(skipped)}")
    report = result.folder / "report.html"
    lines.append(f"  report: {report}" if report.is_file() else f"  results: {result.folder}")
    return lines


def _sentence(result: RunResult, record: Record) -> str:
    if result.verdict == "aborted":
        why = result.manifest.get("failure") or "the run did not come to its end"
        return f"Aborted: {why}. What was finished can be read."
    return str(record.get("sentence") or f"{result.verdict.capitalize()}.")


def _variants(result: RunResult) -> Iterator[str]:
    names = result.variants
    if len(names) > 1:
        verdicts = {name: result.variant(name).verdict for name in names}
        rest = [f"{name}: {verdict}" for name, verdict in verdicts.items() if name != names[0]]
        yield f"judged: {names[0]}; to compare: {listed(rest)}"


def _robust(result: RunResult) -> Iterator[str]:
    price = result.kpis.get("robust_price_micro")
    if price is None:
        return
    currency = str(
        result.manifest.get("currency") or result.manifest.get("scenario", {}).get("currency") or "EUR"
    )
    cost, cut = words.money(price, currency), words.energy(result.kpis.get("robust_cut_wh"))
    yield f"price of standing failed deliveries: {cost} of trade value, {cut}".replace(words.NBSP, " ")


def _unshared(record: Record) -> Iterator[str]:
    count = record.get("episodes_without_shares") or 0
    if count:
        what = (
            "1 violation that trades caused has"
            if count == 1
            else f"{count} violations that trades caused have"
        )
        yield f"{what} no shares: the worst were explained first (violations.parquet has all)"


def _broken(checks: list[dict[str, Any]]) -> Iterator[str]:
    broken = [c for c in checks if c.get("judged", True) and c.get("verdict") in {"fail", "inconclusive"}]
    for check in broken[:MAX_CHECKS]:
        parts = [f"{check['verdict']}: {check_words(str(check['name']))}"]
        if check.get("element"):
            parts[0] += f", at {check['element']}"
        if check.get("value") is not None and check.get("limit") is not None:
            unit = str(check.get("unit") or "")
            parts.append(f"{_amount(check['value'], unit)}, limit {_amount(check['limit'], unit)}")
        if check.get("count"):
            times = "once" if check["count"] == 1 else f"{check['count']} times"
            first = check.get("first_interval")
            parts.append(times if first is None else f"{times}, first in interval {first}")
        yield ", ".join(parts)
    if len(broken) > MAX_CHECKS:
        yield f"and {len(broken) - MAX_CHECKS} more checks"


def _amount(value: float, unit: str) -> str:
    digits = {"pu": ".4f", "percent": ".1f"}.get(unit)
    number = f"{value:{digits}}" if digits else f"{value:.6g}"
    return f"{number} {'%' if unit == 'percent' else unit}".rstrip()

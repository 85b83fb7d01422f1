"""The end of ``twin run``: the verdict as a sentence, the smallest margin, what was not assessed."""

from collections.abc import Iterator, Mapping
from typing import Any

from twin.results import RunResult
from twin.scenario.words import listed

SENTENCES = {
    "pass": "PASS: every check that was assessed holds",
    "fail": "FAIL: a limit or an expectation is broken",
    "inconclusive": "INCONCLUSIVE: at least one check could not be decided",
    "aborted": "ABORTED: the run did not come to its end",
}
MAX_LINES = 8
Check = Mapping[str, Any]


def summary(result: RunResult) -> list[str]:
    """Return the lines to print."""
    scenario = result.manifest.get("scenario", {})
    name = scenario.get("name", result.folder.name) if isinstance(scenario, dict) else scenario
    lines = [f"{SENTENCES.get(result.verdict, result.verdict)} ({name}{_judged(result)})."]
    checks = result.checks
    lines += list(_broken(checks))
    lines += _smallest_margin(checks)
    skipped = [_plain(str(c["name"])) for c in checks if c.get("verdict") == "not_assessed"]
    if skipped:
        lines.append(f"  not assessed: {listed(skipped)}")
    report = result.folder / "report.html"
    lines.append(
        f"  {'report' if report.is_file() else 'results'}: {report if report.is_file() else result.folder}"
    )
    return lines


def _judged(result: RunResult) -> str:
    variants = result.variants
    return f", judged: {variants[0]}" if variants else ""


def _broken(checks: list[dict[str, Any]]) -> Iterator[str]:
    broken = [c for c in checks if c.get("verdict") in {"fail", "inconclusive"}]
    for check in broken[:MAX_LINES]:
        parts = [f"  {check['verdict']}: {_plain(str(check['name']))}"]
        if check.get("value") is not None:
            parts.append(f"{_number(check['value'])} {check.get('unit') or ''}".rstrip())
        if check.get("limit") is not None:
            parts.append(f"limit {_number(check['limit'])}")
        if check.get("count"):
            parts.append(f"{check['count']} times, first in interval {check.get('first_interval')}")
        yield ", ".join(parts)
    if len(broken) > MAX_LINES:
        yield f"  and {len(broken) - MAX_LINES} more"


def _smallest_margin(checks: list[dict[str, Any]]) -> list[str]:
    """Return the check that comes nearest to its limit, relative to the limit."""
    passed = [
        c
        for c in checks
        if c.get("verdict") == "pass"
        and c.get("margin") is not None
        and isinstance(c.get("limit"), (int, float))
    ]
    if not passed:
        return []
    tight = min(passed, key=lambda c: abs(c["margin"]) / (abs(c["limit"]) or 1.0))
    value = f"{_number(tight['value'])} against {_number(tight['limit'])} {tight.get('unit') or ''}".rstrip()
    return [f"  smallest margin: {_plain(str(tight['name']))}, {value}"]


def _plain(name: str) -> str:
    return name.replace("_", " ").replace(".", ": ")


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

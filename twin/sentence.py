"""The verdict in one sentence."""

from twin.check_names import CHECK_WORDS, check_words
from twin.scenario.schema import Scenario
from twin.verdict import Check, Outcome, smallest_margin

_JUDGED = {
    "trades": ("the trades of", "keep", "break"),
    "feeder": ("the feeder of", "keeps", "breaks"),
    "both": ("feeder and trades of", "keep", "break"),
}


def sentence(scenario: Scenario, outcome: Outcome, checks: list[Check]) -> str:
    """What was judged, what came of it, and the limit that is nearest or those that are broken."""
    who, keep, breaks = _JUDGED[scenario.judge]
    what = f"{who} “{scenario.title or scenario.name}”" + (
        " without trades" if scenario.judge == "feeder" else ""
    )
    if outcome == "pass":
        if beyond := _beyond_without_trades(checks):
            listed = ", ".join(_broken(c, named=False) for c in beyond)
            return f"Pass: {what} worsen no limit, but the feeder breaks {listed} without them as well."
        closest = smallest_margin(checks, scenario.limits)
        if closest is None or closest.margin is None:
            return f"Pass: {what} {keep} every limit that was assessed."
        kind, where = (
            CHECK_WORDS[closest.name.partition(".")[2]],
            f" at {closest.element}" if closest.element else "",
        )
        return (
            f"Pass: {what} {keep} every assessed limit; the closest is {kind}{where}, by {_margin(closest)}."
        )
    if outcome == "inconclusive":
        unclear = [f"{_plain(c)}: {c.detail.rstrip('.')}" for c in checks if c.verdict == "inconclusive"]
        return f"Inconclusive: {'; '.join(unclear) or 'nothing could be assessed'}."
    failed = [c for c in checks if c.judged and c.verdict == outcome]
    limits = [c for c in failed if c.name.partition(".")[2] in CHECK_WORDS]
    parts = [_other_failure(c) for c in failed if c not in limits]
    if limits:
        listed = ", ".join(_broken(c, named=scenario.judge == "both") for c in limits)
        parts.insert(0, f"{what} {breaks} {listed}")
    return f"Fail: {'; '.join(parts)}."


def _beyond_without_trades(checks: list[Check]) -> list[Check]:
    """Limits that are not kept although the check passes: the feeder's own violations, which trades did not worsen."""
    return [c for c in checks if c.judged and c.verdict == "pass" and c.margin is not None and not c.margin >= 0
            and c.name.partition(".")[2] in CHECK_WORDS]  # fmt: skip


def _broken(check: Check, named: bool) -> str:
    """A limit that was not kept, with as many digits as it takes to tell the value from the limit."""
    unit, digits = {"pu": ("pu", 3), "W": ("kW", 1), "VA": ("kVA", 1)}.get(check.unit, ("%", 0))
    scale = 1000.0 if unit.startswith("k") else 1.0
    value, limit = (check.value or 0.0) / scale, (check.limit or 0.0) / scale
    while value != limit and round(value, digits) == round(limit, digits) and digits < 9:
        digits += 1
    kind = check_words(check.name) if named else CHECK_WORDS[check.name.partition(".")[2]]
    where = f", at {check.element}" if check.element else ""
    return f"{kind} ({value:.{digits}f} {unit}, limit {limit:g} {unit}{where})"


def _margin(check: Check) -> str:
    margin = check.margin or 0.0
    if check.unit in ("W", "VA"):
        return f"{margin:.0f} {check.unit}" if abs(margin) < 1000 else f"{margin / 1000:.1f} k{check.unit}"
    return f"{margin:.4f} pu" if check.unit == "pu" else f"{margin:.1f} percentage points"


def _other_failure(check: Check) -> str:
    if not check.name.startswith("expect."):
        return f"{_plain(check)}: {check.detail.rstrip('.')}"
    value, limit = check.value or 0.0, check.limit or 0.0
    wanted = "at most" if value > limit else "at least"
    return f"{check.name.removeprefix('expect.')} is {value:.10g}, expected is {wanted} {limit:.10g}"


def _plain(check: Check) -> str:
    """Power flow, gate, money, by their own name: 'power flows solved: first in interval 3' would say the opposite."""
    return check_words(check.name) if "." in check.name else check.name.replace("_", " ")

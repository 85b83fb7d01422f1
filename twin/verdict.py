"""The verdict: checks made after the run on what was recorded. A verdict is about the plant, never the gate."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from twin.checks import Check, Evidence, Outcome
from twin.extremes import LINE, TRAFO, V_MAX, V_MIN
from twin.gate.kinds import SHORT_TIME
from twin.limit_checks import BALANCED, limit_checks
from twin.recorder import Recorder
from twin.scenario.limits_section import LimitsSection
from twin.scenario.schema import Scenario
from twin.violations import Episode

__all__ = ["Check", "Evidence", "Outcome", "make_checks", "overall", "smallest_margin"]

WORST_FIRST: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")

GRID_CHECKS = (
    ("voltage_min", V_MIN, "pu", "voltage_min_pu"),
    ("voltage_max", V_MAX, "pu", "voltage_max_pu"),
    ("line_loading", LINE, "percent", "highest_line_loading_percent"),
    ("transformer_loading", TRAFO, "percent", "highest_transformer_loading_percent"),
)

FAULTS = ("protection and fault levels", "short-circuit power and relay settings are not modelled")
QUALITY = (
    "EN 50160 voltage quality",
    "needs means of 10 minutes or less over at least a week; flicker, harmonics and dips are not modelled",
)
DISTURBANCES = (
    "EN 50160 flicker, harmonics and dips",
    "they are not modelled",
)


def make_checks(evidence: Evidence) -> list[Check]:
    """All checks of a finished variant."""
    return [
        _power_flow(evidence),
        *_grid_checks(evidence),
        *limit_checks(evidence),
        _gate(evidence),
        _engines(evidence),
        _devices(evidence),
        _money(evidence),
        *_expectations(evidence),
    ]


def overall(checks: list[Check]) -> Outcome:
    """The worst of the judged checks; but an unsolved power flow makes everything inconclusive.

    What was not solved may be worse than any violation that was seen, and a model that fails once cannot be
    trusted to have been right before.
    """
    if any(check.name == "power_flow" and check.verdict != "pass" for check in checks):
        return "inconclusive"
    assessed = {check.verdict for check in checks if check.judged}
    return next((outcome for outcome in WORST_FIRST if outcome in assessed), "inconclusive")


def _power_flow(evidence: Evidence) -> Check:
    lost = evidence.recorder.unsolved
    if not lost:
        return Check(
            "power_flow", "pass", 0, 0, "steps", detail="every step was solved, with and without trades"
        )
    first = lost[0]
    detail = f"first in interval {evidence.interval(first.step)}: {first.element} did not converge or is NaN"
    return Check(
        "power_flow",
        "inconclusive",
        len(lost),
        0,
        "steps",
        element=first.element,
        first_interval=evidence.interval(first.step),
        count=len(lost),
        detail=detail,
    )


def _grid_checks(evidence: Evidence) -> Iterator[Check]:
    judge = evidence.run.scenario.judge
    for name, measure, unit, key in GRID_CHECKS:
        limit = float(getattr(evidence.run.scenario.limits, key))
        for who in ("trades", "feeder"):
            yield _grid_check(evidence, who, name, measure, unit, limit, judge in (who, "both"))


def _grid_check(
    evidence: Evidence, who: str, name: str, measure: int, unit: str, limit: float, judged: bool
) -> Check:
    """``trades``: what trades made or worsened; ``feeder``: the same plant without trades."""
    recorder, title = evidence.recorder, f"{who}.{name}"
    moment = (recorder.watch.worst if who == "trades" else recorder.watch.worst_base)[measure]
    if moment is None:
        return Check(
            title, "not_assessed", None, limit, unit, judged=False, detail="nothing with a limit, or unsolved"
        )
    value = moment.reading.value if who == "trades" else moment.reading.base
    margin = value - limit if measure == V_MIN else limit - value
    element = recorder.element(measure, moment.reading.row if who == "trades" else moment.reading.base_row)
    short = moment is not None and limit != getattr(evidence.run.scenario.limits, f"{name}_percent", limit)
    detail = SHORT_TIME[name] if short else ""
    if who == "trades":
        found = caused(recorder, name)
        failed, first, count = bool(found), found[0].first_step if found else None, len(found)
        if failed:  # named is what trades did, even where the feeder alone is further out elsewhere
            worst = max(found, key=lambda e: e.worst_excess)
            value, margin, element = worst.worst_value, -worst.worst_excess, worst.element
        elif not margin >= 0:
            detail = "the feeder breaks this limit without trades as well, and trades do not worsen it"
    else:
        first, count = recorder.base_violated_first[measure], recorder.base_violated[measure]
        failed = not margin >= 0
    return Check(
        title,
        "fail" if failed else "pass",
        value,
        limit,
        unit,
        margin,
        element,
        evidence.interval(first) if failed and first is not None else None,
        count if failed else 0,
        judged,
        detail,
    )


def caused(recorder: Recorder, kind: str) -> list[Episode]:
    """The violations of one kind in the plant that trades made or worsened, in order of time."""
    return [e for e in recorder.violated.all() if e.kind == kind and e.by_trades]


def _gate(evidence: Evidence) -> Check:
    count = int(evidence.recorder.totals.numbers.get("gate_inconclusive", 0))
    if evidence.run.scenario.coordination.mode == "none":
        return Check("gate", "not_assessed", judged=False, detail="no gate: coordination is none")
    if count:
        return Check(
            "gate",
            "inconclusive",
            count,
            0,
            "intervals",
            count=count,
            detail="the gate's own model could not be solved there; it let no trade pass",
        )
    return Check("gate", "pass", 0, 0, "intervals", detail="what left the gate has passed an AC power flow")


def _engines(evidence: Evidence) -> Check:
    from adapters.grid.compare import OPENDSS_TOLERANCE_PU

    comparison = evidence.run.comparison
    detail = " ".join(comparison.sentences())
    if comparison.voltage is None:
        return Check("engine_agreement", "not_assessed", judged=False, detail=detail)
    value, tolerance, where = comparison.voltage.value, comparison.tolerance_pu, comparison.voltage.element
    outcome: Outcome = "pass" if comparison.agrees else "inconclusive"
    third = comparison.opendss
    if third is not None and not third.value / OPENDSS_TOLERANCE_PU <= value / tolerance:
        value, tolerance, where = third.value, OPENDSS_TOLERANCE_PU, third.element
    return Check("engine_agreement", outcome, value, tolerance, "pu", tolerance - value, where, detail=detail)


def _devices(evidence: Evidence) -> Check:
    wire, by_fault = evidence.kpis["wire_samples_count"], evidence.kpis["bad_samples_by_fault_count"]
    bad = evidence.kpis["bad_samples_count"] - by_fault
    if evidence.run.bench is None:
        return Check(
            "device_data", "not_assessed", judged=False, detail="no bench: all devices are in memory"
        )
    return Check(
        "device_data",
        "inconclusive" if bad or not wire else "pass",
        bad,
        0,
        "samples",
        count=bad,
        detail=f"{wire} participant samples came over a wire"
        + (f"; {by_fault} more were bad because of scheduled faults" if by_fault else ""),
    )


def _money(evidence: Evidence) -> Check:
    total = evidence.kpis["money_sum_micro"]
    if total:
        return Check("money", "fail", total, 0, "micro", detail="the ledger does not sum to zero")
    if evidence.chain_agrees is None:
        return Check(
            "money", "pass", 0, 0, "micro", 0.0, detail="the ledger sums to zero; not settled on a chain"
        )
    if not evidence.chain_agrees:
        return Check("money", "fail", 0, 0, "micro", detail="the chain's balances differ from the ledger's")
    return Check(
        "money", "pass", 0, 0, "micro", 0.0, detail="ledger and chain sum to zero and agree per account"
    )


def _expectations(evidence: Evidence) -> Iterator[Check]:
    for wish in evidence.run.scenario.expectations:
        value = evidence.kpis.get(wish.kpi)
        name = f"expect.{wish.kpi}"
        if value is None:
            yield Check(name, "inconclusive", detail="the run has no number for this KPI")
            continue
        low = -np.inf if wish.min is None else wish.min
        high = np.inf if wish.max is None else wish.max
        inside = low <= value <= high
        nearer = wish.min if value - low < high - value else wish.max
        margin = float(min(value - low, high - value))
        yield Check(name, "pass" if inside else "fail", value, nearer, "", margin, count=int(not inside))


def not_assessed(scenario: Scenario, checks: list[Check], balanced: bool = True) -> list[dict[str, str]]:
    """What the verdict does not speak about, and why; ``balanced``: of the feeder."""
    both = (FAULTS, DISTURBANCES if "en50160" in scenario.limits.standards else QUALITY)
    rows = [{"name": name, "why": why} for name, why in both]
    if balanced or scenario.limits.voltage_unbalance_percent is None:
        why = BALANCED[1] if balanced else "no limit is set: limits.voltage_unbalance_percent"
        rows.append({"name": BALANCED[0], "why": why})
    rows += [{"name": c.name, "why": c.detail} for c in checks if c.verdict == "not_assessed"]
    if scenario.participants.forecast.kind == "perfect":
        rows.append(
            {"name": "forecast errors", "why": "forecast: perfect, so gate and plant agree by construction"}
        )
    return rows


def smallest_margin(checks: list[Check], limits: LimitsSection) -> Check | None:
    """The judged grid check with the least margin, relative to the room that its limit leaves."""
    known = [c for c in checks if c.judged and c.margin is not None and is_limit(c.name)]
    return min(known, key=lambda c: (c.margin or 0.0) / _room(c, limits), default=None)


def is_limit(name: str) -> bool:
    """Whether a check is of a limit of the feeder, with and without trades, and not of the run itself."""
    return name.startswith(("trades.", "feeder."))


def _room(check: Check, limits: LimitsSection) -> float:
    """What a limit leaves: in pu from nominal, of a share of means what may be outside, else all of the limit."""
    name, limit = check.name.partition(".")[2], check.limit or 0.0
    if name in ("voltage_min", "voltage_max"):
        limit = getattr(limits, f"{name}_pu")
    if check.unit == "pu":
        return max(abs(1 - limit), 1e-3)
    if name.startswith("en50160"):
        return 100 - limit
    return max(limit, 1e-3)


def as_record(check: Check) -> dict[str, Any]:
    """A check as it stands in verdict.json."""
    return asdict(check)

"""Checks of the limits beyond band and loading: those of a moment, moving means, EN 50160 and ANSI C84.1."""

from collections.abc import Iterator

import numpy as np

from twin.ansi_c84 import CLAUSES as ANSI_CLAUSES
from twin.ansi_c84 import AnsiC84, Stay
from twin.checks import Check, Evidence, Outcome
from twin.en50160 import EXTREME, UNBALANCE, Breach, En50160
from twin.further import RISE, Tally
from twin.further import UNBALANCE as UNBALANCE_NOW
from twin.gate.kinds import CLAUSES, HEAD, Kind, unit_of
from twin.plant import WITH, WITHOUT

BALANCED = (
    "voltage unbalance",
    "the power flow is balanced: single-phase connections are spread over three phases",
)
WHO = ("trades", "feeder")  # rows WITH and WITHOUT
OWN = "the feeder breaks this limit without trades as well, and trades do not worsen it"


def limit_checks(evidence: Evidence) -> Iterator[Check]:
    """Every check that the scenario's limits ask for beyond band and loading."""
    further, lasting = evidence.recorder.further, evidence.recorder.lasting
    for name, pair in further.tallies.items():
        why = BALANCED[1] if name == UNBALANCE_NOW and further.balanced else "no step was solved"
        for who, seen in zip(WHO, pair, strict=True):
            if not (name == RISE and who == "feeder"):  # without trades nothing rises
                yield _tally(evidence, who, seen, why)
    if lasting.averages is not None:
        hours = f"the run never fills the window of {lasting.averages.window_s} s"
        for pair in lasting.averages.tallies.values():
            for who, seen in zip(WHO, pair, strict=True):
                yield _tally(evidence, who, seen, hours)
    if lasting.en50160 is not None:
        yield from _en50160(evidence, lasting.en50160)
    if lasting.ansi is not None:
        yield from _ansi(evidence, lasting.ansi)


def _judged(evidence: Evidence, who: str) -> bool:
    return evidence.run.scenario.judge in (who, "both")


def _tally(evidence: Evidence, who: str, seen: Tally, why_not: str) -> Check:
    title, clause = f"{who}.{seen.name}", CLAUSES[seen.name]
    outcome: Outcome = "fail" if seen.broken_steps else "inconclusive" if seen.unknown_steps else "pass"
    if np.isnan(seen.worst):
        if outcome == "pass":
            return Check(title, "not_assessed", None, seen.limit, seen.unit, judged=False, detail=why_not)
        detail = f"{clause}; no value in {seen.unknown_steps} steps"
        return Check(
            title, outcome, None, seen.limit, seen.unit, judged=_judged(evidence, who), detail=detail
        )
    detail = clause
    if outcome == "inconclusive":
        detail += f"; no value in {seen.unknown_steps} steps"
    elif outcome == "pass" and not seen.worst <= seen.limit:
        detail += f"; {OWN}"
    first = seen.first_step
    return Check(
        title,
        outcome,
        seen.worst,
        seen.limit,
        seen.unit,
        seen.limit - seen.worst,
        None if seen.element == HEAD else seen.element,  # the name of the check says it
        None if first is None else evidence.interval(first),
        seen.broken_steps,
        _judged(evidence, who),
        detail,
    )


def _at(evidence: Evidence, moment_s: int) -> int:
    """The interval of a moment, in seconds since 1970; a window may begin before the run's first interval ends."""
    s = evidence.run.scenario
    return max(0, moment_s - int(s.start.timestamp())) // s.interval_s


def _en50160(evidence: Evidence, seen: En50160) -> Iterator[Check]:
    if seen.why_not:
        yield Check("en50160", "not_assessed", judged=False, detail=seen.why_not)
        return
    for kind, rows in seen.rows.items():
        if kind == UNBALANCE and not len(rows):
            why = BALANCED[1] if seen.balanced else "nobody is connected where all three phases are"
            yield Check(kind, "not_assessed", judged=False, detail=why)
            continue
        for which in (WITH, WITHOUT):
            yield _week_check(evidence, seen, kind, which)


def _week_check(evidence: Evidence, seen: En50160, kind: str, which: int) -> Check:
    """The worst week of the worst supply terminal; of the trades, the worst that they are to blame for."""
    found, names = seen.found[kind][which], evidence.run.feeder.bus_names
    value, limit, margin, row, clause = found.value, found.limit, found.margin, found.row, found.clause
    broken, first_s, note = found.broken, found.first_s, ""
    if which == WITH:
        blamed = [b for b in seen.breaches if b.kind == kind and b.by_trades]
        if not blamed and broken:
            note = f"; {OWN}"
        broken, first_s = len(blamed), min((b.first_s for b in blamed), default=None)
        if blamed:
            worst = max(blamed, key=_beyond)
            value, limit, margin, row, clause = (
                worst.value, worst.limit, -_beyond(worst), worst.row, worst.clause,
            )  # fmt: skip
    outcome: Outcome = "fail" if broken else "inconclusive" if seen.unknown else "pass"
    weeks = f"{seen.weeks} week{'s' if seen.weeks != 1 else ''} of {len(seen.rows[kind])} terminals"
    lost = f"; {seen.unknown} means have no value" if seen.unknown else ""
    known = bool(np.isfinite(margin))
    return Check(
        f"{WHO[which]}.{kind}",
        outcome,
        value if known else None,
        limit if known else None,
        unit_of(kind),
        margin if known else None,
        names[row] if row >= 0 else None,
        None if first_s is None else _at(evidence, first_s),
        broken,
        _judged(evidence, WHO[which]),
        f"{clause}; {weeks}{lost}{note}",
    )


def _beyond(breach: Breach) -> float:
    """How far a breach is beyond its limit: a share below it, an outermost mean on either side."""
    return abs(breach.value - breach.limit) if breach.kind == EXTREME else breach.limit - breach.value


def _ansi(evidence: Evidence, seen: AnsiC84) -> Iterator[Check]:
    if seen.why_not:
        yield Check("ansi_c84_1", "not_assessed", judged=False, detail=seen.why_not)
        return
    for kind in seen.kinds:
        for which in (WITH, WITHOUT):
            yield _range_check(evidence, seen, kind, which)


def _range_check(evidence: Evidence, seen: AnsiC84, kind: Kind, which: int) -> Check:
    found, names = seen.extremes[kind][which], evidence.run.feeder.bus_names
    outcome: Outcome = "fail" if found.broken else "inconclusive" if seen.unknown else "pass"
    known = bool(np.isfinite(found.margin))
    detail = f"{ANSI_CLAUSES[kind]}; {_stay(seen, seen.stay[which])}"
    if outcome == "pass" and found.margin < 0:
        detail += f"; {OWN}"
    if seen.unknown:
        detail += f"; {seen.unknown} means have no value"
    return Check(
        f"{WHO[which]}.{kind}",
        outcome,
        found.value if known else None,
        found.limit if known else None,
        "pu",
        found.margin if known else None,
        names[found.row] if found.row >= 0 else None,
        None if found.first_s is None else _at(evidence, found.first_s),
        found.broken,
        _judged(evidence, WHO[which]),
        detail,
    )


def _stay(seen: AnsiC84, stay: Stay) -> str:
    """The outcome in words, with extent, frequency and duration of what only range B allows."""
    total = sum(stay.windows)
    if not total:
        return "no mean has a value"
    shares = [100 * n / total for n in stay.windows]
    text = f"{stay.worst}: {shares[0]:.4g} % of the means of {seen.window_s / 60:g} min in A"
    if stay.windows[1]:
        text += (
            f", {shares[1]:.3g} % in B only (at {len(stay.terminals)} of {len(seen.rows)} terminals, "
            f"{stay.times} times, for up to {seen.minutes(stay.longest):g} min)"
        )
    return text + (f", {shares[2]:.3g} % outside B" if stay.windows[2] else "")

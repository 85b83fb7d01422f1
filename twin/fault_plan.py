"""The scenario's faults in run time: checked against participants, bench and length, all problems at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rigs.faults import Fault, FaultKind, Refusal
from twin.scenario.faults_section import METER_KINDS, FaultSection
from twin.scenario.schema import Scenario
from twin.scenario.words import listed, nearest

Complain = Callable[..., None]
"""Takes key path, message, and optionally got, allowed, hint; see ``LoadedScenario.problem``."""

METER = ".meter"
BEHIND = ("pv", "battery")


@dataclass(frozen=True)
class MeterFault:
    """A fault of a participant's own meter, active from ``from_s`` until before ``until_s`` of the run.

    ``participant`` and ``row`` are of the meter: those behind connection points come after all participants.
    ``value`` is the factor of ``meter_lie``, the age in s of what ``meter_replay`` repeats, else 1.
    """

    participant: str
    row: int
    kind: str  # one of METER_KINDS
    from_s: float
    until_s: float
    value: float


@dataclass(frozen=True)
class FaultPlan:
    """What goes wrong in a run: on devices of the bench, and in meters of participants."""

    devices: tuple[Fault, ...] = ()
    meters: tuple[MeterFault, ...] = ()


def plan_faults(
    scenario: Scenario,
    names: Sequence[str],
    drivers: Mapping[str, str],
    readable: bool,
    complain: Complain,
    refuses: Refusal = lambda role, kind: "",
    behind: Sequence[str] = (),
) -> FaultPlan:
    """Return what goes wrong in a run; what cannot is told to ``complain``.

    Args:
        scenario: the scenario, with its faults.
        names: the participants.
        drivers: role to driver (``memory``, ``emulated``, ``modbus``) of the bench, empty without one.
        readable: whether the bench could be read; if not, its roles are unknown and none is called wrong.
        complain: hears every problem, with its key path.
        refuses: why a role of the bench cannot have a kind of fault, empty where it can.
        behind: the meters behind connection points, in their order.
    """
    rows = {name: row for row, name in reversed(list(enumerate((*names, *behind))))}
    devices: list[Fault] = []
    meters: list[MeterFault] = []
    spans: list[tuple[str, float, float, int]] = []
    for i, section in enumerate(scenario.faults):
        here = f"faults[{i}]"
        span = _span(scenario, section, here, complain)
        if section.kind in METER_KINDS:
            known = _meter_target(section, here, rows, complain)
        else:
            known = not readable or _device_target(section, here, rows, drivers, complain, refuses)
        if span is None or not known:
            continue
        from_s, until_s = span
        _check_overlap(section.target, from_s, until_s, i, spans, complain)
        if section.kind in METER_KINDS:
            name = section.target.removesuffix(METER)
            meters.append(MeterFault(name, rows[name], section.kind, from_s, until_s, section.value))
        else:
            kind: FaultKind = section.kind  # type: ignore[assignment] # the other kinds went above
            devices.append(Fault(section.target, kind, from_s, until_s, section.value))
    return FaultPlan(tuple(devices), tuple(meters))


def _span(
    scenario: Scenario, section: FaultSection, here: str, complain: Complain
) -> tuple[float, float] | None:
    """From and until in s of the run; None (and a problem) where it does not lie inside the run."""
    end_s = float(scenario.n_intervals * scenario.interval_s)
    from_s = section.from_s(scenario.start)
    until_s = end_s if section.for_s is None else from_s + section.for_s
    run = f"the run lasts {end_s:.0f} s from {scenario.start.isoformat()}"
    if not 0 <= from_s < end_s:
        key, got = ("at_s", f"{from_s:.15g}") if section.at is None else ("at", section.at)
        complain(f"{here}.{key}", "lies outside of the run", got, run)
        return None
    if not until_s <= end_s:
        complain(
            f"{here}.for_s",
            "reaches beyond the end of the run",
            f"{section.for_s:.15g} s from second {from_s:.0f}",
            f"at most {end_s - from_s:.0f} s",
        )
        return None
    step_s = scenario.step_s
    if not -(-from_s // step_s) * step_s < until_s:
        complain(
            f"{here}.for_s",
            f"falls between two steps of {step_s} s, so that nobody would notice",
            f"{until_s - from_s:.15g} s from second {from_s:.15g}",
            f"a time that holds the begin of a step (a multiple of {step_s} s)",
        )
        return None
    if section.kind == "meter_replay" and not section.value <= from_s:
        complain(
            f"{here}.lag_s",
            "begins before the run: there is nothing to repeat",
            f"{section.value:.0f} s at second {from_s:.0f}",
            f"at most {from_s:.0f} s",
        )
        return None
    return from_s, until_s


def _meter_target(section: FaultSection, here: str, rows: Mapping[str, int], complain: Complain) -> bool:
    name = section.target.removesuffix(METER)
    if name != section.target and name in rows:
        return True
    near = nearest(name, sorted(rows), f"Did you mean '{{}}{METER}'?")
    if name.rpartition(".")[2] in BEHIND and name.rpartition(".")[0] in rows:
        near = "A plant and a battery have meters of their own where both stand behind one point and oracles are on."
    complain(
        f"{here}.target",
        "is no participant's meter",
        repr(section.target),
        f"'<participant>{METER}' for kind {section.kind}, '<participant>.pv{METER}' and '<participant>.battery{METER}' "
        "where a plant and a battery are metered beside it (settlement.oracles)",
        near,
    )
    return False


def _device_target(
    section: FaultSection,
    here: str,
    rows: Mapping[str, int],
    drivers: Mapping[str, str],
    complain: Complain,
    refuses: Refusal,
) -> bool:
    able = sorted(r for r, of in drivers.items() if of != "memory" and not refuses(r, section.kind))
    if section.target in drivers:
        if drivers[section.target] == "memory":
            why = "is served by driver memory, which has no wire that could fail"
        else:
            why = refuses(section.target, section.kind)
        if why:
            complain(
                f"{here}.target", why, repr(section.target), listed(able, "or") or "no role of this bench"
            )
        return not why
    meter = section.target.endswith(METER) and section.target.removesuffix(METER) in rows
    if meter and f"meter_{section.kind}" in METER_KINDS:
        hint = f"No bench serves this meter: did you mean kind meter_{section.kind}?"
    elif not able:
        hint = "Name a bench with emulated devices in devices.bench or with --bench."
    else:
        hint = nearest(section.target, able, "Did you mean {}?")
    complain(
        f"{here}.target",
        f"is no role of the bench that can be given {section.kind}",
        repr(section.target),
        listed(able, "or"),
        hint,
    )
    return False


def _check_overlap(
    target: str,
    from_s: float,
    until_s: float,
    i: int,
    spans: list[tuple[str, float, float, int]],
    complain: Complain,
) -> None:
    """Complain where an earlier fault of the same target is still active, and remember this one."""
    for other, begin_s, end_s, j in spans:
        if other == target and from_s < end_s and begin_s < until_s:
            complain(
                f"faults[{i}]",
                f"overlaps with faults[{j}] of the same target",
                f"second {from_s:.15g} to {until_s:.15g}",
                f"before second {begin_s:.15g} or from second {end_s:.15g} on",
            )
    spans.append((target, from_s, until_s, i))

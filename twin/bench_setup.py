"""What a scenario asks of a bench, checked before anything is opened: roles, features, faults."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rigs.bench_sections import BenchFile
from rigs.device import RoleSpec
from rigs.faults import Refusal
from twin.fault_plan import Complain, FaultPlan, plan_faults
from twin.participants import Participants
from twin.scenario.schema import Scenario
from twin.scenario.words import listed, nearest

Reach = Callable[[Path, Sequence[RoleSpec]], Sequence[str]]
"""Returns why real devices of a bench file cannot be opened now; see ``rigs.reach``."""


@dataclass(frozen=True)
class BenchSetup:
    """The bench of a run as its file says: ``path`` None without one; ``drivers`` maps role to driver."""

    path: Path | None = None
    coupling: str = "none"
    drivers: Mapping[str, str] = field(default_factory=dict)
    faults: FaultPlan = field(default_factory=FaultPlan)


def set_up(
    path: Path | None,
    needed: bool,
    scenario: Scenario,
    people: Participants,
    complain: Complain,
    arm: Mapping[str, float] | None = None,
    reach: Reach | None = None,
) -> BenchSetup:
    """Check a bench file against participants, requirements and faults.

    Args:
        path: the bench file; None where the scenario names none, or where it was not found.
        needed: whether one is named, found or not.
        scenario: the scenario.
        people: the participants.
        complain: hears every problem, with its key path.
        arm: role to seconds for which a real device shall be armed.
        reach: asks real devices whether they are there, and who they are; None: opens no socket.
    """
    coupling, readable = "none", not needed
    features: tuple[str, ...] = ()
    drivers: dict[str, str] = {}
    refuses: Refusal = lambda role, kind: ""  # noqa: E731
    if path is not None:
        from rigs.bench_file import load_bench
        from rigs.fault_scope import fault_refusals
        from rigs.open_bench import check_bench
        from twin.devices import role_specs

        specs = role_specs(people)
        problems = check_bench(path, specs, arm)
        for problem in problems:
            complain("devices.bench", problem)
        if not problems:
            bench = load_bench(path, specs)
            coupling, features, readable = bench.coupling, tuple(bench.features), True
            refuses = fault_refusals(bench, {spec.role: spec for spec in specs})
            drivers = {role: device.driver for role, device in bench.devices.items()}
            _check_time(scenario, bench, complain)
            if reach is not None and scenario.devices.time == "wall_clock":
                for problem in reach(path, specs):
                    complain("devices.bench", problem)
    if arm and not needed:
        complain("devices.bench", "--arm needs a bench, and none is named", ", ".join(arm))
    if readable:
        _check_features(scenario, features, path, complain)
    behind = _meters_behind(scenario, people)
    plan = plan_faults(scenario, people.names, drivers, readable, complain, refuses, behind)
    return BenchSetup(path, coupling, drivers, plan)


def _meters_behind(scenario: Scenario, people: Participants) -> tuple[str, ...]:
    """Meters behind connection points, which only oracles read; looked for where there is a fault."""
    if not scenario.faults or scenario.settlement.oracles is None:
        return ()
    from twin.oracles.metering import Metering

    return Metering(people, scenario.interval_s / 3600).names[people.n :]


def _check_time(scenario: Scenario, bench: BenchFile, complain: Complain) -> None:
    """Complain of devices that do not run in the scenario's time."""
    if scenario.devices.time == "wall_clock":
        for role, device in bench.devices.items():
            if device.driver != "memory" and not scenario.step_s < device.safe_after_s:
                complain(
                    "devices.bench",
                    f"{role!r} would be made safe within every step of {scenario.step_s} s",
                    f"safe_after_s: {device.safe_after_s:g}",
                    f"safe_after_s above {scenario.step_s}",
                    "Raise safe_after_s in the bench, or shorten the step with substep_s.",
                )
        return
    for role, device in bench.devices.items():
        real = device.driver == "modbus"
        if real or (device.driver == "emulated" and device.emulated.clock == "wall"):
            what = "a real device" if real else "an emulated device with clock: wall"
            complain(
                "devices.time",
                f"{role!r} is {what}, which cannot run in simulated time",
                "simulated",
                "wall_clock",
                f"A run then takes as long as it lasts; with substep_s a step is {scenario.step_s} s now.",
            )


def _check_features(
    scenario: Scenario, features: tuple[str, ...], path: Path | None, complain: Complain
) -> None:
    """Complain of every required feature that the bench does not list."""
    for i, name in enumerate(scenario.devices.requires):
        if name in features:
            continue
        if path is None:
            hint = "Name a bench in devices.bench or with --bench."
            complain(f"devices.requires[{i}]", "no bench is named that could offer it", repr(name), hint=hint)
            continue
        complain(
            f"devices.requires[{i}]",
            f"the bench {path.name} does not offer it",
            repr(name),
            f"its features: {listed(features) or 'none'}",
            nearest(name, features, "Did you mean {}?"),
        )

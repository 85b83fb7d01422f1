"""``twin rig characterise``: volt-var, volt-watt and watt-limit step tests of the devices of a bench.

The structure follows the test procedures of IEEE 1547.1-2020; see ``rigs.step_test`` for the criteria. Time is the
device's own: simulated in lockstep, else the wall's.
"""

import json
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rigs.arming import SOURCE, has_real_source
from rigs.bench import OpenBench
from rigs.bench_file import DeviceSection, nameplate_roles
from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.errors import RigError
from rigs.fault_watch import owner_of
from rigs.grid_functions import FunctionSettings, read_function, switch_function
from rigs.open_bench import open_bench
from rigs.signals import uninterrupted
from rigs.step_test import SETTLED, Judgement, Step, judge
from rigs.wire import WireDevice

T = TypeVar("T")

TESTS = ("volt_var", "volt_watt", "watt_limit")
_LIMIT_RESPONSE_S = 30.0  # IEEE 1547-2018, 4.6.2: a limit of active power is met within 30 s
_SAMPLES = 10  # per open-loop response time
_EARLY, _LEAST_S = 60, 0.05
_NEAR_PU = 0.01  # how far beyond a corner of the curve a test goes
_KINDS = ("pv_inverter", "battery")
_ANALYSER = "analyser"


@dataclass(frozen=True)
class Characterisation:
    """What was found of one role by one test; ``reason`` where it was not run."""

    role: str
    test: str
    judgements: tuple[Judgement, ...]
    settings: FunctionSettings | None = None
    reason: str = ""


class _Session:
    """One role under test: sets, waits, samples."""

    def __init__(self, bench: OpenBench, spec: RoleSpec) -> None:
        self.bench, self.spec = bench, spec
        self.section = bench.section(spec.role)
        self.analyser = _analyser_of(bench, spec.role)
        self.lockstep = _on_wire(bench, spec.role, _is_lockstep)
        self.now_s = 0.0
        least_w, most_w = self.section.limits.p_gen_w or (-spec.p_max_w, spec.p_max_w)
        self.least_w = max(least_w, -spec.p_max_w) if spec.kind == "battery" else 0.0
        self.most_w = min(most_w, spec.p_max_w)
        self.command = Command(self.most_w)

    def sample(self, seconds: float) -> tuple[float, float]:
        """Let time pass; returns mean active and reactive power, by the analyser where the bench has one.

        Raises:
            RigError: the reading of the device or of the analyser is bad.
        """
        here = Ambient(p_available_w=self.spec.p_max_w)
        if not self.lockstep:
            time.sleep(seconds)
        samples = self.bench.step(self.now_s, seconds, {self.spec.role: self.command}, {self.spec.role: here})
        self.now_s += seconds
        for role in filter(None, (self.spec.role, self.analyser)):
            if samples[role].quality is not Quality.GOOD:
                raise RigError(f"{role}: no trustworthy reading during a step: {samples[role].note}")
        seen = samples[self.analyser or self.spec.role]
        return seen.p_gen_w, seen.q_gen_var

    def settle(self, response_s: float) -> tuple[float, float]:
        """Let everything come to rest; returns the last reading."""
        self.sample(SETTLED * response_s)
        return self.sample(max(response_s / _SAMPLES, 0.05))

    def step(
        self, test: str, x_from: float, x_to: float, response_s: float, act: Callable[[], object]
    ) -> Step:
        """Make a step and follow it for some five response times."""
        which = 1 if test == "volt_var" else 0
        every_s = max(response_s / _SAMPLES, 0.05)
        before = self.sample(every_s)[which]
        began_s = self.now_s
        act()
        samples = []
        while self.now_s - began_s < (SETTLED + 1) * response_s - 1e-9:
            early = self.now_s - began_s < every_s - 1e-9  # a fast device is seen moving, too
            value = self.sample(max(every_s / _EARLY, _LEAST_S) if early else every_s)[which]
            samples.append((round(self.now_s - began_s, 9), value))
        return Step(
            test, x_from, x_to, response_s, tuple(samples), before, self.spec.p_max_w, self.measuring.error_share,
            self.lockstep, self.instrument,
        )  # fmt: skip

    @property
    def measuring(self) -> DeviceSection:
        """The bench's section of what measures."""
        return self.bench.section(self.analyser) if self.analyser else self.section

    @property
    def instrument(self) -> str:
        """What measures, and how well, in words."""
        by_class = self.measuring.meter.accuracy_class
        share = self.measuring.error_share
        known = (
            f"class {by_class:g}"
            if by_class is not None
            else f"{share:.0%} assumed"
            if share
            else "taken as exact"
        )
        return f"{self.analyser or 'its own meter'}, {known}"


def _analyser_of(bench: OpenBench, role: str) -> str:
    """Return the analyser at a role's connection point, empty where the bench has none."""
    owner = owner_of(role)
    analyser = f"{owner}.{_ANALYSER}" if owner else _ANALYSER
    return analyser if analyser in bench.roles else ""


def _on_wire(bench: OpenBench, role: str, work: Callable[[WireDevice], Coroutine[Any, Any, T]]) -> T:
    return bench._run(work(bench._wired[role]))


def _apply(bench: OpenBench, v_pu: float) -> float:
    assert bench.source is not None
    return bench._run(bench.source.apply(v_pu))


async def _is_lockstep(wire: WireDevice) -> bool:
    return wire.lockstep


def characterise(
    path: Path,
    *,
    roles: Sequence[str] = (),
    tests: Sequence[str] = TESTS,
    arm_s: float | None = None,
    state: Path | None = None,
) -> list[Characterisation]:
    """Run the tests on every inverter and battery of a bench (or on ``roles``); all is put back afterwards.

    Args:
        path: The bench file; it needs an ``ac_source`` for the voltage tests.
        arm_s: Arms the real devices under test and a real ac_source for so long. Never a default.

    Raises:
        RigError: wrong file, unknown role, a device that does not answer.
    """
    specs = {spec.role: spec for spec in nameplate_roles(path)}
    for role in roles:
        if role not in specs:
            raise RigError(f"{path.name} has no role {role!r}; it has {', '.join(specs)}")
    chosen = [s for s in specs.values() if (not roles or s.role in roles) and s.kind in _KINDS]
    if not chosen:
        raise RigError(
            f"{path.name}: nothing to characterise; only {' and '.join(_KINDS)} have these functions"
        )
    arm = {s.role: arm_s for s in chosen} if arm_s is not None else {}
    if arm_s is not None and has_real_source(path):
        arm[SOURCE] = arm_s
    with open_bench(path, tuple(specs.values()), arm=arm, state=state) as bench:
        return [found for spec in chosen for found in _role(bench, spec, tests)]


def _role(bench: OpenBench, spec: RoleSpec, tests: Sequence[str]) -> list[Characterisation]:
    session = _Session(bench, spec)
    found = []
    for test in tests:
        reason, settings = _why_not(session, test)
        if reason:
            found.append(Characterisation(spec.role, test, (), reason=reason))
        elif settings is not None:
            found.append(_voltage_test(session, settings))
        else:
            found.append(_limit_test(session))
    return found


def _why_not(session: _Session, test: str) -> tuple[str, FunctionSettings | None]:
    section, bench, role = session.section, session.bench, session.spec.role
    if section.driver == "memory":
        return "in memory: there is no device", None
    if not _on_wire(bench, role, _may_write):
        return "not armed: it would have to write", None
    if test == "watt_limit":
        return "", None
    source = bench.source
    if source is None:
        return "the bench has no ac_source to step the voltage with", None
    if source.section.feeds and role not in source.section.feeds:
        return "the ac_source does not feed it", None
    settings = _on_wire(bench, role, lambda wire: read_function(wire, test))
    return ("", settings) if settings is not None else ("the device has no model for it", None)


async def _may_write(wire: WireDevice) -> bool:
    return wire.gate is not None and wire.gate.writer is not None


def _voltages(settings: FunctionSettings, least_pu: float, most_pu: float) -> list[float]:
    """Return the voltages of a test: beyond every corner and in the middle of every slope, from nominal and
    back.
    """
    corners = [v for v, _ in settings.points]
    low = [c for c in corners if c < 1]
    high = [c for c in corners if c >= 1]
    up = [(high[0] + high[-1]) / 2, high[-1] + _NEAR_PU] if len(high) > 1 else [*high]
    down = [(low[0] + low[-1]) / 2, low[0] - _NEAR_PU] if len(low) > 1 else [*low]
    steps = [*up, 1.0, *down, 1.0] if down else [*up, 1.0]
    return [min(max(v, least_pu), most_pu) for v in steps]


def _voltage_test(session: _Session, settings: FunctionSettings) -> Characterisation:
    bench, role, response_s = session.bench, session.spec.role, settings.response_s
    assert bench.source is not None
    least_pu, most_pu = bench.source.section.v_pu
    # output that ceases or trips is no part of these curves: IEEE 1547-2018, tables 11 to 16
    voltages = _voltages(settings, max(least_pu, 0.885), min(most_pu, 1.095))
    try:
        _on_wire(bench, role, lambda wire: switch_function(wire, settings.name, True))
        _apply(bench, 1.0)
        free_w, _ = session.settle(response_s)
        judgements: list[Judgement] = []
        now_pu = 1.0
        for v_pu in voltages:
            apply = partial(_apply, bench, v_pu)
            step = session.step(settings.name, now_pu, v_pu, response_s, apply)
            now_pu = v_pu
            judgements += judge(step, _expected(settings, free_w))
        return Characterisation(role, settings.name, tuple(judgements), settings)
    finally:
        with uninterrupted():
            try:
                if not settings.enabled:
                    _on_wire(bench, role, lambda wire: switch_function(wire, settings.name, False))
            finally:
                _apply(bench, 1.0)


def _expected(settings: FunctionSettings, free_w: float) -> Callable[[float], float]:
    if settings.name == "volt_var":
        return settings.at
    return lambda v_pu: min(free_w, settings.at(v_pu))


def _limit_test(session: _Session) -> Characterisation:
    free_w, _ = session.settle(_LIMIT_RESPONSE_S)
    if session.spec.kind == "battery":
        levels = [session.most_w / 2, session.least_w / 2, session.least_w, 0.0]
    else:
        levels = [share * session.most_w for share in (0.66, 0.33, 0.0, 1.0)]
    judgements: list[Judgement] = []
    now_w = session.most_w
    for level_w in levels:

        def act(level_w: float = level_w) -> None:
            session.command = Command(level_w)

        step = session.step("watt_limit", now_w, level_w, _LIMIT_RESPONSE_S, act)
        now_w = level_w
        judgements += judge(step, lambda x: min(x, free_w))
    session.command = Command(session.most_w)
    return Characterisation(session.spec.role, "watt_limit", tuple(judgements))


def as_table(found: Sequence[Characterisation]) -> str:
    """Return the results as text, one line a criterion."""
    lines = []
    for c in found:
        measured = f": measured by {c.judgements[0].step.instrument}" if c.judgements else ""
        lines.append(f"{c.role}: {c.test}" + (f": not run: {c.reason}" if c.reason else measured))
        for j in c.judgements:
            unit = "var" if c.test == "volt_var" else "W"
            at = f"{j.step.x_from:g} -> {j.step.x_to:g} {'W' if c.test == 'watt_limit' else 'pu'}"
            lines.append(
                f"  {j.verdict:12s} {at:22s} {j.criterion:16s} {j.value:9.1f} {unit} in "
                f"{j.low:.1f} .. {j.high:.1f}, margin {j.margin:.1f}, uncertainty {j.uncertainty:.1f}"
            )
    return "\n".join(lines)


def write_record(found: Sequence[Characterisation], path: Path) -> None:
    """Write every step with its samples as JSON: what ``twin rig fit`` and ``drift`` read."""
    steps = []
    for c in found:
        steps += [{"role": c.role, **j.step.as_dict()} for j in c.judgements[::2]]  # two criteria a step
    text = json.dumps({"format": "step responses", "version": 1, "steps": steps}, indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")

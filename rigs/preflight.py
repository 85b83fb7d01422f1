"""Pre-flight of a bench without a scenario: identity, reading, reversion, round trip, sign, safe-state read-back."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rigs.ac_source import ROLE, BenchSource
from rigs.bench import OpenBench
from rigs.bench_file import nameplate_roles
from rigs.device import Ambient, Command, Quality, RoleSpec, Sample
from rigs.errors import BenchFileError, RigError
from rigs.gate_rules import GateMemory
from rigs.open_bench import default_state, open_bench
from rigs.sg_ready import NORMAL
from rigs.trial_order import Ask, trial_order
from rigs.wire import WireDevice
from rigs.write_gate import WriteGate

_SHARE = 0.05  # of rated power: as near as a measured power must be
_STEP_S = 60
_PATIENCE_S, _POLLS = 15.0, 5
_VOLTAGE = 0.02  # as near as a source must measure its own voltage, in pu


@dataclass(frozen=True)
class Check:
    """One line of the pre-flight. ``ok`` None: not run, with the reason."""

    role: str
    name: str
    ok: bool | None
    detail: str


def preflight(path: Path, arm: Mapping[str, float] | None = None, state: Path | None = None) -> list[Check]:
    """Open a bench by its own nameplates and try what its modes allow.

    Identity and rating of all devices are checked by opening, and then, where armed, their reversion timers; a device
    that fails them is reported and nothing else is tried.

    Args:
        path: the bench file.
        arm: role to seconds for which a real device (or ``ac_source``) is armed from now on. Never a default.
        state: folder of locks, latches and budgets; default: the user's state folder.

    Raises:
        BenchFileError: everything that is wrong with the file, or forbids arming; nothing was opened.
    """
    roles = nameplate_roles(path)
    try:
        opened = open_bench(path, roles, arm=arm, state=state)
    except BenchFileError:
        raise
    except RigError as error:
        return [Check("bench", "open", False, line) for line in str(error).splitlines()]
    checks = [Check(spec.role, "identity", True, "identity, rating and link") for spec in roles]
    try:
        with opened as bench:
            tried = _Preflight(bench, roles)
            if bench.source is not None:
                checks += _source(bench, bench.source)
            for spec in roles:
                checks += tried.role(spec)
    except RigError as error:
        return [*checks, Check("bench", "tear-down", False, str(error))]
    return [*checks, Check("bench", "tear-down", True, "all that was armed is safe, and was read back so")]


class _Preflight:
    """Tries one role after the other, each in its own time."""

    def __init__(self, bench: OpenBench, roles: tuple[RoleSpec, ...]) -> None:
        self._bench, self._roles = bench, roles
        self._now_s = 0

    def role(self, spec: RoleSpec) -> list[Check]:
        """Try one role: what is observed is read, what is armed is ordered and made safe."""
        sample = self._step(spec, None)
        checks = [
            Check(
                spec.role, "reading", sample.quality is Quality.GOOD, sample.note or f"{sample.p_gen_w:g} W"
            )
        ]
        gate, mode = self._gate(spec), self._bench.section(spec.role).mode
        if self._bench.section(spec.role).driver == "memory":
            why = "in memory: there is no device"
        elif gate is None or gate.writer is None:
            real = self._bench.section(spec.role).driver == "modbus" and mode == "shadow"
            why = f"mode {mode} writes nothing" + (f"; arm it with --arm {spec.role}=SECONDS" if real else "")
        else:
            return checks + self._armed(spec, gate)
        return [*checks, Check(spec.role, "reversion, round trip, sign, safe state", None, why)]

    def _armed(self, spec: RoleSpec, gate: WriteGate) -> list[Check]:
        signed = f"not proven, by the signed exception: {gate.rules.unproven_reason}"
        checks = [
            Check(spec.role, "reversion", True, "ran out once while the bench opened")
            if gate.proven
            else Check(spec.role, "reversion", None, signed)
        ]
        ask = trial_order(spec, gate.rules, gate.soc, self._room(spec))
        if isinstance(ask, str):
            return [*checks, Check(spec.role, "round trip, sign", None, ask), self._safe(spec, gate)]
        before = len(self._bench.journal)
        began_s = time.perf_counter()
        sample = self._until(spec, ask.p_w, ask)
        took_ms = (time.perf_counter() - began_s) * 1e3
        sent = [
            d for d in self._decisions(spec, before) if d["outcome"] == "sent" and d["asked_w"] == ask.p_w
        ]
        said = self._decisions(spec, before)
        why = f"{said[-1]['outcome']}: {said[-1]['reason']}" if said else "nothing was decided"
        live = self._bench.timing().get(spec.role)
        trip_ms = took_ms if live is None else live.worst_latency_s * 1e3
        trip = f"{ask.p_w:g} W written and read back, {trip_ms:.1f} ms a turn" if sent else why
        checks.append(Check(spec.role, "round trip", bool(sent), trip))
        real = self._bench.section(spec.role).driver == "modbus"
        right, detail = ask.judged(sample.p_gen_w, _SHARE * spec.p_max_w, real)
        return [*checks, Check(spec.role, "sign", right, detail), self._safe(spec, gate)]

    def _safe(self, spec: RoleSpec, gate: WriteGate) -> Check:
        """Make safe: the safe value is written, read back, and seen in what the device does."""
        safe_w, before = gate.rules.safe_w, len(self._bench.journal)
        goal = Ask(safe_w, spec.kind)
        self._until(spec, safe_w, goal)
        try:
            self._bench._run(self._wire(spec).make_safe(self._time_s(spec)))
        except Exception as error:  # whatever it is, it is not safe
            return Check(spec.role, "safe state", False, str(error))
        made = [
            d for d in self._decisions(spec, before) if d["reason"] == "make safe" and d["outcome"] == "sent"
        ]
        sample = self._until(spec, safe_w, goal)
        near = _SHARE * spec.p_max_w
        held = (
            sample.p_gen_w <= safe_w + near if spec.kind == "pv_inverter" else sample.p_gen_w >= safe_w - near
        )
        if spec.kind == "battery":
            held = abs(sample.p_gen_w - safe_w) <= near
        if spec.kind == "heat_pump":  # its power is what the house needs: the state it says it is in counts
            held = sample.sg_state == NORMAL
        detail = f"{safe_w:g} W written and read back, measured {sample.p_gen_w:g} W"
        return Check(spec.role, "safe state", bool(made) and held, detail if made else "it was not read back")

    def _until(self, spec: RoleSpec, p_w: float, ask: Ask) -> Sample:
        """Order a power and let time pass until it is measured, or for as long as that may take."""
        section = self._bench.section(spec.role)
        rate = section.ramp_w_per_s
        ramp_s = 2 * spec.p_max_w / rate if rate is not None else 0.0
        near_w, polls, began_s = _SHARE * spec.p_max_w, 0, time.monotonic()
        patience_s = _PATIENCE_S + ramp_s + section.min_interval_s + _POLLS * section.poll_s
        waited_s = 0.0
        while True:
            sample = self._step(spec, p_w)
            done = abs(sample.p_gen_w - p_w) <= near_w or spec.kind == "heat_pump"  # a state is no power
            if self._live(spec):
                waited_s, polls = time.monotonic() - began_s, polls + 1
                done = done and polls > 2  # what was read may have been before the order
            else:
                waited_s += _STEP_S
            if done or waited_s > (patience_s if self._live(spec) else ramp_s + section.min_interval_s):
                return sample
            if self._live(spec):
                time.sleep(section.poll_s)

    def _step(self, spec: RoleSpec, p_w: float | None) -> Sample:
        commands = {} if p_w is None else {spec.role: Command(p_w)}
        here = {spec.role: Ambient(p_available_w=spec.p_max_w)}
        sample = self._bench.step(self._now_s, _STEP_S, commands, here)[spec.role]
        self._now_s += _STEP_S
        return sample

    def _room(self, spec: RoleSpec) -> tuple[float, float]:
        """Return what the bench's aggregate limit leaves while all others are safe."""
        limits = self._bench.aggregate
        if limits is None or limits.p_gen_w is None:
            return float("-inf"), float("inf")
        others_w = sum(self._bench.section(s.role).safe.p_set_w for s in self._roles if s.role != spec.role)
        return limits.p_gen_w[0] - others_w, limits.p_gen_w[1] - others_w

    def _decisions(self, spec: RoleSpec, since: int) -> list[dict[str, Any]]:
        return [c for kind, c in self._bench.journal[since:] if kind == "decision" and c["role"] == spec.role]

    def _wire(self, spec: RoleSpec) -> WireDevice:
        return self._bench._wired[spec.role]

    def _gate(self, spec: RoleSpec) -> WriteGate | None:
        return self._wire(spec).gate if spec.role in self._bench._wired else None

    def _live(self, spec: RoleSpec) -> bool:
        return spec.role in self._bench.timing()

    def _time_s(self, spec: RoleSpec) -> float:
        return self._bench._now_s(spec.role)


def _source(bench: OpenBench, source: BenchSource) -> list[Check]:
    """Ask a source who it is; where it may be set, put it at nominal voltage and see that it measures it."""
    checks = [Check(ROLE, "identity", True, source.identity)]
    if not source.may_set:
        return [*checks, Check(ROLE, "round trip", None, f"not armed; arm it with --arm {ROLE}=SECONDS")]
    try:
        v_pu = bench._run(source.apply(1.0))
    except RigError as error:
        return [*checks, Check(ROLE, "round trip", False, str(error))]
    right = abs(v_pu - 1) <= _VOLTAGE
    return [
        *checks,
        Check(ROLE, "round trip", right, f"nominal voltage set, read back, and measured as {v_pu:.4f} pu"),
    ]


def reset_latch(bench_name: str, role: str, state: Path | None = None) -> str:
    """Open the latch of a real device, for the person who asked; returns what had latched it.

    Raises:
        RigError: it is not latched.
    """
    folder = state or default_state()
    memory = GateMemory(lambda: "", folder / "roles" / f"{bench_name}.{role}.json")
    if not memory.latch:
        raise RigError(f"{role} of bench {bench_name} is not latched")
    reason = memory.latch
    memory.reset()
    return reason

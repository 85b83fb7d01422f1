"""Pre-flight of a bench without a scenario: identity, proof of reversion, sign, round trip, safe state."""

import time
from dataclasses import dataclass
from pathlib import Path

from rigs.bench import OpenBench
from rigs.bench_file import nameplate_range, nameplate_roles
from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.errors import RigError
from rigs.gate_rules import GateMemory
from rigs.open_bench import default_state, open_bench

_SHARE = 0.1  # of rated power, for the sign test
_STEP_S = 60


@dataclass(frozen=True)
class Check:
    """One line of the pre-flight. ``ok`` None: not run, with the reason."""

    role: str
    name: str
    ok: bool | None
    detail: str


def preflight(path: Path) -> list[Check]:
    """Open a bench by its own nameplates and try what its modes allow.

    Identity, rating and (where armed) the reversion timer are checked by opening; a device that fails them is
    reported and nothing else is tried.
    """
    roles = nameplate_roles(path)
    try:
        opened = open_bench(path, roles)
    except RigError as error:
        return [Check("bench", "open", False, str(error))]
    with opened as bench:
        assert isinstance(bench, OpenBench)
        checks = [Check(spec.role, "open", True, "identity, rating and link") for spec in roles]
        for spec in roles:
            checks += _try(bench, spec)
    return [*checks, Check("bench", "safe state", True, "written and read back")]


def _try(bench: OpenBench, spec: RoleSpec) -> list[Check]:
    began_s = time.perf_counter()
    sample = bench.step(0, _STEP_S, {}, {spec.role: Ambient(p_available_w=spec.p_max_w)})[spec.role]
    trip_ms = (time.perf_counter() - began_s) * 1e3
    checks = [
        Check(spec.role, "reading", sample.quality is Quality.GOOD, sample.note or f"{sample.p_gen_w:g} W"),
        Check(
            spec.role, "round trip", True, f"{trip_ms:.1f} ms for writing, advancing and reading all roles"
        ),
    ]
    section = bench.section(spec.role)
    if section.mode != "armed":
        return [*checks, Check(spec.role, "sign", None, f"mode {section.mode} writes nothing")]
    checks.append(Check(spec.role, "reversion", True, "ran out once while the bench opened"))
    least_w, most_w = nameplate_range(spec)
    ask_w = _SHARE * most_w if most_w > 0 else least_w
    sample = bench.step(
        _STEP_S, _STEP_S, {spec.role: Command(ask_w)}, {spec.role: Ambient(p_available_w=spec.p_max_w)}
    )[spec.role]
    right = abs(sample.p_gen_w - ask_w) <= 0.05 * spec.p_max_w
    return [*checks, Check(spec.role, "sign", right, f"asked {ask_w:g} W, measured {sample.p_gen_w:g} W")]


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

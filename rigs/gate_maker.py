"""Builds the write gate of a role from what its bench says; without leave to write there is none."""

from rigs.bench_file import DeviceSection, nameplate_range
from rigs.control_points import AnyActuator, AnyDevice
from rigs.device import RoleSpec
from rigs.gate_rules import GateMemory, GateRules, Journal
from rigs.point_writer import PointWriter
from rigs.write_gate import WriteGate


def new_gate(
    spec: RoleSpec,
    section: DeviceSection,
    device: AnyDevice,
    actuator: AnyActuator,
    memory: GateMemory,
    journal: Journal,
    armed_until_s: float | None,
) -> WriteGate | None:
    """Return the gate of a role; None while it is only observed. Limits are the least of nameplate and bench.

    Args:
        armed_until_s: When arming by a person ends, in the gate's own time; None: it was not armed by one.
    """
    mode = "armed" if armed_until_s is not None else section.mode
    if mode == "observe":
        return None
    least_w, most_w = nameplate_range(spec)
    low_w, high_w = section.limits.p_gen_w or (least_w, most_w)
    rules = GateRules(
        role=spec.role,
        mode=mode,
        p_gen_w=(max(low_w, least_w), min(high_w, most_w)),
        safe_w=section.safe.p_set_w,
        reversion_s=section.reversion_s,
        soc=section.limits.soc,
        ramp_w_per_s=section.ramp_w_per_s,
        deadband_w=section.deadband_w,
        min_interval_s=section.min_interval_s,
        daily_writes=section.daily_writes,
        armed_until_s=armed_until_s,
        unproven_reason=section.no_reversion_because,
    )
    writer = PointWriter(device, mode) if mode == "armed" else None
    return WriteGate(rules, actuator, writer, memory, journal)


def carry_over(before: WriteGate, gate: WriteGate) -> None:
    """Let a gate go on where the one before a lost link was: it is the same device, so what was proven stays proven;
    what it holds is unknown.
    """
    gate.proven, gate.rules = before.proven, before.rules
    gate.doubt, gate.hold, gate.shared = before.doubt, before.hold, before.shared
    gate.interlock, gate.turn = before.interlock, before.turn
    gate.soc, gate.measured_w = before.soc, before.measured_w
    gate.link_returned()

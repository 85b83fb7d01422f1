"""Arming of real devices: by a person, for a stated time, never by a file and never by a default."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adapters.modbus.register_map import load_map
from rigs.bench_file import BenchFile, DeviceSection, find_map, nameplate_range
from rigs.control_points import ALLOWED
from rigs.device import Command
from rigs.errors import RigError
from rigs.shared_limits import Member, SharedLimits, Stored, soc_breach
from rigs.wire import WireDevice
from rigs.write_gate import WriteGate
from rigs.yaml_source import read_yaml

LONGEST_S = 8 * 3600
SOURCE = "ac_source"
NO_LIMIT_MODEL = 123  # falls back to 'no limit', whatever the safe value is


def read_arms(words: Sequence[str]) -> dict[str, float]:
    """Read ``ROLE=SECONDS`` words of a command line.

    Raises:
        RigError: everything that is no such thing, at once.
    """
    arm: dict[str, float] = {}
    problems = []
    for word in words:
        role, _, text = word.rpartition("=")
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not role or not seconds > 0:
            problems.append(f"--arm {word}: give ROLE=SECONDS, for example house_1.battery=600")
        elif role in arm:
            problems.append(f"--arm {word}: arms {role} twice")
        arm[role] = seconds
    if problems:
        raise RigError("\n".join(problems))
    return arm


def arming_problems(bench: BenchFile, arm: Mapping[str, float], folder: Path) -> list[str]:
    """Return everything that forbids arming these roles for these times, in s; ``folder`` is where the bench lies."""
    problems = []
    for role, seconds in arm.items():
        if role == SOURCE:
            if bench.ac_source is None or bench.ac_source.driver != "scpi":
                problems.append(f"--arm {role}: the bench has no real ac_source (driver scpi)")
            elif bench.ac_source.identity is None:
                problems.append(
                    f"--arm {role}: arming needs ac_source.identity in the bench, so that no other instrument is set"
                )
        elif (section := bench.devices.get(role)) is None:
            real = [name for name, device in bench.devices.items() if device.driver == "modbus"]
            problems.append(
                f"--arm {role}: the bench has no such role; real devices: {', '.join(real) or 'none'}"
            )
        else:
            problems += _device_problems(role, section, folder)
        if not 0 < seconds <= LONGEST_S:
            problems.append(f"--arm {role}: a time of at most {LONGEST_S} s; got {seconds:g} s")
    return problems


def _worn(section: DeviceSection, folder: Path) -> list[str]:
    """Return the points of a register map that the gate would write and that do not last for ever."""
    path = find_map(section.map, folder) if section.map else None
    if path is None or not path.is_file():
        return []
    points = load_map(path).points
    return [n for n, p in points.items() if n in ALLOWED[0] and p.writable and p.persistence != "volatile"]


def has_real_source(path: Path) -> bool:
    """Tell whether a bench file names a real AC source; False where the file is wrong, which opening it tells."""
    data = read_yaml(path).data
    section = data.get(SOURCE) if isinstance(data, dict) else None
    return isinstance(section, dict) and section.get("driver") == "scpi"


def _device_problems(role: str, section: DeviceSection, folder: Path) -> list[str]:
    if section.driver != "modbus":
        return [
            f"--arm {role}: only a real device is armed for a time; this one is served by driver "
            f"{section.driver}, which its bench file may arm"
        ]
    problems = []
    if section.mode == "observe":
        problems.append(f"--arm {role}: arming needs mode: shadow in the bench; got observe")
    if section.identity is None:
        problems.append(
            f"--arm {role}: arming needs identity in the bench, so that no other device is written to"
        )
    if not section.poll_s < section.reversion_s / 2:
        problems.append(
            f"--arm {role}: poll_s {section.poll_s:g} s is too long for a reversion timer of "
            f"{section.reversion_s:g} s, which is refreshed at half of it"
        )
    if section.daily_writes is None and (worn := _worn(section, folder)):
        problems.append(
            f"--arm {role}: arming needs daily_writes in the bench, since {', '.join(worn)} wear its flash"
        )
    return problems


@dataclass(frozen=True)
class Orders:
    """What all roles on a wire are told in a step, in W into the grid, and the gates they pass."""

    orders_w: Mapping[str, float]
    gates: Mapping[str, WriteGate]
    capacities_wh: Mapping[str, float]  # of batteries
    now_s: Callable[[str], float]

    def consider(self, bench: BenchFile, shared: SharedLimits, *, live: bool) -> None:
        """Latch all gates where the orders break the bench's limits together, hold them where shaping would.

        ``live``: every device is written by a poll loop of its own, so ``shared`` sees to it when it is.
        """
        stored = {r: (g.soc, self.capacities_wh[r]) for r, g in self.gates.items() if r in self.capacities_wh}
        if reason := aggregate_breach(bench, self.orders_w, stored):
            for gate in self.gates.values():
                gate.latch(reason)
        elif not live:
            held_together(bench, self.gates, self.orders_w, self.now_s)
        shared.others_w = sum(p_w for role, p_w in self.orders_w.items() if role not in self.gates)


def orders_of(
    wires: Mapping[str, WireDevice], commands: Mapping[str, Command], now_s: Callable[[str], float]
) -> Orders:
    """Return the orders of a step; a role without a command is told safe."""
    return Orders(
        {r: commands.get(r, Command(d.section.safe.p_set_w)).p_set_w for r, d in wires.items()},
        {r: d.gate for r, d in wires.items() if d.gate is not None},
        {r: d.spec.capacity_wh for r, d in wires.items() if d.spec.kind == "battery"},
        now_s,
    )


def share(bench: BenchFile, wires: Mapping[str, WireDevice]) -> SharedLimits:
    """Return the limits that devices on wall-clock time share, known to the gates of all of them.

    A limit that nobody has written yet lets its device do anything up to its rating; a set point in force is what is
    measured.
    """
    limits = bench.aggregate
    shared = SharedLimits(limits.p_gen_w, limits.soc) if limits is not None else SharedLimits()
    for role, wire in wires.items():
        if (gate := wire.gate) is None:
            continue
        most_w = nameplate_range(wire.spec)
        falls_to_w = most_w if gate.actuator.model_id == NO_LIMIT_MODEL else (gate.rules.safe_w,) * 2
        known = gate.actuator.signed and not math.isnan(gate.measured_w)
        now_w = (gate.measured_w, gate.measured_w) if known else most_w
        shared.join(role, Member(falls_to_w, _store(wire), partial(_latch, wire)), now_w)
        gate.shared = shared
    return shared


def _store(wire: WireDevice) -> Callable[[], Stored] | None:
    if wire.spec.kind != "battery":
        return None
    return lambda: (wire.gate.soc if wire.gate is not None else math.nan, wire.spec.capacity_wh)


def _latch(wire: WireDevice, reason: str) -> None:
    if wire.gate is not None and not wire.gate.memory.latch:
        wire.gate.latch(reason)


def held_together(
    bench: BenchFile,
    gates: Mapping[str, WriteGate],
    orders_w: Mapping[str, float],
    now_s: Callable[[str], float],
) -> None:
    """Hold every set point where orders are good together, but what shaping makes of them is not: one device that is
    still held back must not be joined by another one that is not.
    """
    limits = bench.aggregate
    if limits is None or limits.p_gen_w is None:
        return
    for gate in gates.values():
        gate.hold = ""
    would_w = {
        role: gates[role].would(p_w, now_s(role)) if role in gates else p_w for role, p_w in orders_w.items()
    }
    (least_w, most_w), sum_w = limits.p_gen_w, sum(would_w.values())
    if not least_w <= sum_w <= most_w:
        text = f"as shaped the sum of all set points would be {sum_w} W, outside {least_w} .. {most_w} W"
        for gate in gates.values():
            gate.hold = text


def aggregate_breach(
    bench: BenchFile, orders_w: Mapping[str, float], stored: Mapping[str, tuple[float, float]]
) -> str:
    """Return why all orders together break the bench's aggregate limits, empty where they do not.

    Args:
        bench: the bench.
        orders_w: role to ordered power, positive into the grid.
        stored: role of each battery to (state of charge 0..1, capacity in Wh), as last read.
    """
    limits = bench.aggregate
    if limits is None:
        return ""
    if limits.p_gen_w is not None:
        (least_w, most_w), sum_w = limits.p_gen_w, sum(orders_w.values())
        if not least_w <= sum_w <= most_w:
            return f"the sum of all set points, {sum_w} W, lies outside {least_w} .. {most_w} W"
    flow_w = sum(orders_w.get(role, 0.0) for role in stored)
    return soc_breach(limits.soc, flow_w, list(stored.values()))

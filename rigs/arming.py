"""Arming of real devices: by a person, for a stated time, never by a file and never by a default."""

from collections.abc import Callable, Mapping
from pathlib import Path

from adapters.modbus.register_map import load_map
from rigs.bench_file import BenchFile, DeviceSection, find_map
from rigs.control_points import ALLOWED
from rigs.write_gate import WriteGate
from rigs.yaml_source import read_yaml

LONGEST_S = 8 * 3600
SOURCE = "ac_source"


def arming_problems(bench: BenchFile, arm: Mapping[str, float], folder: Path) -> list[str]:
    """Return everything that forbids arming these roles for these times, in s; ``folder`` is where the bench lies."""
    problems = []
    for role, seconds in arm.items():
        if role == SOURCE:
            if bench.ac_source is None or bench.ac_source.driver != "scpi":
                problems.append(f"--arm {role}: the bench has no real ac_source (driver scpi)")
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
    if limits.soc is None or not stored or flow_w == 0:
        return ""
    soc = sum(share * wh for share, wh in stored.values()) / sum(wh for _, wh in stored.values())
    if flow_w > 0 and not soc > limits.soc[0]:
        return (
            f"discharging all batteries together at a state of charge of {soc:.3g}, least is {limits.soc[0]}"
        )
    if flow_w < 0 and not soc < limits.soc[1]:
        return f"charging all batteries together at a state of charge of {soc:.3g}, most is {limits.soc[1]}"
    return ""

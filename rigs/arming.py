"""Arming of real devices: by a person, for a stated time, never by a file and never by a default."""

from collections.abc import Mapping

from rigs.bench_file import BenchFile

LONGEST_S = 8 * 3600


def arming_problems(bench: BenchFile, arm: Mapping[str, float]) -> list[str]:
    """Return everything that forbids arming these roles for these times, in s."""
    problems = []
    for role, seconds in arm.items():
        section = bench.devices.get(role)
        if section is None:
            real = [name for name, device in bench.devices.items() if device.driver == "modbus"]
            problems.append(
                f"--arm {role}: the bench has no such role; real devices: {', '.join(real) or 'none'}"
            )
            continue
        if section.driver != "modbus":
            problems.append(
                f"--arm {role}: only a real device is armed for a time; this one is served by driver "
                f"{section.driver}, which its bench file may arm"
            )
            continue
        if section.mode == "observe":
            problems.append(f"--arm {role}: arming needs mode: shadow in the bench; got observe")
        if not 0 < seconds <= LONGEST_S:
            problems.append(f"--arm {role}: a time of at most {LONGEST_S} s; got {seconds:g} s")
    return problems


def aggregate_breach(bench: BenchFile, orders_w: Mapping[str, float]) -> str:
    """Return why the sum of all orders breaks the bench's aggregate limits, empty where it does not."""
    if bench.aggregate is None:
        return ""
    least_w, most_w = bench.aggregate.p_gen_w
    sum_w = sum(orders_w.values())
    if least_w <= sum_w <= most_w:
        return ""
    return f"the sum of all set points, {sum_w} W, lies outside {least_w} .. {most_w} W"

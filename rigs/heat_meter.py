"""A heat pump's electricity meter: its SG Ready interface tells no power, so a meter of its own stands beside it, as a
role ('house_1.heat_meter' of 'house_1.heat_pump'), and what it says is the heat pump's sample.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from rigs.bench_sections import BenchFile, DeviceSection
from rigs.device import Quality, RoleSpec, Sample
from rigs.sg_ready import DWELL_S, NORMAL, order_w

PUMP, METER = "heat_pump", "heat_meter"
_SET_OTHERWISE = {
    "ramp_w_per_s": "an SG Ready interface knows four states and no power between them",
    "deadband_w": "an SG Ready interface knows four states and no power between them",
    "safe": "the safe state of a heat pump is normal operation (SG Ready 2), and is not set here",
}


def meter_of(role: str) -> str:
    """Return the role of a heat pump's own meter."""
    owner = role.rpartition(".")[0]
    return f"{owner}.{METER}" if owner else METER


def tell_power(samples: dict[str, Sample]) -> None:
    """Give every heat pump that tells no power that of its own meter, in place; no better quality than either."""
    for role, sample in samples.items():
        meter = samples.get(meter_of(role)) if sample.sg_state and math.isnan(sample.p_gen_w) else None
        if meter is None:
            continue
        good = Quality.GOOD in (sample.quality, meter.quality) and sample.quality is meter.quality
        samples[role] = replace(
            sample,
            p_gen_w=meter.p_gen_w,
            q_gen_var=meter.q_gen_var,
            energy_export_wh=meter.energy_export_wh,
            energy_import_wh=meter.energy_import_wh,
            age_s=max(sample.age_s, meter.age_s),
            quality=Quality.GOOD if good else max(sample.quality, meter.quality, key=_SEVERITY.index),
            note="; ".join(filter(None, (sample.note, meter.note))),
        )


_SEVERITY = (Quality.GOOD, Quality.STALE, Quality.BAD)


def by_kind(bench: BenchFile, roles: Mapping[str, RoleSpec]) -> BenchFile:
    """Return the bench with what its heat pumps cannot be told otherwise: safe is normal operation, and every state
    stands for ten minutes at least.
    """
    devices = {
        role: _heat_pump(device, roles[role].p_max_w)
        for role, device in bench.devices.items()
        if role in roles and roles[role].kind == PUMP
    }
    return bench.model_copy(update={"devices": {**bench.devices, **devices}}) if devices else bench


def _heat_pump(device: DeviceSection, p_max_w: float) -> DeviceSection:
    safe = device.safe.model_copy(update={"p_set_w": order_w(NORMAL, p_max_w)})
    dwell_s = max(device.min_interval_s, DWELL_S)
    return device.model_copy(update={"safe": safe, "min_interval_s": dwell_s})


def heat_pump_problems(device: DeviceSection) -> list[tuple[str, str]]:
    """Return key and text of everything that a heat pump's section must not say, or lacks."""
    said = device.model_fields_set
    problems = [(key, text) for key, text in _SET_OTHERWISE.items() if key in said]
    if "min_interval_s" in said and device.min_interval_s < DWELL_S:
        text = f"{device.min_interval_s:g} s: an SG Ready state stands for {DWELL_S:g} s at least"
        problems.append(("min_interval_s", text))
    if device.driver != "memory" and device.mode != "observe" and not device.no_reversion_because:
        text = "an SG Ready interface has no timer of its own: say in words why it may be written to all the same"
        problems.append(("no_reversion_because", text))
    return problems


def lacks_meter(bench: BenchFile, roles: Mapping[str, RoleSpec]) -> list[tuple[str, str]]:
    """Return role and text of every heat pump on a wire without a meter of its own on one, and of meters of none."""
    problems = []
    for role, device in bench.devices.items():
        spec = roles.get(role)
        if spec is None or spec.kind != PUMP or device.driver == "memory":
            continue
        beside = bench.devices.get(meter_of(role))
        if beside is None:
            problems.append(
                (role, f"its interface tells no power; it needs {meter_of(role)!r}, a meter of its own")
            )
        elif beside.driver == "memory":
            problems.append((meter_of(role), f"driver memory cannot meter {role!r}, which is on a wire"))
    for role in bench.devices:
        pump = role.removesuffix(METER) + PUMP
        if role.rpartition(".")[2] == METER and pump not in bench.devices:
            problems.append((role, f"meters nothing: the bench has no {pump!r}"))
    return problems

"""The bench of one run: opened for it, in its time, with its faults and its log; and what it has to tell afterwards."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rigs.bench import OpenBench
from rigs.live import LiveTiming
from rigs.open_bench import open_bench
from rigs.pacer import Pacer
from twin.checks import Check
from twin.devices import role_specs
from twin.prepare import PreparedRun

LOG = "bench.log"


def open_run_bench(run: PreparedRun, folder: Path, arm: Mapping[str, float]) -> OpenBench | None:
    """Open the bench of a run and schedule its faults; None where the scenario has none.

    Args:
        run: the prepared variant.
        folder: its run folder, for the log.
        arm: role to seconds for which a real device is armed from now on.

    Raises:
        RigError: a device did not start, does not answer or is not the one named.
    """
    if run.bench is None:
        return None
    section = run.scenario.devices
    real = "modbus" in run.drivers.values()
    bench = open_bench(
        run.bench,
        role_specs(run.people),
        seed=run.scenario.seed,
        arm=arm,
        record=folder / LOG if section.record or (section.record is None and real) else None,
        wall_clock=section.time == "wall_clock",
    )
    try:
        bench.schedule(run.faults.devices)
    except BaseException:
        bench.close()
        raise
    return bench


def make_pacer(run: PreparedRun) -> Pacer | None:
    """Return what keeps wall-clock time; None in simulated time."""
    if run.scenario.devices.time == "simulated":
        return None
    return Pacer(run.scenario.step_s, time.perf_counter)


def pacer_record(pacer: Pacer) -> dict[str, Any]:
    """How well wall-clock time was kept, for the manifest; offsets in s."""
    return {
        "step_s": pacer.step_s,
        "steps": len(pacer.offsets_s),
        "overruns": pacer.overruns,
        "median_offset_s": pacer.quantile_s(0.5),
        "p99_offset_s": pacer.quantile_s(0.99),
        "worst_offset_s": pacer.quantile_s(1.0),
    }


def timing_record(timing: LiveTiming) -> dict[str, Any]:
    """How well one polled device kept its time, for the manifest; times in s."""
    mean_s = timing.mean_latency_s
    return {
        "polls": timing.polls,
        "missed_polls": timing.missed_polls,
        "overruns": timing.overruns,
        "mean_latency_s": None if math.isnan(mean_s) else mean_s,
        "worst_latency_s": timing.worst_latency_s,
        "worst_age_s": timing.worst_age_s,
        "made_safe": timing.made_safe or None,
    }


def time_check(pacer: Pacer | None, bench: OpenBench | None) -> list[Check]:
    """One check of wall-clock time: no step began more than a step late, no device fell back to safe in the run."""
    if pacer is None:
        return []
    timings = {} if bench is None else bench.timing()
    safe = [f"{role} was {t.made_safe}" for role, t in timings.items() if t.made_safe]
    missed = sum(t.missed_polls for t in timings.values())
    trouble = [f"{pacer.overruns} steps began more than a step late"] if pacer.overruns else []
    detail = f"{len(pacer.offsets_s)} steps, the latest by {pacer.quantile_s(1.0) * 1e3:.1f} ms; {missed} polls missed"
    return [
        Check(
            "wall_clock",
            "inconclusive" if trouble or safe else "pass",
            pacer.overruns,
            0,
            "steps",
            count=pacer.overruns + len(safe),
            detail="; ".join([*trouble, *safe, detail]),
        )
    ]

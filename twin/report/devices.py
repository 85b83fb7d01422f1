"""Devices on a bench in the report: what became of scheduled faults, and how well wall-clock time was kept."""

from typing import Any

from twin.report import words
from twin.results import RunResult

Context = dict[str, Any]
KINDS = {
    "mute": "never answers",
    "late": "answers late",
    "reset": "resets the connection in mid-request",
    "split": "answers byte by byte",
    "merged": "a stale answer and the right one in one segment",
    "wrong_unit": "answers as another unit",
    "busy": "answers that it is busy",
    "kick": "closes the connection, as when a second master comes",
    "frozen": "measurements stand still",
    "nan": "measurements hold their sentinels",
    "sf_jump": "the scale factor jumps",
    "reboot": "restarts with its registers reset",
    "drift": "measurements drift away",
    "lie": "measurements are multiplied",
}


def devices_context(run: RunResult) -> Context | None:
    """Faults and timing of a variant; None where there is neither."""
    faults = [_fault(row) for row in run.table("faults").to_pylist()]
    devices = run.manifest.get("devices") or {}
    timing = [_timing(role) for role in devices.get("roles") or [] if role.get("timing")]
    pacer = devices.get("pacer")
    if not faults and not timing and not pacer:
        return None
    return {"faults": faults, "timing": timing, "pacer": _pacer(pacer) if pacer else None}


def _fault(row: Context) -> Context:
    after_s, back_s = row["noticed_after_s"], row["recovered_after_s"]
    return {
        **row,
        "what": KINDS.get(row["kind"], row["kind"]),
        "from": words.duration(row["from_s"]) if row["from_s"] else "the start",
        "length": words.duration(row["until_s"] - row["from_s"]),
        "noticed": "did no harm"
        if after_s is None
        else f"after {words.duration(after_s)}"
        if after_s
        else "at once",
        "recovered": "–"
        if back_s is None
        else "at once"
        if not back_s
        else f"after {words.duration(back_s)}",
    }


def _timing(role: Context) -> Context:
    timing = role["timing"]
    return {
        "role": role["role"],
        "polls": words.number(timing["polls"]),
        "missed": words.number(timing["missed_polls"]),
        "overruns": words.number(timing["overruns"]),
        "latency": f"{1e3 * timing['mean_latency_s']:.1f} / {1e3 * timing['worst_latency_s']:.1f} ms"
        if timing["mean_latency_s"] is not None
        else "–",
        "age": f"{timing['worst_age_s']:.2f} s",
        "bad": timing["missed_polls"] > 0 or timing["overruns"] > 0,
    }


def _pacer(pacer: Context) -> Context:
    return {
        "steps": words.number(pacer["steps"]),
        "overruns": words.number(pacer["overruns"]),
        "bad": pacer["overruns"] > 0,
        "median": f"{1e3 * pacer['median_offset_s']:.1f} ms",
        "p99": f"{1e3 * pacer['p99_offset_s']:.1f} ms",
        "worst": f"{1e3 * pacer['worst_offset_s']:.1f} ms",
        "step": f"{pacer['step_s']:g} s",
    }

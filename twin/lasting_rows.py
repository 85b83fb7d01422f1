"""Rows of violations.parquet for what is judged over a time: moving means, EN 50160, ANSI C84.1."""

from typing import Any

from adapters.grid.feeder import Feeder
from twin.ansi_c84 import CLAUSES as ANSI_CLAUSES
from twin.clock_means import TEN_MINUTES_S
from twin.gate.kinds import CLAUSES, place_of, unit_of
from twin.lasting import Lasting
from twin.violations import Episode

Row = dict[str, Any]


def lasting_rows(lasting: Lasting, feeder: Feeder, start_s: int, step_s: int, interval_s: int) -> list[Row]:
    """One row per moving mean that was too high for a time, per excursion out of a range, per week and terminal.

    ``duration_s`` of a week's share is the time of all its means that were outside. Shares of participants are those
    of the worst mean (``twin.lasting_shares``).
    """
    rows: list[Row] = []
    if lasting.averages is not None:
        for e in lasting.averages.log.all():
            rows.append(_episode(e, feeder, step_s, 0, interval_s, CLAUSES[e.kind]))
    if lasting.ansi is not None:
        for e in lasting.ansi.log.all():
            unit_s, first_s = lasting.ansi.window_s, lasting.ansi.first_window_s
            rows.append(_episode(e, feeder, unit_s, first_s, interval_s, ANSI_CLAUSES[e.kind]))
    if lasting.en50160 is not None:
        for b in lasting.en50160.breaches:
            rows.append(
                {
                    "interval": (b.first_s - start_s) // interval_s,
                    "element": feeder.bus_names[b.row],
                    "kind": b.kind,
                    "phase": feeder.bus_phase[b.row],
                    "value": b.value,
                    "worst_interval": (b.worst_s - start_s) // interval_s,
                    "limit": b.limit,
                    "unit": unit_of(b.kind),
                    "duration_s": b.count * TEN_MINUTES_S,
                    "cause": "trades" if b.by_trades else "feeder",
                    "status": "violated",
                    "clause": b.clause,
                }
            )
    return rows


def _episode(e: Episode, feeder: Feeder, unit_s: int, first_s: int, interval_s: int, clause: str) -> Row:
    phases = feeder.bus_phase if place_of(e.kind) == "bus" else feeder.branch_phase
    return {
        "interval": (first_s + e.first_step * unit_s) // interval_s,
        "element": e.element,
        "kind": e.kind,
        "phase": phases[e.row],
        "value": e.worst_value,
        "worst_interval": (first_s + e.worst_step * unit_s) // interval_s,
        "limit": e.limit,
        "unit": e.unit,
        "duration_s": e.steps * unit_s,
        "cause": "trades" if e.by_trades else "feeder",
        "status": "violated",
        "clause": clause,
    }

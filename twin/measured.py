"""Checks whose margin lies inside what the meters of a bench can show prove nothing: they are inconclusive.

Values of the plant follow from powers; where some of these were measured, the plant at the worst moment is solved
again with all of them at the ends of their errors, together, and the change of the value is its uncertainty.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray
from rigs.bench import OpenBench
from twin.checks import Check
from twin.extremes import LINE, TRAFO, V_MAX, V_MIN, Moment
from twin.participants import Participants
from twin.recorder import Recorder

_MEASURES = {"voltage_min": V_MIN, "voltage_max": V_MAX, "line_loading": LINE, "transformer_loading": TRAFO}


def error_w(bench: OpenBench, people: Participants, p_gen_w: FloatArray) -> FloatArray:
    """Greatest error of each connection point's power by the accuracy of the meters that it comes from; (n,), in W.

    A device's own meter errs by its share of rated power at most, a meter at the connection point by its share of
    what flows there; where there is such a meter, it decides.
    """
    rows = {name: row for row, name in enumerate(people.names)}
    rated = {"battery": people.battery_p_w, "pv": people.pv_rated_w, "ev": people.ev_p_w}
    rated["heat_meter"] = people.heat_pump_p_w  # a heat pump tells no power: its meter does
    errors = np.zeros(people.n)
    at_point = np.full(people.n, np.inf)
    for role in bench.roles:
        section = bench.section(role)
        name, _, kind = role.rpartition(".")
        if section.driver == "memory" or kind == "heat_pump":
            continue
        row, share = rows[name], section.error_share
        if kind in rated:
            errors[row] += share * rated[kind][row]
        else:
            at_point[row] = min(at_point[row], share * abs(p_gen_w[row]))
    least: FloatArray = np.minimum(errors, at_point)
    return least


def weigh(checks: Sequence[Check], bench: OpenBench | None, people: Participants, recorder: Recorder,
          engine: Engine) -> list[Check]:  # fmt: skip
    """Return the checks, inconclusive where the margin lies inside the measurement uncertainty."""
    if bench is None:
        return list(checks)
    return [_weighed(check, bench, people, recorder, engine) for check in checks]


def _weighed(
    check: Check, bench: OpenBench, people: Participants, recorder: Recorder, engine: Engine
) -> Check:
    who, _, name = check.name.partition(".")
    if name not in _MEASURES or who not in ("trades", "feeder") or check.margin is None:
        return check
    measure = _MEASURES[name]
    moment = (recorder.watch.worst if who == "trades" else recorder.watch.worst_base)[measure]
    if moment is None or check.verdict not in ("pass", "fail"):
        return check
    doubt = _uncertainty(moment, who == "trades", measure, bench, people, engine)
    if not abs(check.margin) < doubt:
        return check
    text = f"the margin of {check.margin:.3g} {check.unit} lies inside the measurement uncertainty of {doubt:.3g}"
    return replace(check, verdict="inconclusive", detail="; ".join(filter(None, (check.detail, text))))


def _uncertainty(
    moment: Moment, traded: bool, measure: int, bench: OpenBench, people: Participants, engine: Engine
) -> float:
    """How far the value at a moment may be off, in its unit; 0 where nothing of it was measured."""
    seen = moment.snapshot
    p, q = (seen.p_traded_w, seen.q_traded_var) if traded else (seen.p_base_w, seen.q_base_var)
    row = moment.reading.row if traded else moment.reading.base_row
    error = error_w(bench, people, p)
    if row < 0 or not error.any():
        return 0.0
    state = engine.solve(np.stack([p, p + error, p - error]), np.stack([q] * 3))
    values = (state.v_pu if measure in (V_MIN, V_MAX) else state.loading_percent)[:, row]
    return float(np.abs(values[1:] - values[0]).max())


def calibration_check(bench: OpenBench | None, today: date) -> list[Check]:
    """One check where a bench states calibrations: a meter beyond the end of its calibration proves nothing."""
    if bench is None:
        return []
    stated = {r: bench.section(r).meter for r in bench.roles if bench.section(r).meter.calibrated is not None}
    if not stated:
        return []
    late = [
        f"{role} was calibrated on {facts.calibrated}, which holds for {facts.calibrated_for_days} days"
        for role, facts in stated.items()
        if facts.calibrated is None or (today - facts.calibrated).days > facts.calibrated_for_days
    ]
    return [
        Check(
            "calibration",
            "inconclusive" if late else "pass",
            len(late),
            0,
            "meters",
            count=len(late),
            detail="; ".join(late) or f"{len(stated)} meters within their calibration",
        )
    ]

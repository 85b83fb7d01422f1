"""What became of the heat: rows of heat_pumps.parquet, and sums for the KPIs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from rigs.sg_ready import BLOCKED, BOOST, NORMAL
from twin.heat_pumps import HeatDemand, HeatFlows, HeatPumps, HeatState
from twin.participants import BoolArray

TOLERANCE = 1e-9  # of a store: a level that was aimed at exactly is not missed by rounding


@dataclass(frozen=True)
class HeatStep:
    """The heat pumps in one step; (n,) each in all parts."""

    demand: HeatDemand
    flows: HeatFlows
    after: HeatState
    sg_state: IntArray
    p_w: FloatArray


class HeatLog:
    """Sums over a run; energies of heat in Wh thermal."""

    def __init__(self, pumps: HeatPumps, step_s: int) -> None:
        self._pumps, self._step_s = pumps, step_s
        self._sums = dict.fromkeys(("electrical", "made", "used", "unserved", "excess"), 0.0)
        self._cold = self._blocked = self._boosted = self._switches = 0
        self._before: IntArray | None = None
        self._stored_wh = float((pumps.initial * pumps.store_wh).sum())
        self._change_wh = 0.0

    def add(self, step: HeatStep) -> None:
        """Take a step."""
        rows, flows = self._pumps.rows, step.flows
        self._sums["electrical"] += float(step.p_w.sum()) * self._step_s / 3600.0
        for name in ("made", "used", "unserved", "excess"):
            self._sums[name] += float(getattr(flows, f"{name}_wh").sum())
        state = step.sg_state[rows]
        self._cold += int(np.count_nonzero(~comfortable(self._pumps, step.after)[rows]))
        self._blocked += int(np.count_nonzero(state == BLOCKED))
        self._boosted += int(np.count_nonzero(state >= BOOST))
        before = np.full(len(rows), NORMAL) if self._before is None else self._before
        self._switches += int(np.count_nonzero(state != before))
        self._before = state
        self._change_wh = float(step.after.stored_wh.sum()) - self._stored_wh

    def kpis(self) -> dict[str, Any]:
        """The numbers of ``NO_HEAT``."""
        hours = self._step_s / 3600.0
        return {
            "heat_pump_wh": self._sums["electrical"],
            "heat_made_wh": self._sums["made"],
            "heat_used_wh": self._sums["used"],
            "heat_unserved_wh": self._sums["unserved"],
            "heat_excess_wh": self._sums["excess"],
            "heat_stored_change_wh": self._change_wh,
            "heat_comfort_lost_h": self._cold * hours,
            "heat_pump_blocked_h": self._blocked * hours,
            "heat_pump_boosted_h": self._boosted * hours,
            "heat_pump_switches_count": self._switches,
        }


NO_HEAT: dict[str, Any] = dict.fromkeys(
    (
        "heat_pump_wh", "heat_made_wh", "heat_used_wh", "heat_unserved_wh", "heat_excess_wh", "heat_stored_change_wh",
        "heat_comfort_lost_h", "heat_pump_blocked_h", "heat_pump_boosted_h", "heat_pump_switches_count",
    )
)  # fmt: skip
"""The KPIs of a scenario without heat pumps."""


def comfortable(pumps: HeatPumps, state: HeatState) -> BoolArray:
    """Whose store holds at least its least share; (n,)."""
    kept: BoolArray = state.stored_wh >= (pumps.comfort_min - TOLERANCE) * pumps.store_wh
    return kept


def heat_rows(
    pumps: HeatPumps, names: Sequence[str], intervals: Sequence[int], steps: Sequence[Sequence[HeatStep]]
) -> dict[str, Any]:
    """Columns of heat_pumps.parquet: a row per heat pump and interval; ``steps`` are those of each interval."""
    rows = pumps.rows

    def each(value: Any) -> FloatArray:
        """Of every interval and heat pump, from the interval's steps; one after the other."""
        return np.concatenate([np.asarray(value(inside))[rows] for inside in steps])

    def sums(name: str) -> FloatArray:
        return each(lambda inside: np.sum([getattr(s.flows, name) for s in inside], axis=0))

    return {
        "interval": np.repeat(np.asarray(intervals), len(rows)),
        "participant": [names[i] for _ in intervals for i in rows],
        "heat_pump_w": each(lambda inside: np.mean([s.p_w for s in inside], axis=0)),
        "sg_state": each(lambda inside: inside[-1].sg_state).astype(np.int64),
        "stored_wh": each(lambda inside: inside[-1].after.stored_wh),
        "asked_wh": sums("used_wh") + sums("unserved_wh"),
        "made_wh": sums("made_wh"),
        "unserved_wh": sums("unserved_wh"),
        "excess_wh": sums("excess_wh"),
        "cop": each(lambda inside: np.mean([s.demand.cop for s in inside], axis=0)),
        "comfortable": each(
            lambda inside: np.all([comfortable(pumps, s.after) for s in inside], axis=0)
        ).astype(bool),
    }

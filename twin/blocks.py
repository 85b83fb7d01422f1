"""A block of intervals as columns of the run folder's tables: many intervals at once, so that rows cost little."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from adapters.grid.feeder import Feeder, FloatArray
from market.fills import joined
from market.orders import DEVICE_NAMES, SELL, SUPPLIER
from twin.extremes import LINE, TRAFO, V_MAX, V_MIN, Reading, worst_base_of, worst_of, worst_step
from twin.heat_log import heat_rows
from twin.ledger import Entry
from twin.operator import Decided
from twin.participants import Participants
from twin.plant import WITH, PlantStep
from twin.scenario.limits_section import LimitsSection

Columns = dict[str, Any]

EXTREMES = {
    V_MIN: ("v_min_pu", "v_min_bus", "base_v_min_pu"),
    V_MAX: ("v_max_pu", "v_max_bus", "base_v_max_pu"),
    LINE: ("line_loading_max_percent", "line_loading_max_name", "base_line_loading_max_percent"),
    TRAFO: ("trafo_loading_max_percent", "trafo_loading_max_name", "base_trafo_loading_max_percent"),
}
DEVICE_LABELS = pa.array(DEVICE_NAMES)
SIDE_LABELS = pa.array(["buy", "sell"])


@dataclass(frozen=True)
class Recorded:
    """Everything that was seen of one interval. ``lost`` names the first element without a usable solution."""

    interval: int
    decided: Decided
    entry: Entry
    steps: list[PlantStep]
    readings: list[tuple[Reading, ...]]
    lost: str | None
    wall_ms: float


class Block:
    """Consecutive intervals of one run; all have the same number of steps."""

    def __init__(
        self,
        recorded: list[Recorded],
        feeder: Feeder,
        people: Participants,
        limits: LimitsSection | None = None,
    ) -> None:
        """Bind recorded intervals; ``limits`` decide which of several steps is an interval's worst."""
        self.recorded = recorded
        self._limits = limits or LimitsSection()
        self._feeder = feeder
        self._people = people
        self._names = pa.array(people.names, type=pa.string())
        self._parties = pa.array([*people.names, "supplier", "pool"], type=pa.string())
        self._bus_of = np.array([point.bus for point in feeder.points])
        self._shape = (len(recorded), len(recorded[0].steps), people.n)

    def flow(self, name: str) -> FloatArray:
        """Means over the steps of each interval of one of the devices' flows; (intervals, n)."""
        values = [getattr(step.devices.flows, name) for r in self.recorded for step in r.steps]
        return np.asarray(np.array(values).reshape(self._shape).mean(axis=1))

    def slack(self, name: str) -> FloatArray:
        """Mean over the steps of each interval of a total of the plant, with trades; (intervals,)."""
        values = [getattr(step.state, name)[WITH] for r in self.recorded for step in r.steps]
        return np.asarray(np.array(values).reshape(self._shape[:2]).mean(axis=1))

    def intervals(self, at: Callable[[int], datetime]) -> Columns:
        """Columns of intervals.parquet; ``at`` tells when an interval begins."""
        rows = self.recorded
        columns: Columns = {
            "interval": [r.interval for r in rows],
            "time": [at(r.interval).isoformat() for r in rows],
            "money_sum_micro": [r.entry.sum_micro for r in rows],
            "step_ms": [r.wall_ms for r in rows],
            "plant_converged": [all(all(s.state.converged.tolist()) for s in r.steps) for r in rows],
            "plant_nan_element": [r.lost for r in rows],
            "p_slack_w": self.slack("p_slack_w"),
            "loss_w": self.slack("loss_w"),
        }
        for name in ("load_w", "pv_w", "pv_curtailed_w", "battery_w", "ev_w"):
            columns[name] = self.flow(name).sum(axis=1)
        if self._people.heat is not None:
            columns["heat_pump_w"] = self.flow("heat_pump_w").sum(axis=1)
        for key in (market := [_market(r.decided) for r in rows])[0]:
            columns[key] = [row[key] for row in market]
        for measure, keys in EXTREMES.items():
            names = self._feeder.bus_names if measure in (V_MIN, V_MAX) else self._feeder.branch_names
            seen = [[reading[measure] for reading in r.readings] for r in rows]
            worst = [worst_of(measure, readings) for readings in seen]
            columns[keys[0]] = [w.value for w in worst]
            columns[keys[1]] = [names[w.row] if w.row >= 0 else None for w in worst]
            columns[keys[2]] = [worst_base_of(measure, readings) for readings in seen]
        return columns

    def trades(self) -> Columns:
        """Columns of trades.parquet; empty where nothing was filled."""
        rows = [r for r in self.recorded if len(r.decided.accepted.session.fills)]
        if not rows:
            return {}
        sessions = [r.decided.accepted.session for r in rows]
        fills = joined([s.fills for s in sessions])
        offered = [s.intent.orders["energy_wh"][s.order_rows] for s in sessions]
        party = fills["counterparty"].astype(np.int64)
        party[party < 0] = np.where(party[party < 0] == SUPPLIER, self._people.n, self._people.n + 1)
        columns: Columns = {
            "interval": np.repeat([r.interval for r in rows], [len(s.fills) for s in sessions]),
            "order_id": fills["order_id"],
            "participant": self._names.take(pa.array(fills["participant"])),
            "side": SIDE_LABELS.take(pa.array((fills["side"] == SELL).astype(np.int8))),
            "device": DEVICE_LABELS.take(pa.array(fills["device"])),
            "counterparty": self._parties.take(pa.array(party)),
            "flexible": fills["flexible"],
            "offered_wh": np.concatenate(offered),
            "cleared_wh": fills["energy_wh"],
            "accepted_wh": np.concatenate([r.decided.accepted.accepted_wh for r in rows]),
            "delivered_wh": np.concatenate([r.entry.delivered_wh for r in rows]),
            "settled_wh": np.concatenate([r.entry.settled_wh for r in rows]),
            "price_micro_per_kwh": np.concatenate([r.entry.price_micro_per_kwh for r in rows]),
            "money_micro": np.concatenate([r.entry.money_micro for r in rows]),
        }
        columns.update(_reasons(rows))
        return columns

    def participants(self) -> Columns:
        """Columns of participants.parquet."""
        rows, n = self.recorded, self._people.n
        soc = np.array([r.steps[-1].devices.state.soc for r in rows])
        v_pu = np.array([s.state.v_pu[WITH, self._bus_of] for r in rows for s in r.steps])
        columns: Columns = {
            "interval": np.repeat([r.interval for r in rows], n),
            "participant": self._names.take(pa.array(np.tile(np.arange(n), len(rows)))),
            "v_pu": v_pu.reshape(self._shape).mean(axis=1).ravel(),
            "soc": np.where(self._people.battery_wh > 0, soc, np.nan).ravel(),
            "metered_wh": np.concatenate([r.entry.metered_wh for r in rows]),
            "bill_micro": np.concatenate([r.entry.bill_micro for r in rows]),
            "wire": np.array([np.any([s.devices.wire for s in r.steps], axis=0) for r in rows]).ravel(),
        }
        for name in ("p_gen_w", "q_gen_var", "ev_w", "battery_w"):
            columns[name] = self.flow(name).ravel()
        if self._people.heat is not None:
            columns["heat_pump_w"] = self.flow("heat_pump_w").ravel()
        return columns

    def heat_pumps(self) -> Columns:
        """Columns of heat_pumps.parquet; empty where nobody has one."""
        if self._people.heat is None:
            return {}
        steps = [[s.devices.heat for s in r.steps if s.devices.heat is not None] for r in self.recorded]
        return heat_rows(self._people.heat, self._people.names, [r.interval for r in self.recorded], steps)

    def grid_states(self) -> Columns:
        """Columns of grid_states.parquet: the plant with trades at the worst step of each interval.

        One moment for all elements, so that what is shown together was so at the same time.
        """
        at = [worst_step(r.readings, self._limits) for r in self.recorded]
        worst = [r.steps[i].state for r, i in zip(self.recorded, at, strict=True)]
        return {
            "interval": [r.interval for r in self.recorded],
            "v_pu": np.array([s.v_pu[WITH] for s in worst], dtype=np.float32),
            "loading_percent": np.array([s.loading_percent[WITH] for s in worst], dtype=np.float32),
            "step": at,
            "steps": [len(r.steps) for r in self.recorded],
        }


_SUMS = (
    "local_cleared_wh", "local_accepted_wh", "supplier_flexible_cleared_wh", "supplier_flexible_accepted_wh", "cut_wh",
    "offered_sell_wh", "offered_buy_wh",
)  # fmt: skip


@njit(cache=True)
def _sums_wh(fills, accepted_wh, orders, sums):  # type: ignore[no-untyped-def]
    """Energies of one interval in the order of ``_SUMS``; a local trade counts once, by its sale."""
    for i in range(fills.size):
        cleared, accepted = fills[i]["energy_wh"], accepted_wh[i]
        upstream, sale = fills[i]["counterparty"] == SUPPLIER, fills[i]["side"] == SELL
        if upstream:
            sums[2] += cleared
            sums[3] += accepted
        elif sale:
            sums[0] += cleared
            sums[1] += accepted
        if upstream or not sale:
            sums[4] += cleared - accepted
    for i in range(orders.size):
        sums[5 if orders[i]["side"] == SELL else 6] += orders[i]["energy_wh"]


def _market(decided: Decided) -> Columns:
    accepted, decision = decided.accepted, decided.decision
    session = accepted.session
    sums = np.zeros(len(_SUMS), dtype=np.int64)
    _sums_wh(session.fills, accepted.accepted_wh, session.intent.orders, sums)
    bound = [] if decision is None else [b for b in decision.binding if b is not None]
    return {
        "price_micro_per_kwh": session.price_micro_per_kwh,
        "index_micro_per_kwh": session.index_micro_per_kwh,
        **dict(zip(_SUMS, sums.tolist(), strict=True)),
        "gate_status": "off" if decision is None else decision.status,
        "gate_solves": 0 if decision is None else decision.solves,
        "gate_ms": decided.wall_ms,
        "welfare_micro": decided.welfare_micro,
        "central_welfare_micro": decided.central_welfare_micro,
        "binding": max(set(bound), key=lambda b: (bound.count(b), b)) if bound else None,
    }


def _reasons(rows: list[Recorded]) -> Columns:
    """Why a fill was cut; null where it was not, and where there is no gate."""
    reason: list[str | None] = []
    binding: list[str | None] = []
    shadow: list[FloatArray] = []
    for r in rows:
        decision = r.decided.decision
        none = [None] * len(r.entry.money_micro)
        reason.extend(none if decision is None else decision.reason)
        binding.extend(none if decision is None else decision.binding)
        shadow.append(np.full(len(none), np.nan) if decision is None else decision.shadow_price)
    prices = pa.array(np.concatenate(shadow), from_pandas=True)  # NaN is no price
    return {"reason": reason, "binding": binding, "shadow_price_micro_per_unit": prices}

"""The recorder: turns what the simulators saw into the run folder's tables, interval by interval."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from adapters.export.run_folder import RunFolder
from adapters.grid.feeder import Feeder, FloatArray
from market.orders import BUY, DEVICE_NAMES, SELL, SUPPLIER
from twin.extremes import LINE, TRAFO, V_MAX, V_MIN, Reading, Watch, worst_of
from twin.fleet import Flows
from twin.gate.limits import Limits
from twin.ledger import Entry, sales_wh
from twin.operator import Decided, traded_p_w
from twin.participants import Participants
from twin.plant import WITH, WITHOUT, PlantStep
from twin.scenario.schema import Scenario
from twin.totals import Totals
from twin.violations import EpisodeLog, Sighting, Snapshot, caused_by_trades

DEVICE_LABELS = np.array(DEVICE_NAMES)

COLUMNS = {
    V_MIN: ("v_min_pu", "v_min_bus", "base_v_min_pu"),
    V_MAX: ("v_max_pu", "v_max_bus", "base_v_max_pu"),
    LINE: ("line_loading_max_percent", "line_loading_max_name", "base_line_loading_max_percent"),
    TRAFO: ("trafo_loading_max_percent", "trafo_loading_max_name", "base_trafo_loading_max_percent"),
}


@dataclass(frozen=True)
class Unsolved:
    """A step whose power flow failed or held a NaN on a watched element."""

    step: int
    element: str


class Recorder:
    """Collects steps and intervals of one variant and writes them."""

    def __init__(
        self, folder: RunFolder, scenario: Scenario, feeder: Feeder, limits: Limits, people: Participants
    ):
        self._folder = folder
        self._scenario = scenario
        self._people = people
        self._limits = limits
        self._feeder = feeder
        self._names = np.array(people.names)
        self._bus_of = np.array([point.bus for point in feeder.points])
        self._is_trafo = np.array([kind == "trafo" for kind in feeder.branch_kind])
        self._has_battery = people.battery_wh > 0
        self.step_s = scenario.step_s
        self.base_violated = [0, 0, 0, 0]
        self._per_interval = scenario.interval_s // scenario.step_s
        self.violated = EpisodeLog()
        self.averted = EpisodeLog()
        self.unsolved: list[Unsolved] = []
        self.totals = Totals()
        self.last_interval = -1
        self.watch = Watch(limits, feeder.branch_kind)
        self._steps: list[PlantStep] = []
        self._readings: list[tuple[Reading, ...]] = []
        self._write_feeder()

    def _write_feeder(self) -> None:
        f = self._feeder
        names = np.array(f.bus_names)
        people: list[list[str]] = [[] for _ in f.bus_names]
        for point in f.points:
            people[point.bus].append(point.name)
        self._folder.append(
            "feeder_buses",
            {
                "bus": names,
                "x": f.xy[:, 0],
                "y": f.xy[:, 1],
                "vn_v": f.bus_vn_v,
                "participants": people,
            },
        )
        self._folder.append(
            "feeder_branches",
            {
                "branch": list(f.branch_names),
                "kind": list(f.branch_kind),
                "from_bus": names[f.branch_from],
                "to_bus": names[f.branch_to],
            },
        )

    def step(self, plant: PlantStep) -> None:
        """Take one step of devices and plant: judge it and keep it for its interval."""
        self._steps.append(plant)
        step, state, limits = plant.devices.step, plant.state, self._limits
        flows, base = plant.devices.flows, plant.devices.base
        snapshot = Snapshot(base.p_gen_w, base.q_gen_var, flows.p_gen_w, flows.q_gen_var)
        readings = self.watch.look(state)
        self._readings.append(readings)
        self.watch.remember(step, readings, snapshot)
        ok = limits.within(state)
        if ok.all():
            self.violated.see(step, [], _NOTHING)
            return
        if not self._solved(step, plant):
            return
        excess = limits.excess(state)
        self._count_base(excess[WITHOUT])
        values = np.concatenate((state.v_pu[WITH], state.v_pu[WITH], state.loading_percent[WITH]))
        seen = []
        for entry in np.flatnonzero(~(excess[WITH] <= 0)):
            kind, row, element = limits.name(int(entry))
            caused = caused_by_trades(excess[WITH, entry], excess[WITHOUT, entry], kind)
            value, limit = float(values[entry]), float(limits.bounds[entry])
            seen.append(Sighting(kind, row, element, value, limit, float(excess[WITH, entry]), caused))
        self.violated.see(step, seen, snapshot)

    def _count_base(self, excess: FloatArray) -> None:
        """Count the steps in which the plant breaks a limit without any trade, per measure."""
        n, broken = len(self._feeder.bus_names), ~(excess <= 0)
        self.base_violated[V_MIN] += bool(broken[:n].any())
        self.base_violated[V_MAX] += bool(broken[n : 2 * n].any())
        self.base_violated[LINE] += bool((broken[2 * n :] & ~self._is_trafo).any())
        self.base_violated[TRAFO] += bool((broken[2 * n :] & self._is_trafo).any())

    def element(self, measure: int, row: int) -> str | None:
        """Name of the bus or branch of a reading."""
        if row < 0:
            return None
        return self._feeder.bus_names[row] if measure in (V_MIN, V_MAX) else self._feeder.branch_names[row]

    def _solved(self, step: int, plant: PlantStep) -> bool:
        """Note a step without a usable solution; True where both rows are whole."""
        state = plant.state
        if not state.converged.all():
            which = "with trades" if not state.converged[WITH] else "without trades"
            self.unsolved.append(Unsolved(step, f"power flow {which}"))
            return False
        excess = self._limits.excess(state)
        lost = np.flatnonzero(np.isinf(excess).any(axis=0) & self._limits.watched)
        if len(lost):
            self.unsolved.append(Unsolved(step, self._limits.name(int(lost[0]))[2]))
            return False
        return True

    def avert(self, decided: Decided, interval: int) -> None:
        """Note what the gate kept from happening in an interval."""
        decision, problem = decided.decision, decided.problem
        if decision is None or problem is None or not decision.averted:
            self.averted.see(interval, [], _NOTHING)
            return
        full = traded_p_w(problem, problem.fills["energy_wh"])
        q = problem.q_base_var
        seen = [
            Sighting(v.kind, v.row, v.element, v.value, v.limit, abs(v.value - v.limit), True)
            for v in decision.averted
            if v.kind != "no_solution"
        ]
        self.averted.see(interval, seen, Snapshot(problem.p_base_w, q, full, q))

    def interval(self, interval: int, decided: Decided, entry: Entry, wall_ms: float) -> None:
        """Close an interval: write its rows."""
        steps, self._steps = self._steps, []
        readings, self._readings = self._readings, []
        self.avert(decided, interval)
        row = self._interval_row(interval, steps, readings, decided, entry)
        row["step_ms"] = wall_ms
        self._folder.append("intervals", {name: [value] for name, value in row.items()})
        self._trade_rows(interval, decided, entry)
        if self._scenario.outputs.participants:
            self._participant_rows(interval, steps, entry)
        last = steps[-1].state
        self._folder.append(
            "grid_states",
            {
                "interval": [interval],
                "v_pu": last.v_pu[WITH : WITH + 1].astype(np.float32),
                "loading_percent": last.loading_percent[WITH : WITH + 1].astype(np.float32),
            },
        )
        self.last_interval = interval

    def _interval_row(
        self,
        interval: int,
        steps: list[PlantStep],
        readings: list[tuple[Reading, ...]],
        decided: Decided,
        entry: Entry,
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "interval": interval,
            "time": (
                self._scenario.start + timedelta(seconds=interval * self._scenario.interval_s)
            ).isoformat(),
            "money_sum_micro": entry.sum_micro,
        }
        row.update(self._market_columns(decided))
        row.update(self._grid_columns(interval, steps, readings))
        row.update(self._energy_columns(steps))
        self.totals.interval(row, steps, decided, entry, self._scenario.interval_s)
        return row

    def _market_columns(self, decided: Decided) -> dict[str, Any]:
        accepted, decision = decided.accepted, decided.decision
        session, fills = accepted.session, accepted.session.fills
        orders = session.intent.orders
        upstream = fills["counterparty"] == SUPPLIER
        cut = fills["energy_wh"] - accepted.accepted_wh
        bound = [] if decision is None else [b for b in decision.binding if b is not None]
        return {
            "price_micro_per_kwh": session.price_micro_per_kwh,
            "local_cleared_wh": sales_wh(fills, fills["energy_wh"]),
            "local_accepted_wh": sales_wh(fills, accepted.accepted_wh),
            "supplier_flexible_cleared_wh": int(fills["energy_wh"][upstream].sum()),
            "supplier_flexible_accepted_wh": int(accepted.accepted_wh[upstream].sum()),
            "offered_sell_wh": int(orders["energy_wh"][orders["side"] == SELL].sum()),
            "offered_buy_wh": int(orders["energy_wh"][orders["side"] == BUY].sum()),
            "cut_wh": int(cut[(fills["side"] == BUY) | upstream].sum()),
            "gate_status": "off" if decision is None else decision.status,
            "gate_solves": 0 if decision is None else decision.solves,
            "gate_ms": decided.wall_ms,
            "binding": max(set(bound), key=lambda b: (bound.count(b), b)) if bound else None,
        }

    def _grid_columns(
        self, interval: int, steps: list[PlantStep], readings: list[tuple[Reading, ...]]
    ) -> dict[str, Any]:
        f = self._feeder
        row: dict[str, Any] = {"plant_converged": all(bool(s.state.converged.all()) for s in steps)}
        lost = [u.element for u in self.unsolved[-len(steps) :] if u.step // self._per_interval == interval]
        row["plant_nan_element"] = lost[0] if lost else None
        for measure, names in COLUMNS.items():
            worst = worst_of(measure, [r[measure] for r in readings])
            elements = f.bus_names if measure in (V_MIN, V_MAX) else f.branch_names
            row[names[0]], row[names[2]] = worst.value, worst.base
            row[names[1]] = elements[worst.row] if worst.row >= 0 else None
        row["p_slack_w"] = sum(float(s.state.p_slack_w[WITH]) for s in steps) / len(steps)
        row["loss_w"] = sum(float(s.state.loss_w[WITH]) for s in steps) / len(steps)
        return row

    def _energy_columns(self, steps: list[PlantStep]) -> dict[str, Any]:
        def mean(name: str) -> float:
            return float(sum(getattr(s.devices.flows, name).sum() for s in steps)) / len(steps)

        return {name: mean(name) for name in ("load_w", "pv_w", "pv_curtailed_w", "battery_w", "ev_w")}

    def _trade_rows(self, interval: int, decided: Decided, entry: Entry) -> None:
        accepted, decision = decided.accepted, decided.decision
        session = accepted.session
        fills, orders = session.fills, session.intent.orders
        if len(fills) == 0:
            return
        offered = orders["energy_wh"][np.searchsorted(orders["id"], fills["order_id"])]
        party = fills["counterparty"]
        counterparty = np.where(party == SUPPLIER, "supplier", "pool").astype(object)
        for i in np.flatnonzero(party >= 0):
            counterparty[i] = self._people.names[party[i]]
        none = [None] * len(fills)
        self._folder.append(
            "trades",
            {
                "interval": np.full(len(fills), interval),
                "order_id": fills["order_id"],
                "participant": self._names[fills["participant"]],
                "side": np.where(fills["side"] == SELL, "sell", "buy"),
                "device": DEVICE_LABELS[fills["device"]],
                "counterparty": counterparty,
                "flexible": fills["flexible"],
                "offered_wh": offered,
                "cleared_wh": fills["energy_wh"],
                "accepted_wh": accepted.accepted_wh,
                "delivered_wh": entry.delivered_wh,
                "settled_wh": entry.settled_wh,
                "price_micro_per_kwh": fills["price_micro_per_kwh"],
                "money_micro": entry.money_micro,
                "reason": none if decision is None else list(decision.reason),
                "binding": none if decision is None else list(decision.binding),
                "shadow_price_micro_per_unit": none if decision is None else _nullable(decision.shadow_price),
            },
        )

    def _participant_rows(self, interval: int, steps: list[PlantStep], entry: Entry) -> None:
        flows = [s.devices.flows for s in steps]
        last = steps[-1]
        self._folder.append(
            "participants",
            {
                "interval": np.full(self._people.n, interval),
                "participant": self._names,
                "p_gen_w": _mean(flows, "p_gen_w"),
                "q_gen_var": _mean(flows, "q_gen_var"),
                "v_pu": np.mean([s.state.v_pu[WITH, self._bus_of] for s in steps], axis=0),
                "soc": np.where(self._has_battery, last.devices.state.soc, np.nan),
                "ev_w": _mean(flows, "ev_w"),
                "battery_w": _mean(flows, "battery_w"),
                "metered_wh": entry.metered_wh,
                "bill_micro": entry.bill_micro,
                "wire": np.any([s.devices.wire for s in steps], axis=0),
            },
        )


_NOTHING = Snapshot(*(np.zeros(0),) * 4)


def _nullable(values: FloatArray) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]


def _mean(flows: list[Flows], name: str) -> FloatArray:
    if len(flows) == 1:
        return np.asarray(getattr(flows[0], name))
    return np.asarray(np.mean([getattr(f, name) for f in flows], axis=0))

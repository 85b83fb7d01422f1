"""The recorder: turns what the simulators saw into the run folder's tables, interval by interval."""

from dataclasses import dataclass

import numpy as np

from adapters.export.run_folder import RunFolder
from adapters.grid.feeder import Feeder, FloatArray
from twin.blocks import Block, Columns, Recorded
from twin.charge_tally import ChargeTally
from twin.comparison import Comparison
from twin.envelope_table import envelope_columns
from twin.extremes import LINE, TRAFO, V_MAX, V_MIN, Reading, Watch
from twin.further import FurtherLimits
from twin.gate.limits import Limits
from twin.lasting import Lasting
from twin.ledger import Entry
from twin.operator import Decided, traded_p_w
from twin.participants import Participants
from twin.plant import WITH, WITHOUT, PlantStep
from twin.robust_price import RobustTally
from twin.scenario.schema import Scenario
from twin.totals import Totals
from twin.violations import NOTHING, EpisodeLog, Sighting, Snapshot, caused_by_trades

BLOCK = 24
"""Intervals written at once. A number, not a time: sums over blocks must not depend on the machine's speed."""


@dataclass(frozen=True)
class Unsolved:
    """A step whose power flow failed or held a NaN on a watched element."""

    step: int
    element: str


class Recorder:
    """Collects steps and intervals of one variant and writes them."""

    def __init__(
        self,
        folder: RunFolder,
        scenario: Scenario,
        feeder: Feeder,
        limits: Limits,
        people: Participants,
        comparison: Comparison | None = None,
        profile_step_s: int = 0,
    ):
        self._folder = folder
        self._comparison = comparison
        self._scenario = scenario
        self._people = people
        self._limits = limits
        self._feeder = feeder
        self._is_trafo = np.array([kind == "trafo" for kind in feeder.branch_kind])
        self.step_s = scenario.step_s
        self.base_violated = [0, 0, 0, 0]
        self.base_violated_first: list[int | None] = [None, None, None, None]
        self.violated = EpisodeLog()
        self.averted = EpisodeLog()
        self.broken_by_trades: set[int] = set()  # intervals
        self.unsolved: list[Unsolved] = []
        self.totals = Totals()
        self.last_interval = -1
        self.charges = ChargeTally(people.names) if scenario.coordination.mode == "price" else None
        coordination = scenario.coordination
        self.robust = RobustTally() if coordination.mode == "gate" and coordination.robust else None
        self._publishes = coordination.mode == "envelope"
        self.watch = Watch(limits, feeder.branch_kind)
        self.further = FurtherLimits(scenario.limits, feeder)
        self.lasting = Lasting.of(scenario, feeder, profile_step_s)
        self._watches = (*((self.further,) if self.further.tallies else ()), *self.lasting.watches)
        self._steps: list[PlantStep] = []
        self._readings: list[tuple[Reading, ...]] = []
        self._block: list[Recorded] = []
        self._written = 0  # of the block, when a flush fell due within it
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
                "length_m": [length if length >= 0 else None for length in f.branch_length_m.tolist()],
            },
        )

    def step(self, plant: PlantStep) -> None:
        """Take one step of devices and plant: judge it and keep it for its interval."""
        self._steps.append(plant)
        step, state, limits = plant.devices.step, plant.state, self._limits
        flows, base = plant.devices.flows, plant.devices.base
        powers = (base.p_gen_w, base.q_gen_var, flows.p_gen_w, flows.q_gen_var)
        snapshot = Snapshot(*powers, plant.engine)
        for lasting in self._watches:  # none, unless the scenario asks for more than band and loading
            lasting.look(step, state, snapshot)
        limits = limits.based_on(state.v_pu[WITHOUT])
        readings = self.watch.look(state)
        self._readings.append(readings)
        self.watch.remember(step, readings, snapshot)
        ok = limits.within(state)
        if all(ok.tolist()):
            self.violated.see(step, [], NOTHING)
            return
        if not self._solved(step, plant):
            self.violated.see(step, [], NOTHING)
            return
        excess = limits.excess(state)
        self._count_base(step, excess[WITHOUT])
        values = limits.values(state)[WITH]
        seen = []
        for entry in np.flatnonzero(~(excess[WITH] <= 0)):
            kind, row, element = limits.name(int(entry))
            caused = caused_by_trades(excess[WITH, entry], excess[WITHOUT, entry], kind)
            value, limit = float(values[entry]), float(limits.bounds[entry])
            seen.append(Sighting(kind, row, element, value, limit, float(excess[WITH, entry]), caused))
        if any(sighting.by_trades for sighting in seen):
            self.broken_by_trades.add(step * self.step_s // self._scenario.interval_s)
        self.violated.see(step, seen, snapshot)

    def _count_base(self, step: int, excess: FloatArray) -> None:
        """Count the steps in which the plant breaks a limit without any trade, per measure."""
        n, broken = len(self._feeder.bus_names), ~(excess <= 0)
        loading = broken[2 * n : 2 * n + self._feeder.n_branch]
        found = {
            V_MIN: broken[:n].any(),
            V_MAX: broken[n : 2 * n].any(),
            LINE: (loading & ~self._is_trafo).any(),
            TRAFO: (loading & self._is_trafo).any(),
        }
        for measure, here in found.items():
            self.base_violated[measure] += bool(here)
            if here and self.base_violated_first[measure] is None:
                self.base_violated_first[measure] = step

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
            self.averted.see(interval, [], NOTHING)
            return
        full = traded_p_w(problem, problem.fills["energy_wh"])
        q = problem.q_base_var
        seen = [
            Sighting(v.kind, v.row, v.element, v.value, v.limit, abs(v.value - v.limit), True)
            for v in decision.averted
            if v.kind != "no_solution"
        ]
        snapshot = decided.believed or Snapshot(problem.p_base_w, q, full, q)
        self.averted.see(interval, seen, snapshot)

    def interval(self, interval: int, decided: Decided, entry: Entry, wall_ms: float) -> None:
        """Close an interval; it is written with its block, or earlier where the folder's last flush is long ago."""
        steps, self._steps = self._steps, []
        readings, self._readings = self._readings, []
        self.avert(decided, interval)
        lost = [u.element for u in self.unsolved[-len(steps) :] if u.step >= steps[0].devices.step]
        self._block.append(
            Recorded(interval, decided, entry, steps, readings, lost[0] if lost else None, wall_ms)
        )
        self.last_interval = interval
        due = self._folder.due()
        if len(self._block) >= BLOCK:
            self.write()
        elif due:
            self._write_rows()
        if due:
            self._folder.flush(wait=False)

    def write(self) -> None:
        """Add up the finished intervals and hand them to the run folder."""
        if not self._block:
            return
        block = self._block_of(self._block)
        intervals = block.intervals(self._scenario.at)
        self.totals.add_block(block, intervals, self._scenario.interval_s)
        if self._written:
            self._write_rows()
        else:
            self._append(block, intervals)
        self._block, self._written = [], 0

    def _write_rows(self) -> None:
        """Hand those intervals of the block to the run folder that are not there yet; they are added up later."""
        if self._written < len(self._block):
            block = self._block_of(self._block[self._written :])
            self._append(block, block.intervals(self._scenario.at))
            self._written = len(self._block)

    def _block_of(self, recorded: list[Recorded]) -> Block:
        return Block(recorded, self._feeder, self._people, self._scenario.limits)

    def _append(self, block: Block, intervals: Columns) -> None:
        """Append the rows of a block; every interval comes here once, and in order."""
        self._folder.append("intervals", intervals)
        trades = block.trades()
        if trades:
            self._folder.append("trades", trades)
        if self._scenario.outputs.participants:
            self._folder.append("participants", block.participants())
        self._folder.append("grid_states", block.grid_states())
        if heat := block.heat_pumps():
            self._folder.append("heat_pumps", heat)
        if self._comparison is not None and self._comparison.bills is not None:
            for each in block.recorded:
                self._comparison.bills.settle(each.decided.accepted, each.entry)
        compared = self._comparison.take_rows() if self._comparison is not None else {}
        if compared:
            self._folder.append("mechanisms", compared)
        if self.robust is not None:
            self.robust.add(each.decided.robust_price for each in block.recorded)
        if self._publishes:
            self._folder.append(
                "envelopes", envelope_columns(block.recorded, self._feeder, self._scenario.at)
            )
        charged = self.charges.columns(block.recorded) if self.charges is not None else {}
        if charged:
            self._folder.append("charges", charged)

"""From a loaded scenario to everything a run needs: feeder, profiles, participants, limits. Runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.grid.engine import ModelError
from adapters.grid.errors import FeederNotSolvableError, GridError, UnsupportedElementError
from adapters.grid.feeder import Feeder
from twin.admission import admission_problems
from twin.bench_setup import set_up
from twin.fault_plan import FaultPlan
from twin.kpi_names import KPI_NAMES
from twin.market_setup import bilateral_problems, market_problems
from twin.model_error import model_error
from twin.own_profiles import with_profiles
from twin.participants import Participants
from twin.placement import place
from twin.plant_setup import answering_notes, plant_problems
from twin.profile_file import read_user_table
from twin.profiles import ProfileError, Profiles, Table
from twin.scenario.load import LoadedScenario
from twin.scenario.problems import Problem, ScenarioError
from twin.scenario.schema import Scenario
from twin.scenario.words import nearest
from twin.settlement_chain import chain_problems
from twin.settlement_check import settlement_problems
from twin.shipped_feeders import compared_feeder, feeder_profiles

if TYPE_CHECKING:
    from adapters.grid.compare import EngineComparison
    from rigs.device import RoleSpec


@dataclass(frozen=True)
class PreparedRun:
    """One variant, ready to run. ``gate_engine`` and ``plant_engine`` are the engines that will really be used."""

    name: str
    scenario: Scenario
    feeder: Feeder
    comparison: "EngineComparison"
    table: Table
    people: Participants
    gate_engine: str
    plant_engine: str
    model_error: ModelError
    bench: Path | None
    coupling: str
    notes: tuple[str, ...]
    faults: FaultPlan = field(default_factory=FaultPlan)
    drivers: Mapping[str, str] = field(default_factory=dict)  # role to driver of the bench
    home: Path = Path()  # the scenario's folder: files that it names are beside it

    @property
    def day_start_s(self) -> int:
        """Second of the (local) day at simulation second 0."""
        return second_of_day(self.scenario.start)


@dataclass(frozen=True)
class PreparedScenario:
    """All variants of a scenario, ready to run."""

    loaded: LoadedScenario
    runs: dict[str, PreparedRun]


def second_of_day(moment: datetime) -> int:
    """Seconds since local midnight."""
    return moment.hour * 3600 + moment.minute * 60 + moment.second


class _Preparation:
    """Collects problems over all variants; loads each feeder and each profile source once."""

    def __init__(
        self, loaded: LoadedScenario, bench: Path | None, arm: Mapping[str, float] | None, ask: bool
    ) -> None:
        self.loaded = loaded
        self.bench, self.arm = bench, arm
        self._reach = self.reach if ask else None
        self._reached: dict[Path, list[str]] = {}
        self.problems: list[Problem] = []
        grids = [scenario.grid for scenario in loaded.runs().values()]
        self._opendss = any("opendss" in (grid.engine, grid.plant.engine) for grid in grids)
        self._feeders: dict[str, tuple[Feeder, EngineComparison] | None] = {}
        self._tables: dict[tuple[str, str], Table | None] = {}

    def complain(self, key_path: str, message: str, got: str = "", allowed: str = "", hint: str = "") -> None:
        problem = self.loaded.problem(key_path, message, got, allowed, hint)
        if problem not in self.problems:
            self.problems.append(problem)

    def reach(self, path: Path, specs: "Sequence[RoleSpec]") -> list[str]:
        """Ask the real devices of a bench who they are; once for all variants."""
        from rigs.reach import reach

        if path not in self._reached:
            self._reached[path] = reach(path, specs)
        return self._reached[path]

    def feeder(self, source: str) -> "tuple[Feeder, EngineComparison] | None":
        """Load a feeder and solve it in both engines; None (with a problem noted) where that fails."""
        if source not in self._feeders:
            self._feeders[source] = self._load_feeder(source)
        return self._feeders[source]

    def _load_feeder(self, source: str) -> "tuple[Feeder, EngineComparison] | None":
        try:
            return compared_feeder(source, self.loaded.path.parent, self._opendss)
        except FeederNotSolvableError as error:
            self.complain("grid.source", "the feeder cannot be solved at the start", source, hint=str(error))
        except GridError as error:
            self.complain("grid.source", str(error), source)
        return None

    def table(self, scenario: Scenario, feeder: Feeder) -> Table | None:
        """The profile table of a scenario."""
        key = (scenario.profiles.source, feeder.source)
        if key not in self._tables:
            self._tables[key] = self._load_table(scenario.profiles.source, feeder)
        return self._tables[key]

    def _load_table(self, source: str, feeder: Feeder) -> Table | None:
        if source == "grid":
            table: Table | None = feeder_profiles(feeder)
            if table is None:
                self.complain(
                    "profiles.source",
                    "this feeder has no profiles of its own",
                    "grid",
                    "a CSV or Parquet file",
                    "See docs/how-to for the columns of a profile file.",
                )
            return table
        path = self.loaded.path.parent / source
        if not path.is_file():
            self.complain("profiles.source", "no such file", source, "'grid', or a CSV or Parquet file")
            return None
        try:
            return read_user_table(path)
        except ProfileError as error:
            for line in str(error).splitlines():
                self.complain("profiles.source", line)
            return None

    def variant(self, name: str, scenario: Scenario) -> PreparedRun | None:
        """Prepare one variant; None where a problem was found."""
        before = len(self.problems)
        market_problems(scenario.market, self.complain)
        self._check_expectations(scenario)
        bench = self._bench_path(scenario)
        loaded = self.feeder(scenario.grid.source)
        if loaded is None:
            return None
        feeder, comparison = loaded
        table = self.table(scenario, feeder)
        if table is None:
            return None
        self._check_steps(scenario, table)
        feeder = with_profiles(feeder, table, scenario.seed)
        loads = {n: i for i, n in enumerate(table.names)}
        pvs = {n: i for i, n in enumerate(table.pv_names)}
        people = place(scenario, feeder, loads, pvs, self.complain)
        self._check_people(people)
        bilateral_problems(scenario, people.names, self.complain)
        if scenario.market.admission is not None:
            admission_problems(scenario.market.admission, people, self.complain)
        settlement_problems(scenario, people.names, self.complain)
        if len(self.problems) > before:
            return None
        self._check_coverage(scenario, table, people)
        error = model_error(scenario, feeder)
        gate, plant, notes = self._engines(scenario, feeder, error)
        plant_problems(scenario, feeder, people, plant, error, self.complain)
        named = self.bench is not None or scenario.devices.bench is not None
        setup = set_up(bench, named, scenario, people, self.complain, self.arm, self._reach)
        return PreparedRun(
            name,
            scenario,
            feeder,
            comparison,
            table,
            people,
            gate,
            plant,
            error,
            bench,
            setup.coupling,
            (*notes, *answering_notes(scenario, people, setup.drivers)),
            setup.faults,
            setup.drivers,
            self.loaded.path.parent,
        )

    def _check_expectations(self, scenario: Scenario) -> None:
        for i, wish in enumerate(scenario.expectations):
            if wish.kpi not in KPI_NAMES:
                near = nearest(wish.kpi, sorted(KPI_NAMES), "Did you mean {}?")
                self.complain(
                    f"expectations[{i}].kpi",
                    "no such KPI",
                    wish.kpi,
                    "a name of docs/reference/kpis.md",
                    near,
                )

    def _check_steps(self, scenario: Scenario, table: Table) -> None:
        if scenario.step_s % table.step_s and table.step_s % scenario.step_s:
            self.complain(
                "substep_s" if scenario.substep_s else "interval_s",
                "must be a multiple or a divisor of the profiles' step",
                f"{scenario.step_s} s",
                f"{table.step_s} s",
            )

    def _check_people(self, people: Participants) -> None:
        if people.n == 0:
            self.complain("grid.source", "the feeder has no connection points (loads): nobody can trade")
        elif not people.trades.any():
            self.complain(
                "participants.include",
                "nobody takes part: an empty community cannot trade",
                "no name of this feeder",
                "all",
            )

    def _check_coverage(self, scenario: Scenario, table: Table, people: Participants) -> None:
        try:
            Profiles(table, scenario, people)
        except ProfileError as error:
            self.complain("profiles.source", str(error))

    def _engines(
        self, scenario: Scenario, feeder: Feeder, error: ModelError
    ) -> tuple[str, str, tuple[str, ...]]:
        """The engines that can model the feeder; the feeder's reference stands in, and a note says so."""
        from adapters.grid.factory import make_engine

        stand_in = "pandapower" if feeder.balanced else "opendss"
        wanted = (scenario.grid.engine, scenario.grid.plant.engine or scenario.grid.engine)
        notes: list[str] = []
        used: list[str] = []
        for role, name, deviation in (("gate", wanted[0], ModelError()), ("plant", wanted[1], error)):
            try:
                make_engine(feeder, name, deviation)
                used.append(name)
            except UnsupportedElementError as unsupported:
                notes.append(f"{role}: {unsupported} {stand_in} is used instead.")
                used.append(self._stand_in(feeder, stand_in, deviation, role))
            except GridError as wrong:
                self.complain("grid.plant" if role == "plant" else "grid.engine", str(wrong))
                used.append(name)
        return used[0], used[1], tuple(notes)

    def _stand_in(self, feeder: Feeder, name: str, deviation: ModelError, role: str) -> str:
        from adapters.grid.factory import make_engine

        try:
            make_engine(feeder, name, deviation)
        except GridError as wrong:
            self.complain("grid.plant" if role == "plant" else "grid.engine", str(wrong))
        return name

    def _bench_path(self, scenario: Scenario) -> Path | None:
        path = self.bench
        if path is None and scenario.devices.bench is not None:
            path = self.loaded.path.parent / scenario.devices.bench
        if path is not None and not path.is_file():
            self.complain("devices.bench", "no such bench file", str(path))
            return None
        return path


def prepare(
    loaded: LoadedScenario,
    bench: Path | None = None,
    arm: Mapping[str, float] | None = None,
    *,
    ask: bool = False,
) -> PreparedScenario:
    """Prepare all variants of a scenario. Starts no process, and opens no socket but to ask.

    Args:
        loaded: from ``load_scenario``.
        bench: a bench file that replaces the scenario's own.
        arm: role to seconds for which a real device shall be armed.
        ask: ask the real devices of a bench whether they are there and who they are; nothing is written.

    Raises:
        ScenarioError: with every problem that needs the feeder, the profiles or the bench to be seen.
    """
    work = _Preparation(loaded, bench, arm, ask)
    runs = {name: work.variant(name, scenario) for name, scenario in loaded.runs().items()}
    chain_problems(loaded.runs(), work.complain)
    if work.problems:
        raise ScenarioError(work.problems)
    return PreparedScenario(loaded, {name: run for name, run in runs.items() if run is not None})

"""The panel: gives each source its own sensor, and agrees on every participant's energy of an interval."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import numpy as np

from adapters.grid.feeder import Feeder, FloatArray, IntArray
from twin.fault_plan import MeterFault
from twin.fleet import Flows
from twin.oracles.behind import FINE, Behind
from twin.oracles.consensus import AGREED, Agreement, Rule, agree
from twin.oracles.findings import Findings, Seen
from twin.oracles.grid_log import BranchFlows, GridLog
from twin.oracles.meter import OK, MeterOracle, Meters
from twin.oracles.metering import Counted, Metering
from twin.oracles.output_model import Band, OutputModel
from twin.participants import BoolArray, Participants
from twin.profiles import Profiles
from twin.scenario.oracles_section import OraclesSection
from twin.scenario.schema import Scenario
from twin.streams import stream


class Readers(Protocol):
    """Who says what was metered."""

    def step(
        self, time_s: int, metered_wh: FloatArray, flows: BranchFlows | None, behind: Flows | None = None
    ) -> None:
        """Take a step of the plant that begins at ``time_s``; ``behind`` is what flows behind the meters."""
        ...

    def close(self, interval: int, end_s: int) -> Agreement:
        """End an interval."""
        ...


class MetersAlone:
    """No oracles: every meter is believed. Made only where a scenario gives a meter a fault.

    What arrives is subtracted from what arrived before, as a billing system does that checks nothing.
    """

    def __init__(self, names: Sequence[str], faults: Sequence[MeterFault], interval_s: int) -> None:
        self._meters = Meters(names, faults, interval_s)
        self._register: IntArray = np.zeros(len(names), dtype=np.int64)

    def step(
        self, time_s: int, metered_wh: FloatArray, flows: BranchFlows | None, behind: Flows | None = None
    ) -> None:
        """See ``Readers.step``."""
        self._meters.count(time_s, metered_wh)

    def close(self, interval: int, end_s: int) -> Agreement:
        """See ``Readers.close``."""
        said = self._meters.read(end_s)
        energy = np.where(said.present, said.register_wh - self._register, 0)
        self._register = np.where(said.present, said.register_wh, self._register)
        nobody, never = np.zeros(len(energy), dtype=np.int64), np.zeros(len(energy), dtype=np.bool_)
        return Agreement(energy, nobody + AGREED, nobody, nobody, nobody, never, never)


class Panel:
    """Three oracles and their agreement."""

    def __init__(
        self,
        section: OraclesSection,
        scenario: Scenario,
        feeder: Feeder,
        people: Participants,
        profiles: Profiles,
        peak_load_w: FloatArray,
        faults: Sequence[MeterFault],
    ) -> None:
        """Bind the panel.

        Args:
            section: the scenario's oracles.
            scenario: for its calendar and seed.
            feeder: the plant's.
            people: nameplates.
            profiles: of which only the sun is looked at.
            peak_load_w: highest load of each participant in its history; (n,).
            faults: of meters.
        """
        self._scenario, self._profiles = scenario, profiles
        self._per_interval = scenario.interval_s // scenario.step_s
        self._step_s = scenario.step_s
        self.rule = Rule(section.tolerance_wh, int(section.tolerance_percent * 10_000), section.quorum)
        self.metering = Metering(people, scenario.interval_s / 3600)
        self.meters = Meters(self.metering.names, faults, scenario.interval_s)
        self.meter_oracle = MeterOracle(self.metering.names)
        self.grid_log = GridLog(
            feeder, stream(scenario.seed, "*", "oracles/grid_log"), section.grid_noise_percent,
            section.grid_resolution_w,
        )  # fmt: skip
        self.model = OutputModel(
            people, peak_load_w, scenario.interval_s / 3600, stream(scenario.seed, "*", "oracles/model"),
            section.model_error_percent, section.tolerance_wh,
        )  # fmt: skip
        rows = self.metering.rows
        self.behind = None if not len(rows) else Behind(
            people, rows, self.model.most_load_wh, scenario.interval_s / 3600, section.tolerance_wh,
            self.model.spread, self._per_interval, scenario.grid.plant.inverters is not None,
        )  # fmt: skip
        self.findings = Findings([Seen(fault) for fault in faults])
        self.uncertainty_sum_wh = np.zeros(people.n, dtype=np.int64)
        self.counted: Counted | None = None  # of the last interval

    def step(
        self, time_s: int, metered_wh: FloatArray, flows: BranchFlows | None, behind: Flows | None = None
    ) -> None:
        """See ``Readers.step``; the log needs ``flows``."""
        if behind is not None:
            hours = self._step_s / 3600.0
            metered_wh = self.metering.energy_wh(metered_wh, behind.pv_w, behind.battery_w, hours)
        self.meters.count(time_s, metered_wh)
        if flows is not None:
            self.grid_log.add(flows, self._step_s)

    def close(self, interval: int, end_s: int) -> Agreement:
        """See ``Readers.close``."""
        every_wh, states = self.meter_oracle.take(self.meters.read(end_s), end_s)
        usable = states == OK
        energy, state = every_wh[: self.metering.n], states[: self.metering.n]
        log = self.grid_log.read()
        steps = range(interval * self._per_interval, (interval + 1) * self._per_interval)
        sun_w = sum((self._profiles.pv_w(step) for step in steps), np.zeros(len(energy))) / len(steps)
        middle = self._scenario.at(interval) + timedelta(seconds=self._scenario.interval_s / 2)
        day = (interval * self._scenario.interval_s) // 86_400
        second = middle.hour * 3600 + middle.minute * 60 + middle.second
        band = self.model.band(sun_w, day, middle.timetuple().tm_yday, second)
        made = agree(self.rule, self.grid_log.site_of, energy, usable[: self.metering.n], log, band)
        self.uncertainty_sum_wh += log.uncertainty_wh[self.grid_log.site_of]
        start_s = end_s - self._scenario.interval_s
        self.findings.look(interval, start_s, end_s, made, (energy, state), band)
        if self.behind is not None:
            usable = self._look_behind(interval, end_s, made, log.uncertainty_wh, (every_wh, states), band)
        self.counted = self.metering.counted(made.value_wh, ~made.held, every_wh, usable)
        return made

    def _look_behind(
        self,
        interval: int,
        end_s: int,
        made: Agreement,
        doubt_wh: IntArray,
        meters: tuple[IntArray, IntArray],
        band: Band,
    ) -> BoolArray:
        """Judge the meters behind connection points; which of all meters may count for certificates."""
        assert self.behind is not None
        every_wh, states = meters
        n, usable = self.metering.n, np.asarray(states == OK)
        doubt_wh = np.where(made.status == AGREED, 0, doubt_wh[self.grid_log.site_of])
        verdict, low, high = self.behind.judge(every_wh, usable, made.value_wh, ~made.held, doubt_wh, band)
        if verdict.any():
            span = end_s - self._scenario.interval_s, end_s
            self.findings.look_behind(interval, span, n, (every_wh, states), (verdict, low, high))
            usable[n:] &= verdict == FINE
        return usable

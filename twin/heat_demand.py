"""How much heat the houses ask for, and how well their heat pumps make it: by temperature, or by a profile.

Demand rises in a straight line from the heating limit to the heat load at the design temperature (the stationary
balance behind EN 12831), with hot water on top. The coefficient of performance of air-source heat pumps and its factor
for operation in the field are those of Ruhnau, Hirth and Praktiknjo, Time series of heat demand and heat pump
efficiency for energy system modeling, Scientific Data 6, 189 (2019).
"""

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from twin.heat_pumps import HeatDemand, HeatPumps
from twin.scenario.schema import Scenario
from twin.streams import stream

FIELD_FACTOR = 0.85
LEAST_LIFT_K = 15.0
WARMEST_H = 15.0


def outdoor_c(pumps: HeatPumps, second_of_day: float) -> FloatArray:
    """Outdoor temperature at a time of day, (n,): the mean and a swing that is warmest at 15:00."""
    angle = 2 * np.pi * (second_of_day / 3600.0 - WARMEST_H) / 24.0
    return np.asarray(pumps.outdoor_c + pumps.outdoor_swing_k * np.cos(angle))


def cop_of(pumps: HeatPumps, outdoor: FloatArray) -> FloatArray:
    """Coefficient of performance at an outdoor temperature, (n,)."""
    lift = np.maximum(pumps.flow_c - outdoor, LEAST_LIFT_K)
    by_lift = FIELD_FACTOR * (6.08 - 0.09 * lift + 0.0005 * lift**2)
    return np.where(np.isnan(pumps.cop), by_lift, pumps.cop)


class HeatProfiles:
    """Heat demand of every step of a run."""

    def __init__(
        self,
        pumps: HeatPumps,
        rows: IntArray,
        loads: FloatArray,
        steps: tuple[int, int, int],
        day_start_s: int,
    ) -> None:
        """Bind the profiles.

        Args:
            pumps: the heat pumps.
            rows: rows of the profile table that each step is the mean of; (n_steps, k).
            loads: load profiles per unit; (n_rows, n_profiles).
            steps: length of a step in s, steps per interval, steps in ``rows`` before the run begins.
            day_start_s: second of the (local) day at simulation second 0.
        """
        self._pumps, self._rows, self._loads = pumps, rows, loads
        self._step_s, self._per_interval, self._before = steps
        self._day_start_s = day_start_s
        self._last = -self._before - 1, HeatDemand(np.zeros(0), np.zeros(0))

    def at(self, step: int) -> HeatDemand:
        """Demand of a step (negative: before the run), from the temperature in its middle."""
        if step != self._last[0]:
            pumps = self._pumps
            outdoor = outdoor_c(pumps, (self._day_start_s + (step + 0.5) * self._step_s) % 86400)
            span = np.where(pumps.p_w > 0, pumps.heating_limit_c - pumps.design_c, 1.0)
            share = np.maximum((pumps.heating_limit_c - outdoor) / span, 0.0)
            if (pumps.profile >= 0).any():
                table = self._loads[self._rows[step + self._before]][:, np.maximum(pumps.profile, 0)]
                share = np.where(pumps.profile >= 0, table.mean(axis=0), share)
            heat = pumps.heat_load_w * share + pumps.hot_water_w
            self._last = step, HeatDemand(np.where(pumps.p_w > 0, heat, 0.0), cop_of(pumps, outdoor))
        return self._last[1]

    def interval(self, interval: int) -> HeatDemand:
        """Means over a market interval."""
        steps = range(interval * self._per_interval, (interval + 1) * self._per_interval)
        if len(steps) == 1:
            return self.at(steps[0])
        seen = [self.at(step) for step in steps]
        return HeatDemand(np.mean([d.heat_w for d in seen], axis=0), np.mean([d.cop for d in seen], axis=0))


class HeatForecaster:
    """What participants believe about an interval's heat: as exact as their belief about their load."""

    def __init__(self, profiles: HeatProfiles, scenario: Scenario, names: tuple[str, ...]) -> None:
        self._profiles, self._section = profiles, scenario.participants.forecast
        self._per_day, self._day = 86400 // scenario.interval_s, -1
        self._houses = [stream(scenario.seed, name, "forecast/heat") for name in names]
        self._factor = np.ones((self._per_day, len(names)))

    def interval(self, interval: int) -> HeatDemand:
        """Forecast of an interval."""
        if self._section.kind == "persistence":
            return self._profiles.interval(interval - self._per_day)
        actual = self._profiles.interval(interval)
        if self._section.kind == "perfect":
            return actual
        day, slot = divmod(interval, self._per_day)
        while self._day < day:
            self._day += 1
            draws = np.array([rng.standard_normal(self._per_day) for rng in self._houses]).T
            self._factor = np.maximum(0.0, 1 + self._section.load_error_percent / 100 * draws)
        return HeatDemand(actual.heat_w * self._factor[slot], actual.cop)

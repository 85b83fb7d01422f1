"""Load and PV over the run: profile tables mapped onto the scenario's calendar."""

from datetime import datetime, timedelta, timezone
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from numba import njit

from adapters.grid.feeder import FloatArray, IntArray
from twin.heat_demand import HeatProfiles
from twin.participants import Participants
from twin.scenario.schema import Scenario


class Table(Protocol):
    """Profiles per unit of the rated power (as `adapters.grid.profiles.ProfileTable`).

    ``p`` and ``q`` are (n_steps, n_names), ``pv`` (n_steps, n_pv_names); ``start`` is local time without zone.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Load profiles."""
        ...

    @property
    def p(self) -> FloatArray:
        """Active power of loads."""
        ...

    @property
    def q(self) -> FloatArray:
        """Reactive power of loads."""
        ...

    @property
    def pv_names(self) -> tuple[str, ...]:
        """PV profiles."""
        ...

    @property
    def pv(self) -> FloatArray:
        """Generation."""
        ...

    @property
    def step_s(self) -> int:
        """Seconds of a row."""
        ...

    @property
    def start(self) -> datetime:
        """Begin of the first row."""
        ...

    @property
    def zone(self) -> str:
        """Time zone of ``start``; rows are elapsed time from it. Empty: the scenario's own offset."""
        ...


class ProfileError(ValueError):
    """A profile file that cannot be used; the text says where and why."""


class Calendar:
    """Maps simulation seconds onto rows of a profile table."""

    def __init__(self, table: Table, scenario: Scenario) -> None:
        self._table = table
        self._scenario = scenario
        # a table's rows are elapsed time, so the whole year is counted in the offset that its start has
        zone = ZoneInfo(table.zone) if table.zone else None
        offset = zone.utcoffset(table.start) if zone else None
        start = scenario.start if offset is None else scenario.start.astimezone(timezone(offset))
        self._start = start.replace(tzinfo=None)
        self._n = len(table.p)

    def rows(self, first_s: int, step_s: int, count: int) -> IntArray:
        """Rows of ``count`` steps from ``first_s`` on; (count,). Raises ProfileError beyond the table's end."""
        offset_s = first_s + np.arange(count, dtype=np.int64) * step_s
        if not self._scenario.profiles.repeat_year:
            row = (offset_s + int((self._start - self._table.start).total_seconds())) // self._table.step_s
            if row[0] < 0 or row[-1] >= self._n:
                last = self._table.start + timedelta(seconds=self._n * self._table.step_s)
                raise ProfileError(
                    f"the profiles cover {self._table.start} to {last}, the run needs "
                    f"{self._start + timedelta(seconds=int(offset_s[0]))} to "
                    f"{self._start + timedelta(seconds=int(offset_s[-1] + step_s))}"
                )
            return row
        days = np.datetime64(self._start, "s") + offset_s.astype("timedelta64[s]")
        return self._row_in_year(days)

    def _row_in_year(self, moments: Any) -> IntArray:
        """Same month, day and time of day in the year that the table begins with, which may begin on any day of it;
        29 February falls back to the 28th.
        """
        year = np.datetime64(self._table.start, "Y")
        month = moments.astype("datetime64[M]")
        in_year = month - month.astype("datetime64[Y]").astype("datetime64[M]")
        day = (moments.astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)
        date = _date(year, in_year, day)
        before = date + (moments - moments.astype("datetime64[D]")) < np.datetime64(self._table.start, "s")
        date = np.where(before, _date(year + 1, in_year, day), date)
        second = (moments - moments.astype("datetime64[D]")).astype(np.int64)
        start = np.datetime64(self._table.start, "s")
        row = ((date.astype("datetime64[s]") - start).astype(np.int64) + second) // self._table.step_s
        if row.min() < 0 or row.max() >= self._n:
            end = self._table.start + timedelta(seconds=self._n * self._table.step_s)
            first, last = moments.min(), moments.max()
            raise ProfileError(
                f"the profiles hold {self._n} steps of {self._table.step_s} s from {self._table.start} to {end}; "
                f"the scenario's dates ({_plain(first)} to {_plain(last)}, of any year) fall outside: give a whole "
                "year, or the very dates and repeat_year: false"
            )
        return np.asarray(row, dtype=np.int64)


def _plain(moment: Any) -> str:
    return str(moment).replace("T", " ")[5:16]


def _date(year: Any, month: Any, day: Any) -> Any:
    """The day of a month (both counted from 0) in a year, or the month's last."""
    here = year.astype("datetime64[M]") + month
    length = ((here + 1).astype("datetime64[D]") - here.astype("datetime64[D]")).astype(np.int64)
    return here.astype("datetime64[D]") + np.minimum(day, length - 1).astype("timedelta64[D]")


@njit(cache=True)
def _at(p, q, pv, rows, load_column, pv_column, p_rated_w, q_rated_var, pv_rated_w):  # type: ignore[no-untyped-def]
    """Means over the rows of the tables, scaled to each participant's rating: load in W and var, PV in W."""
    n = p_rated_w.size
    load_w, load_var, pv_w = np.zeros(n), np.zeros(n), np.zeros(n)
    for row in rows:
        for i in range(n):
            load_w[i] += p[row, load_column[i]]
            load_var[i] += q[row, load_column[i]]
            pv_w[i] += pv[row, pv_column[i]]
    for i in range(n):
        load_w[i] = load_w[i] / rows.size * p_rated_w[i]
        load_var[i] = load_var[i] / rows.size * q_rated_var[i]
        pv_w[i] = pv_w[i] / rows.size * pv_rated_w[i]
    return load_w, load_var, pv_w


class Profiles:
    """Actual load and PV of all participants at any step of the run."""

    def __init__(self, table: Table, scenario: Scenario, participants: Participants) -> None:
        """Map the whole run's steps at once, and the day before it for persistence forecasts.

        Raises:
            ProfileError: if the table does not cover the run.
        """
        self._people = participants
        self.step_s = scenario.step_s
        self._per_interval = scenario.interval_s // scenario.step_s
        mean = max(1, self.step_s // table.step_s)
        calendar = Calendar(table, scenario)
        self._before = 86400 // self.step_s
        count = scenario.n_intervals * self._per_interval
        first_s = 0
        if scenario.participants.forecast.kind == "persistence":
            count, first_s = count + self._before, -86400
        else:
            self._before = 0
        rows = calendar.rows(first_s, self.step_s // mean, count * mean).reshape(count, mean)
        self._rows = rows
        self._p, self._q, self._pv = (np.asarray(x, dtype=np.float64) for x in (table.p, table.q, table.pv))
        if self._pv.shape[1] == 0:
            self._pv = np.zeros((len(self._p), 1))
        self.heat = None
        if participants.heat is not None:
            clock = (self.step_s, self._per_interval, self._before)
            second = scenario.start.hour * 3600 + scenario.start.minute * 60 + scenario.start.second
            self.heat = HeatProfiles(participants.heat, rows, self._p, clock, second)
        nothing = np.zeros(0)
        self._last = -self._before - 1, (nothing, nothing, nothing)

    def at(self, step: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Load in W, load in var and PV in W of a step; (n,) each. The last step is kept: devices ask for what the
        forecast was made from.
        """
        if step != self._last[0]:
            people, rows = self._people, self._rows[step + self._before]
            columns = (people.load_profile, people.pv_profile)
            rated = (people.load_p_rated_w, people.load_q_rated_var, people.pv_rated_w)
            self._last = step, _at(self._p, self._q, self._pv, rows, *columns, *rated)
        return self._last[1]

    def load_w(self, step: int) -> FloatArray:
        """Active load of step ``step`` (of ``step_s``), >= 0; (n,)."""
        return self.at(step)[0]

    def load_var(self, step: int) -> FloatArray:
        """Reactive load of a step, positive inductive; (n,)."""
        return self.at(step)[1]

    def pv_w(self, step: int) -> FloatArray:
        """PV power the sun allows in a step, >= 0; (n,)."""
        return self.at(step)[2]

    def interval_means(self, interval: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Load in W, load in var and PV in W, means over a market interval (negative: before the run); (n,) each."""
        steps = range(interval * self._per_interval, (interval + 1) * self._per_interval)
        if len(steps) == 1:
            return self.at(steps[0])
        load_w, load_var, pv_w = np.sum([self.at(step) for step in steps], axis=0) / len(steps)
        return load_w, load_var, pv_w


class Forecaster:
    """What participants believe about an interval: perfect, yesterday's value, or the actual with an error."""

    def __init__(self, profiles: Profiles, scenario: Scenario, participants: Participants) -> None:
        from twin.streams import stream

        self._profiles = profiles
        self._section = scenario.participants.forecast
        self._per_day = 86400 // scenario.interval_s
        self._n = participants.n
        if self._section.kind == "noisy":
            self._house = [stream(scenario.seed, name, "forecast/load") for name in participants.names]
            self._sky = stream(scenario.seed, "*", "forecast/pv")  # clouds are everybody's
            self._day = -1
            self._load_factor = np.ones((self._per_day, self._n))
            self._pv_factor = np.ones(self._per_day)

    def _factors(self, interval: int) -> tuple[FloatArray, float]:
        day, slot = divmod(interval, self._per_day)
        while self._day < day:
            self._day += 1
            load, pv = self._section.load_error_percent / 100, self._section.pv_error_percent / 100
            draws = np.array([rng.standard_normal(self._per_day) for rng in self._house]).T
            self._load_factor = np.maximum(0.0, 1 + load * draws)
            self._pv_factor = np.maximum(0.0, 1 + pv * self._sky.standard_normal(self._per_day))
        return self._load_factor[slot], float(self._pv_factor[slot])

    def interval(self, interval: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Forecast load in W, load in var and PV in W for an interval; (n,) each."""
        if self._section.kind == "persistence":
            return self._profiles.interval_means(interval - self._per_day)
        load_w, load_var, pv_w = self._profiles.interval_means(interval)
        if self._section.kind == "perfect":
            return load_w, load_var, pv_w
        load_factor, pv_factor = self._factors(interval)
        return load_w * load_factor, load_var * load_factor, pv_w * pv_factor

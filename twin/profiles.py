"""Load and PV over the run: profile tables mapped onto the scenario's calendar."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
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


@dataclass(frozen=True)
class UserTable:
    """Profiles read from a user's file; same fields as ``Table``."""

    names: tuple[str, ...]
    p: FloatArray
    q: FloatArray
    pv_names: tuple[str, ...]
    pv: FloatArray
    step_s: int
    start: datetime
    zone: str = ""


class ProfileError(ValueError):
    """A profile file that cannot be used; the text says where and why."""


def read_user_table(path: Path) -> UserTable:
    """Read a CSV or Parquet file of profiles.

    The first column is ``time`` (ISO 8601, local, equal steps, no gaps). Other columns are named
    ``load:NAME`` or ``load_q:NAME`` (per unit of the rated active and reactive power, >= 0) and ``pv:NAME``
    (per unit of the PV rating, 0..1.2).

    Raises:
        ProfileError: with every problem of the file, one a line.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ProfileError(f"{path.name}: cannot be read: {error}") from None
    if "time" not in frame.columns:
        raise ProfileError(
            f"{path.name}: no column 'time'; got columns {', '.join(map(str, frame.columns[:5]))}"
        )
    time = pd.to_datetime(frame["time"], errors="coerce")
    problems = [
        f"line {i + 2}: time is not a date: {frame['time'].iloc[i]!r}"
        for i in np.flatnonzero(time.isna())[:5]
    ]
    if not problems:
        problems = _time_problems(time)
    kinds = {"load": [], "load_q": [], "pv": []}  # type: dict[str, list[str]]
    for column in frame.columns:
        kind, _, name = str(column).partition(":")
        if column == "time":
            continue
        if kind not in kinds or not name:
            problems.append(f"column {column!r}: allowed are load:NAME, load_q:NAME and pv:NAME")
            continue
        kinds[kind].append(name)
        problems.extend(_value_problems(frame[column], str(column), 1.2 if kind == "pv" else np.inf))
    problems.extend(f"column load_q:{n} has no load:{n}" for n in kinds["load_q"] if n not in kinds["load"])
    if not kinds["load"]:
        problems.append("no column load:NAME")
    if problems:
        raise ProfileError("\n".join(f"{path.name}: {p}" for p in problems))
    p = np.column_stack([frame[f"load:{n}"].to_numpy(float) for n in kinds["load"]])
    q = np.column_stack(
        [
            frame[f"load_q:{n}"].to_numpy(float) if n in kinds["load_q"] else np.zeros(len(frame))
            for n in kinds["load"]
        ]
    )
    pv = np.column_stack(
        [frame[f"pv:{n}"].to_numpy(float) for n in kinds["pv"]] or [np.zeros((len(frame), 0))]
    )
    step_s = int((time.iloc[1] - time.iloc[0]).total_seconds())
    return UserTable(tuple(kinds["load"]), p, q, tuple(kinds["pv"]), pv, step_s, time.iloc[0].to_pydatetime())


def _time_problems(time: Any) -> list[str]:
    if len(time) < 2:
        return ["needs at least two rows"]
    if time.dt.tz is not None:
        return [
            "column 'time' carries a time zone: write local time without one, the scenario's start has the zone"
        ]
    steps = time.diff().dt.total_seconds().to_numpy()[1:]
    if not steps[0] > 0:
        return ["line 3: time does not rise"]
    if steps[0] % 1:
        return [
            f"column 'time': steps are whole seconds, got {steps[0]:g} s; write dates such as 2016-01-18T00:15:00"
        ]
    bad = np.flatnonzero(steps != steps[0])
    return [
        f"line {i + 3}: gap or jump: {time.iloc[i]} is followed by {time.iloc[i + 1]}, "
        f"expected a step of {steps[0]:g} s"
        for i in bad[:5]
    ]


def _value_problems(column: Any, name: str, most: float) -> list[str]:
    try:
        values = column.to_numpy(float)
    except (TypeError, ValueError):
        return [f"column {name}: holds text where numbers are allowed"]
    bad = np.flatnonzero(~((values >= 0) & (values <= most) & np.isfinite(values)))
    span = "a number >= 0" if most == np.inf else f"0..{most:g}"
    return [f"column {name}, line {i + 2}: got {values[i]}, allowed {span} (no gaps)" for i in bad[:3]]


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
        """Same month, day and time of day in the table's first year; 29 February falls back to the 28th."""
        year = np.datetime64(self._table.start, "Y")
        month = moments.astype("datetime64[M]")
        in_year = month - month.astype("datetime64[Y]").astype("datetime64[M]")
        day = (moments.astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)
        here = year.astype("datetime64[M]") + in_year
        length = ((here + 1).astype("datetime64[D]") - here.astype("datetime64[D]")).astype(np.int64)
        date = here.astype("datetime64[D]") + np.minimum(day, length - 1).astype("timedelta64[D]")
        second = (moments - moments.astype("datetime64[D]")).astype(np.int64)
        start = np.datetime64(self._table.start, "s")
        row = ((date.astype("datetime64[s]") - start).astype(np.int64) + second) // self._table.step_s
        if row.min() < 0 or row.max() >= self._n:
            raise ProfileError(
                f"the profiles hold {self._n} steps of {self._table.step_s} s from {self._table.start}; "
                "the scenario's dates fall outside: give a whole year, or repeat_year: false"
            )
        return np.asarray(row, dtype=np.int64)


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

    def _mean(self, table: FloatArray, step: int, columns: IntArray) -> FloatArray:
        rows = self._rows[step + self._before]
        if len(rows) == 1:
            return np.asarray(table[rows[0]][columns])
        return np.asarray(table[rows].mean(axis=0)[columns])

    def load_w(self, step: int) -> FloatArray:
        """Active load of step ``step`` (of ``step_s``), >= 0; (n,)."""
        return self._mean(self._p, step, self._people.load_profile) * self._people.load_p_rated_w

    def load_var(self, step: int) -> FloatArray:
        """Reactive load of a step, positive inductive; (n,)."""
        return self._mean(self._q, step, self._people.load_profile) * self._people.load_q_rated_var

    def pv_w(self, step: int) -> FloatArray:
        """PV power the sun allows in a step, >= 0; (n,)."""
        return self._mean(self._pv, step, self._people.pv_profile) * self._people.pv_rated_w

    def interval_means(self, interval: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Load in W, load in var and PV in W, means over a market interval (negative: before the run); (n,) each."""
        steps = range(interval * self._per_interval, (interval + 1) * self._per_interval)
        if len(steps) == 1:
            return self.load_w(steps[0]), self.load_var(steps[0]), self.pv_w(steps[0])
        k = len(steps)
        return (
            sum((self.load_w(s) for s in steps), np.zeros(self._people.n)) / k,
            sum((self.load_var(s) for s in steps), np.zeros(self._people.n)) / k,
            sum((self.pv_w(s) for s in steps), np.zeros(self._people.n)) / k,
        )


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

"""Profiles of the user's own, from a CSV or Parquet file."""

import csv
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from adapters.grid.feeder import FloatArray
from twin.profiles import ProfileError

KINDS = ("load", "load_q", "pv")
ZONED = (
    "column 'time' carries a time zone or offset: write the time without one, at the offset of the scenario's start "
    "all through the file (in pandas: time.dt.tz_convert('Etc/GMT-1').dt.tz_localize(None) for +01:00)"
)
CLOCKS = " (are the clocks changed here? Write one offset all through the file, winter time for example)"
_ZONE = re.compile(r":\d\d(?:[.,]\d+)?\s*(?:Z|[+-]\d\d(?::?\d\d)?)$")


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
    if frame["time"].dtype == object and frame["time"].astype(str).str.contains(_ZONE).any():
        # of one offset or of several: pandas warns of the latter, and gives up on them later
        problems = [ZONED]
        time = frame["time"]
    else:
        time = pd.to_datetime(frame["time"], errors="coerce")
        problems = [
            f"line {i + 2}: time is not a date: {frame['time'].iloc[i]!r}"
            for i in np.flatnonzero(time.isna())[:5]
        ]
    if not problems:
        problems = _time_problems(time)
    names, wrong = _columns(frame)
    problems += _twice(path) + wrong
    if problems:
        raise ProfileError("\n".join(f"{path.name}: {p}" for p in problems))

    def columns(kind: str, wanted: list[str]) -> FloatArray:
        """Columns of a kind, zero where the file has none of that name; (n_steps, len(wanted))."""
        none = np.zeros(len(frame))
        found = [frame[f"{kind}:{n}"].to_numpy(float) if n in names[kind] else none for n in wanted]
        return np.column_stack(found) if found else np.zeros((len(frame), 0))

    loads, plants = names["load"], names["pv"]
    step_s = int((time.iloc[1] - time.iloc[0]).total_seconds())
    return UserTable(
        tuple(loads),
        columns("load", loads),
        columns("load_q", loads),
        tuple(plants),
        columns("pv", plants),
        step_s,
        time.iloc[0].to_pydatetime(),
    )


def _twice(path: Path) -> list[str]:
    """Columns that a CSV file has twice: pandas would give the second another name without a word."""
    if path.suffix == ".parquet":
        return []  # which cannot
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file), [])
    counts = Counter(header)
    return [f"column {name!r} is there {n} times" for name, n in counts.items() if n > 1]


def _columns(frame: Any) -> tuple[dict[str, list[str]], list[str]]:
    """Profile names by kind, and what is wrong with columns and their values."""
    names: dict[str, list[str]] = {kind: [] for kind in KINDS}
    problems: list[str] = []
    for column in frame.columns:
        kind, _, name = str(column).partition(":")
        if column == "time":
            continue
        if kind not in KINDS or not name:
            problems.append(f"column {column!r}: allowed are load:NAME, load_q:NAME and pv:NAME")
            continue
        names[kind].append(name)
        problems.extend(_value_problems(frame[column], str(column), 1.2 if kind == "pv" else np.inf))
    problems.extend(f"column load_q:{n} has no load:{n}" for n in names["load_q"] if n not in names["load"])
    if not names["load"]:
        problems.append("no column load:NAME")
    return names, problems


def _time_problems(time: Any) -> list[str]:
    if len(time) < 2:
        return ["needs at least two rows"]
    if time.dt.tz is not None:
        return [ZONED]
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
        f"expected a step of {steps[0]:g} s{CLOCKS if abs(steps[i] - steps[0]) == 3600 else ''}"
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

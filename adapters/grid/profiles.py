"""The profiles that a case brings along, as arrays per unit of what they scale."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from adapters.grid.errors import GridInputError
from adapters.grid.feeder import Feeder, FloatArray

ZONE = "Europe/Berlin"


@dataclass(frozen=True)
class ProfileTable:
    """Time series of a case.

    ``p`` and ``q`` (n_steps, n_names): active and reactive power of loads, relative to a load's rated active
    and rated reactive power (SimBench scales them separately), positive for consumption.
    ``pv`` (n_steps, n_pv_names): generation relative to a plant's rated power, positive into the grid.
    Row i describes the ``step_s`` seconds from ``start`` plus i steps of elapsed time. ``start`` is the naive
    local time of ``zone``. SimBench's stamps are German local time: they skip an hour in March and repeat one
    in October, so a clock time has to be turned into elapsed time before it is looked up (``row_at``).
    """

    names: tuple[str, ...]
    p: FloatArray
    q: FloatArray
    pv_names: tuple[str, ...]
    pv: FloatArray
    step_s: int
    start: datetime
    zone: str = ZONE

    def row_at(self, when: datetime) -> int:
        """The row that describes the time-zone aware ``when``; outside 0..n_steps-1 where there is none."""
        start = self.start.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)
        return int((when.astimezone(UTC) - start).total_seconds() // self.step_s)

    @property
    def n_steps(self) -> int:
        """Number of time steps."""
        return len(self.p)


def case_profiles(feeder: Feeder) -> ProfileTable | None:
    """The SimBench profiles of a feeder, or ``None`` where the case has none.

    Raises:
        GridInputError: profiles with gaps, or with a step that is not constant.
    """
    frames = getattr(feeder.native, "profiles", None) if hasattr(feeder.native, "bus") else None
    if not isinstance(frames, dict) or not len(frames.get("load", ())):
        return None
    load = frames["load"]
    names = tuple(str(c).removesuffix("_pload") for c in load.columns if str(c).endswith("_pload"))
    start, step_s = _clock(load["time"])
    plants = [
        frames[table].drop(columns="time") for table in ("renewables", "powerplants") if table in frames
    ]
    table = ProfileTable(
        names=names,
        p=_values(load[[f"{name}_pload" for name in names]]),
        q=_values(load[[f"{name}_qload" for name in names]]),
        pv_names=tuple(str(column) for frame in plants for column in frame.columns),
        pv=np.concatenate([_values(frame) for frame in plants], axis=1)
        if plants
        else np.zeros((len(load), 0)),
        step_s=step_s,
        start=start,
    )
    for what, owners in (("load", feeder.points), ("PV", feeder.assets)):
        known = set(table.names if what == "load" else table.pv_names)
        for owner in owners:
            if owner.profile and getattr(owner, "kind", "pv") == "pv" and owner.profile not in known:
                raise GridInputError(
                    f"{owner.name} names the {what} profile {owner.profile}, which is missing."
                )
    return table


def _clock(column: Any) -> tuple[datetime, int]:
    import pandas as pd

    local = pd.DatetimeIndex(pd.to_datetime(column, format="%d.%m.%Y %H:%M"))
    elapsed = local.tz_localize(ZONE, ambiguous="infer").tz_convert("UTC")
    steps = np.unique(np.diff(elapsed.to_numpy()))
    if len(steps) != 1:
        raise GridInputError(
            f"the time stamps of the case's profiles are {len(steps)} different steps apart."
        )
    return local[0].to_pydatetime(), int(steps[0] / np.timedelta64(1, "s"))


def _values(frame: Any) -> FloatArray:
    values: FloatArray = frame.to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=0))
    if len(bad):
        raise GridInputError(f"profile {frame.columns[bad[0]]} of the case has gaps.")
    return np.ascontiguousarray(values)

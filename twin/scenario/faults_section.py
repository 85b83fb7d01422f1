"""What goes wrong at set times, in a scenario file: on the wire of a bench's device, or in a meter."""

from datetime import datetime, timedelta
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from rigs.faults import FaultKind
from twin.scenario.fields import Section

MeterKind = Literal[
    "meter_lie",  # registers factor times the truth
    "meter_frozen",  # repeats its last register reading
    "meter_silent",  # gives no reading
    "meter_replay",  # gives the readings of lag_s ago
]
"""Faults of a participant's own meter, whether or not a bench serves it."""
METER_KINDS: tuple[str, ...] = get_args(MeterKind)

_NEEDS = {
    "late": "delay_s",
    "lie": "factor",
    "meter_lie": "factor",
    "drift": "drift_percent_per_h",
    "meter_replay": "lag_s",
}
_MAY = {**_NEEDS, "sf_jump": "decades"}
_CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"
_MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$"


class FaultSection(Section):
    """One fault of one device, from a time on, for a while."""

    target: str = Field(
        min_length=1,
        description="Role of an emulated device of the bench, of a real one for mute, late, reset, kick and busy, or "
        "'<participant>.meter' for the meter_ kinds; with settlement.oracles also '<participant>.pv.meter' and "
        "'<participant>.battery.meter', where both stand behind one point.",
    )
    kind: FaultKind | MeterKind = Field(description="What goes wrong; see docs/how-to/devices.md for each.")
    at: str | None = Field(
        None,
        pattern=f"{_CLOCK}|{_MOMENT}",
        description="When it begins: a local time such as '17:30' (the first in the run), or a whole date and time "
        "with its zone.",
    )
    at_s: float | None = Field(
        None, ge=0, description="When it begins, after the start of the run; neither key: from the start."
    )
    for_s: float | None = Field(None, gt=0, description="How long it lasts; none: until the run ends.")
    factor: float | None = Field(
        None, gt=0, le=100, description="lie, meter_lie: what is registered, per truth."
    )
    delay_s: float | None = Field(None, gt=0, le=600, description="late: how long an answer is held back.")
    drift_percent_per_h: float | None = Field(
        None, ge=-100, le=1000, description="drift: growth of what is registered."
    )
    lag_s: int | None = Field(None, ge=60, description="meter_replay: age of the readings that are repeated.")
    decades: Literal[-3, -2, -1, 1, 2, 3] | None = Field(
        None, description="sf_jump: powers of ten by which the scale factor of power jumps; none: 1."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.at is not None and self.at_s is not None:
            raise ValueError(f"at_s ({self.at_s:.15g}) must not be given together with at")
        needed = _NEEDS.get(self.kind)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"kind ({self.kind}) needs {needed}")
        for key in dict.fromkeys(_MAY.values()):
            if getattr(self, key) is not None and _MAY.get(self.kind) != key:
                kinds = " or ".join(kind for kind, of in _MAY.items() if of == key)
                raise ValueError(f"{key} ({getattr(self, key):.15g}) is for kind {kinds}, not {self.kind}")
        return self

    @property
    def value(self) -> float:
        """The number that belongs to the kind, in the unit that ``rigs.faults`` takes it in."""
        given = getattr(self, _MAY[self.kind]) if self.kind in _MAY else None
        if given is None:
            return 1.0
        return float(given) / 100 if self.kind == "drift" else float(given)

    def from_s(self, start: datetime) -> float:
        """When it begins, in s after the start of the run."""
        if self.at is None:
            return self.at_s or 0.0
        if len(self.at) == 5:
            at = start.replace(hour=int(self.at[:2]), minute=int(self.at[3:]), second=0)
            return (at - start if at >= start else at + timedelta(days=1) - start).total_seconds()
        return (datetime.fromisoformat(self.at) - start).total_seconds()

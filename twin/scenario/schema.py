"""The scenario file as typed models. A key that carries a number carries its unit; unknown keys are errors.

Descriptions are shown in editors (`twin schema`) and in error messages, so they are written for a reader of
scenario files, not for a programmer.
"""

from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from twin.scenario.coordination_section import CoordinationSection
from twin.scenario.devices_section import DevicesSection
from twin.scenario.faults_section import FaultSection
from twin.scenario.fields import Section
from twin.scenario.grid_section import GridSection, ProfilesSection
from twin.scenario.limits_section import LimitsSection
from twin.scenario.market_section import (
    MarketSection,
)
from twin.scenario.participants_section import ParticipantsSection
from twin.scenario.settlement_section import SettlementSection

ItemName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
"""Names that become file and folder names."""


def _no_timestamp(value: Any) -> Any:
    """Refuse numbers, which pydantic would take for seconds since 1970."""
    if isinstance(value, (int, float)):
        raise PydanticCustomError("datetime_type", "a number is no date")
    return value


class Expectation(Section):
    """A KPI the author expects; a miss fails the run."""

    kpi: str = Field(description="Name of a number in kpis.json.")
    min: float | None = Field(None, description="Least value that passes.")
    max: float | None = Field(None, description="Greatest value that passes.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and not self.min <= self.max:
            raise ValueError(f"min ({self.min:.15g}) must not be above max ({self.max:.15g})")
        return self


class Variant(Section):
    """Overrides of the scenario's own keys, compared in one report."""

    title: str | None = Field(None, description="Name in the report.")
    judged: bool = Field(False, description="The verdict is that of this variant. Exactly one is judged.")
    set: dict[str, Any] = Field(default_factory=dict, description="'key.path: value' overrides.")


def _fixed_offset(value: datetime) -> datetime:
    """The same moment with the standard library's time zone: every interval's time is reckoned from it."""
    return value.replace(tzinfo=timezone(value.utcoffset() or timedelta()))


class OutputsSection(Section):
    """What is written."""

    participants: bool = Field(
        True, description="participants.parquet: one row per participant and interval."
    )
    report: bool = Field(True, description="report.html.")


class Scenario(Section):
    """A whole scenario."""

    name: ItemName = Field(description="Short name: lower-case letters, digits, - and _.")
    title: str = Field("", description="Headline of the report.")
    description: str = Field("", description="What the scenario shows, in a few sentences.")
    start: Annotated[AwareDatetime, BeforeValidator(_no_timestamp), AfterValidator(_fixed_offset)] = Field(
        strict=False, description="Local time of the start, with its time zone, at a full interval."
    )
    duration_days: float = Field(gt=0, le=3660, description="Length of the run; rounded to whole intervals.")
    interval_s: int = Field(900, ge=60, le=3600, description="Market interval; divides an hour.")
    substep_s: int | None = Field(
        None, ge=1, description="Finer step of devices and plant; divides interval_s."
    )
    seed: int = Field(ge=0, le=2**63 - 1, description="All randomness of the run comes from it.")
    currency: str = Field(
        "EUR", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of all money; the keys with _eur_ are in it."
    )
    judge: Literal["trades", "feeder", "both"] = Field(
        "trades", description="What the verdict is about: what trades did, the feeder without them, or both."
    )
    grid: GridSection
    profiles: ProfilesSection = Field(default_factory=ProfilesSection)
    participants: ParticipantsSection = Field(default_factory=ParticipantsSection)
    market: MarketSection = Field(default_factory=MarketSection)
    coordination: CoordinationSection = Field(default_factory=CoordinationSection)
    devices: DevicesSection = Field(default_factory=DevicesSection)
    faults: list[FaultSection] = Field(
        default_factory=list, description="What goes wrong at set times, on emulated devices and in meters."
    )
    settlement: SettlementSection = Field(default_factory=SettlementSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    expectations: list[Expectation] = Field(default_factory=list, description="Numbers the author expects.")
    variants: dict[ItemName, Variant] = Field(
        default_factory=dict,
        description="Runs of the same scenario with other keys, side by side in one report.",
    )
    outputs: OutputsSection = Field(default_factory=OutputsSection)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if 3600 % self.interval_s:
            raise ValueError(f"interval_s ({self.interval_s}) must divide 3600")
        if self.substep_s is not None and self.interval_s % self.substep_s:
            raise ValueError(f"substep_s ({self.substep_s}) must divide interval_s ({self.interval_s})")
        if self.variants and sum(v.judged for v in self.variants.values()) != 1:
            raise ValueError("variants need judged: true in exactly one of them")
        if self.n_intervals < 1:
            raise ValueError(
                f"duration_days ({self.duration_days:.15g}) must not be shorter than an interval"
            )
        if (self.start.minute * 60 + self.start.second) % self.interval_s or self.start.microsecond:
            raise ValueError(
                f"start ({self.start.isoformat()}) must lie on a full interval of {self.interval_s} s"
            )
        if (self.limits.loading_average_s or self.step_s) % self.step_s:
            raise ValueError(
                f"limits.loading_average_s ({self.limits.loading_average_s}) must be a multiple of the step "
                f"({self.step_s} s)"
            )
        if self.settlement.batch_s % self.interval_s:
            raise ValueError(f"settlement.batch_s must be a multiple of interval_s ({self.interval_s})")
        return self

    @property
    def n_intervals(self) -> int:
        """Number of market intervals (whole; the duration is rounded to them)."""
        return round(self.duration_days * 86400 / self.interval_s)

    @property
    def step_s(self) -> int:
        """Step of devices and plant in seconds."""
        return self.substep_s or self.interval_s

    def at(self, interval: int) -> datetime:
        """Local time at which an interval begins."""
        return self.start + timedelta(seconds=interval * self.interval_s)

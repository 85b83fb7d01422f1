"""The scenario file as typed models. A key that carries a number carries its unit; unknown keys are errors.

Descriptions are shown in editors (`twin schema`) and in error messages, so they are written for a reader of
scenario files, not for a programmer.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from twin.scenario.assets import Asset, BatterySection, EvSection, Placement, PvSection
from twin.scenario.fields import EngineName, Hour, Percent, Price, Section, Watt, duplicates
from twin.scenario.market_section import (
    AgreementSection,
    IndexSection,
    MarketSection,
    PreferenceSection,
    SupplierSection,
)

__all__ = [
    "AgreementSection",
    "Asset",
    "BatterySection",
    "EngineName",
    "EvSection",
    "Hour",
    "IndexSection",
    "MarketSection",
    "Percent",
    "Placement",
    "PreferenceSection",
    "Price",
    "PvSection",
    "Scenario",
    "Section",
    "SupplierSection",
    "Watt",
]

ItemName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
"""Names that become file and folder names."""


def _no_timestamp(value: Any) -> Any:
    """Refuse numbers, which pydantic would take for seconds since 1970."""
    if isinstance(value, (int, float)):
        raise PydanticCustomError("datetime_type", "a number is no date")
    return value


class PlantSection(Section):
    """What the real feeder is, where it differs from what the operator's model says."""

    engine: EngineName | None = Field(None, description="Engine of the plant; default: grid.engine.")
    line_impedance_factor: float = Field(1.0, gt=0, le=10, description="Multiplies r and x of every line.")
    source_voltage_pu: float | None = Field(None, gt=0.5, lt=1.5, description="Voltage of the upstream grid.")
    tap_pos: int | None = Field(None, ge=-50, le=50, description="Position of every transformer tap.")


class GridSection(Section):
    """The feeder and the engines that solve it."""

    source: str = Field(
        description="'simbench:CODE', 'pandapower:FUNCTION' (of pandapower.networks), a pandapower JSON file "
        "or an OpenDSS .dss file (which only opendss solves)."
    )
    engine: EngineName = Field(
        "power_grid_model", description="Engine of the gate, and of the plant by default."
    )
    plant: PlantSection = Field(default_factory=PlantSection)


class ProfilesSection(Section):
    """Load and PV profiles. Columns are profile names, values per unit of the rated power."""

    source: str = Field("grid", description="'grid' (those of the SimBench case) or a CSV or Parquet file.")
    repeat_year: bool = Field(
        True, description="Map the scenario's dates onto the profile's year by month, day and time of day."
    )


class ConnectionSection(Section):
    """What every participant may do without asking, and what happens to surplus it could not sell."""

    firm_import_w: Watt = Field(
        4200, description="Power a steerable load may always draw (4.2 kW: EnWG 14a)."
    )
    firm_export_w: Watt = Field(5000, description="Power a participant may always export.")
    surplus: Literal["feed_in", "curtail"] = Field(
        "feed_in", description="Unsold surplus goes to the supplier, or is curtailed."
    )


class ForecastSection(Section):
    """What participants and gate believe about the coming interval; devices draw the actual values."""

    kind: Literal["perfect", "persistence", "noisy"] = Field(
        "noisy",
        description="perfect: gate and plant agree by construction; persistence: same time yesterday.",
    )
    load_error_percent: Percent = Field(10, description="Standard deviation of the load error (noisy).")
    pv_error_percent: Percent = Field(15, description="Standard deviation of the PV error (noisy).")


class ParticipantsSection(Section):
    """Who trades. Every connection point of the feeder is a participant; assets are placed with the seed."""

    include: Literal["all"] | Annotated[list[str], Field(min_length=1)] = Field(
        "all", description="Connection points that take part in trading: all, or their names."
    )
    case_assets: bool = Field(True, description="Use the PV plants and batteries that the case itself holds.")
    connection: ConnectionSection = Field(default_factory=ConnectionSection)
    forecast: ForecastSection = Field(default_factory=ForecastSection)
    assets: list[Asset] = Field(default_factory=list, description="What is placed at the participants.")
    bid_spread_percent: Percent = Field(
        30,
        description="How far below the retail price the lowest bid of a house lies, of the band to feed-in.",
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        if isinstance(self.include, list) and duplicates(self.include):
            raise ValueError(f"include names {duplicates(self.include)[0]!r} twice")
        return self


class CoordinationSection(Section):
    """Who looks after the feeder."""

    mode: Literal["none", "gate", "envelope"] = Field(
        "gate",
        description="none: trades are only judged; gate: cut to fit; envelope: capped an interval ahead.",
    )
    margin_v_pu: float = Field(0.001, ge=0, le=0.05, description="The gate's margin to the voltage limits.")
    weights: Literal["value", "equal"] = Field(
        "value", description="What the gate keeps: the trades of highest value, or the same share of all."
    )
    robust: int = Field(
        0, ge=0, le=2, description="Accepted trades keep the limits also if this many deliveries fail."
    )
    reference: bool = Field(
        False,
        description="Also solve each interval centrally on the same orders: how far is this from the best?",
    )
    envelope_allocation: Literal["proportional", "maximum", "equal"] = Field(
        "proportional", description="How room is shared out (envelope): by size, most in total, or equally."
    )
    margin_loading_percent: float = Field(
        1.0, ge=0, le=50, description="The gate's margin to loading limits."
    )


class DevicesSection(Section):
    """Which roles are served by a device on a wire instead of the native fleet."""

    bench: str | None = Field(None, description="Bench file, relative to the scenario; --bench overrides it.")


class SettlementSection(Section):
    """Where the money is settled."""

    chain: Literal["embedded", "none"] = Field(
        "embedded", description="embedded: on a chain inside the process; none: in the run folder only."
    )
    batch_s: int = Field(86400, gt=0, description="One batch per this many seconds.")


class LimitsSection(Section):
    """What the feeder is judged against."""

    voltage_min_pu: float = Field(0.9, gt=0, lt=1.5, description="Lowest voltage, of the nominal.")
    voltage_max_pu: float = Field(1.1, gt=0, lt=1.5, description="Highest voltage, of the nominal.")
    line_loading_percent: float = Field(
        100, gt=0, le=1000, description="Highest current of a line, of its rating."
    )
    transformer_loading_percent: float = Field(
        100, gt=0, le=1000, description="Highest apparent power of a transformer, of its rating."
    )
    voltage_unbalance_percent: float | None = Field(
        None, gt=0, le=100, description="Highest negative-sequence voltage, of the positive (EN 50160: 2)."
    )
    voltage_rise_percent: float | None = Field(
        None, gt=0, le=100, description="Highest rise of a voltage by trades (VDE-AR-N 4105: 3)."
    )
    reverse_power_w: float | None = Field(
        None, ge=0, le=1e9, description="Most power that may flow into the upstream grid."
    )

    @model_validator(mode="after")
    def _band(self) -> Self:
        if not self.voltage_min_pu < self.voltage_max_pu:
            raise ValueError(
                f"voltage_min_pu ({self.voltage_min_pu:.15g}) must be below "
                f"voltage_max_pu ({self.voltage_max_pu:.15g})"
            )
        return self


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
    start: Annotated[AwareDatetime, BeforeValidator(_no_timestamp)] = Field(
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

"""The scenario file as typed models. Every key that carries a number carries its unit; unknown keys are errors.

Descriptions are shown in editors (`twin schema`) and in error messages, so they are written for a reader of
scenario files, not for a programmer.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Watt = Annotated[float, Field(ge=0, le=1e8)]
Percent = Annotated[float, Field(ge=0, le=100)]
Price = Annotated[Decimal, Field(ge=-100, le=1000, max_digits=10, decimal_places=6)]
Hour = Annotated[float, Field(ge=0, lt=24)]
EngineName = Literal["power_grid_model", "pandapower"]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PlantSection(Section):
    """What the real feeder is, where it differs from what the operator's model says."""

    engine: EngineName | None = Field(None, description="Engine of the plant; default: grid.engine.")
    line_impedance_factor: float = Field(1.0, gt=0, le=10, description="Multiplies r and x of every line.")
    source_voltage_pu: float | None = Field(None, gt=0.5, lt=1.5, description="Voltage of the upstream grid.")
    tap_pos: int | None = Field(None, ge=-50, le=50, description="Position of every transformer tap.")


class GridSection(Section):
    """The feeder and the engines that solve it."""

    source: str = Field(
        description="'simbench:CODE', 'pandapower:FUNCTION' (of pandapower.networks) or a pandapower JSON file."
    )
    engine: EngineName = Field("power_grid_model", description="Engine of the gate, and of the plant by default.")
    plant: PlantSection = Field(default_factory=PlantSection)


class ProfilesSection(Section):
    """Load and PV profiles. Columns are profile names, values per unit of the rated power."""

    source: str = Field("grid", description="'grid' (those of the SimBench case) or a CSV or Parquet file.")
    repeat_year: bool = Field(
        True, description="Map the scenario's dates onto the profile's year by month, day and time of day."
    )


class ConnectionSection(Section):
    """What every participant may do without asking, and what happens to surplus it could not sell."""

    firm_import_w: Watt = Field(4200, description="Power a steerable load may always draw (4.2 kW: EnWG 14a).")
    firm_export_w: Watt = Field(5000, description="Power a participant may always export.")
    surplus: Literal["feed_in", "curtail"] = Field(
        "feed_in", description="Unsold surplus goes to the supplier, or is curtailed."
    )


class ForecastSection(Section):
    """What participants and gate believe about the coming interval; devices draw the actual values."""

    kind: Literal["perfect", "persistence", "noisy"] = Field(
        "noisy", description="perfect: gate and plant agree by construction; persistence: same time yesterday."
    )
    load_error_percent: Percent = Field(10, description="Standard deviation of the load error (noisy).")
    pv_error_percent: Percent = Field(15, description="Standard deviation of the PV error (noisy).")


class Placement(Section):
    """Which connection points get an asset: a share, a number, or a list of names."""

    share_percent: Percent | None = Field(None, description="Share of the eligible connection points.")
    count: int | None = Field(None, ge=0, description="Number of connection points.")
    at: list[str] | None = Field(None, description="Names of connection points.")
    where: Literal["anywhere", "near_transformer", "far_from_transformer"] = Field(
        "anywhere", description="Draw from all points, or from the half nearest to or farthest from the transformer."
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Placement":
        if sum(x is not None for x in (self.share_percent, self.count, self.at)) != 1:
            raise ValueError("give exactly one of share_percent, count or at")
        return self


class EvSection(Placement):
    """Electric cars that come home in the evening and must be full by morning."""

    kind: Literal["ev"]
    p_max_w: Watt = 11000
    capacity_wh: float = Field(60000, gt=0, le=1e7)
    efficiency: float = Field(0.92, gt=0, le=1, description="Grid to battery.")
    arrival_h: Hour = Field(17.5, description="Mean local time of arrival.")
    departure_h: Hour = Field(7.0, description="Mean local time of departure.")
    spread_h: float = Field(1.0, ge=0, le=6, description="Standard deviation of both times.")
    energy_need_wh: float = Field(15000, ge=0, description="Mean energy to charge at arrival.")
    strategy: Literal["asap", "cheap"] = Field(
        "asap", description="asap: as fast as possible; cheap: waits for a low price, full by departure."
    )


class BatterySection(Placement):
    """Stationary batteries that cover their own house first and may sell the rest."""

    kind: Literal["battery"]
    p_max_w: Watt = 5000
    capacity_wh: float = Field(10000, gt=0, le=1e8)
    efficiency: float = Field(0.95, gt=0, le=1, description="One way.")
    soc_initial: float = Field(0.5, ge=0, le=1)
    soc_min: float = Field(0.1, ge=0, le=1)
    soc_max: float = Field(0.95, ge=0, le=1)
    strategy: Literal["self_consumption", "sell_evening"] = Field(
        "sell_evening", description="sell_evening: offers what it does not need itself between sell_from_h and sell_to_h."
    )
    sell_from_h: Hour = 17
    sell_to_h: Hour = 22
    reserve_price_eur_per_kwh: Price = Field(Decimal("0.14"), description="Least it sells for.")
    recharge_from_h: Hour = Field(1, description="From here it may buy energy up to soc_max ...")
    recharge_to_h: Hour = Field(5, description="... until here.")

    @model_validator(mode="after")
    def _soc_order(self) -> "BatterySection":
        if not self.soc_min < self.soc_max:
            raise ValueError(f"soc_min ({self.soc_min}) must be below soc_max ({self.soc_max})")
        return self


class PvSection(Placement):
    """PV plants. The profile is one of the case or of the user's own file, per unit of p_max_w."""

    kind: Literal["pv"]
    p_max_w: Watt = 8000
    profile: str | None = Field(None, description="Profile name; default: the first PV profile of the source.")


Asset = Annotated[EvSection | BatterySection | PvSection, Field(discriminator="kind")]


class ParticipantsSection(Section):
    """Who trades. Every connection point of the feeder is a participant; assets are placed with the seed."""

    include: Literal["all"] | list[str] = Field("all", description="Connection points that take part in trading.")
    case_assets: bool = Field(True, description="Use the PV plants and batteries that the case itself holds.")
    connection: ConnectionSection = Field(default_factory=ConnectionSection)
    forecast: ForecastSection = Field(default_factory=ForecastSection)
    assets: list[Asset] = Field(default_factory=list)
    bid_spread_percent: Percent = Field(
        30, description="How far below the retail price the lowest bid of a house lies, of the band to feed-in."
    )


class SupplierSection(Section):
    """The supplier's prices; a local price lies between them."""

    retail_price_eur_per_kwh: Price = Decimal("0.32")
    feed_in_price_eur_per_kwh: Price = Decimal("0.08")
    night_price_eur_per_kwh: Price | None = Field(None, description="Retail price from night_from_h to night_to_h.")
    night_from_h: Hour = 0
    night_to_h: Hour = 6

    @model_validator(mode="after")
    def _band(self) -> "SupplierSection":
        for key in ("retail_price_eur_per_kwh", "night_price_eur_per_kwh"):
            value = getattr(self, key)
            if value is not None and value < self.feed_in_price_eur_per_kwh:
                raise ValueError(f"{key} ({value}) must not be below feed_in_price_eur_per_kwh")
        return self


class MarketSection(Section):
    """How local trades come about."""

    mechanism: str = Field("call_auction", description="'none' (supplier only) or the name of a mechanism.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="The mechanism's own parameters.")
    supplier: SupplierSection = Field(default_factory=SupplierSection)


class CoordinationSection(Section):
    """Who looks after the feeder."""

    mode: Literal["none", "gate"] = Field("gate", description="none: trades are only judged; gate: cut to fit.")
    margin_v_pu: float = Field(0.001, ge=0, le=0.05, description="The gate's margin to the voltage limits.")
    margin_loading_percent: float = Field(1.0, ge=0, le=50, description="The gate's margin to loading limits.")


class DevicesSection(Section):
    """Which roles are served by a device on a wire instead of the native fleet."""

    bench: str | None = Field(None, description="Bench file, relative to the scenario; --bench overrides it.")


class SettlementSection(Section):
    """Where the money is settled."""

    chain: Literal["embedded", "none"] = "embedded"
    batch_s: int = Field(86400, gt=0, description="One batch per this many seconds.")


class LimitsSection(Section):
    """What the feeder is judged against."""

    voltage_min_pu: float = Field(0.9, gt=0, lt=1.5)
    voltage_max_pu: float = Field(1.1, gt=0, lt=1.5)
    line_loading_percent: float = Field(100, gt=0, le=1000)
    transformer_loading_percent: float = Field(100, gt=0, le=1000)

    @model_validator(mode="after")
    def _band(self) -> "LimitsSection":
        if not self.voltage_min_pu < self.voltage_max_pu:
            raise ValueError("voltage_min_pu must be below voltage_max_pu")
        return self


class Expectation(Section):
    """A KPI the author expects; a miss fails the run."""

    kpi: str
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> "Expectation":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        return self


class Variant(Section):
    """Overrides of the scenario's own keys, compared in one report."""

    title: str | None = None
    judged: bool = Field(False, description="The verdict is that of this variant. Exactly one is judged.")
    set: dict[str, Any] = Field(default_factory=dict, description="'key.path: value' overrides.")


class OutputsSection(Section):
    """What is written."""

    participants: bool = Field(True, description="participants.parquet: one row per participant and interval.")
    report: bool = True


class Scenario(Section):
    """A whole scenario."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str = ""
    description: str = ""
    start: AwareDatetime = Field(description="Start with its time zone, e.g. 2016-01-18T12:00:00+01:00.")
    duration_days: float = Field(gt=0, le=3660, description="Length of the run, in days.")
    interval_s: int = Field(900, ge=60, le=3600, description="Market interval; divides an hour.")
    substep_s: int | None = Field(None, ge=1, description="Finer step of devices and plant; divides interval_s.")
    seed: int = Field(ge=0, lt=2**63)
    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$")
    judge: Literal["trades", "feeder", "both"] = "trades"
    grid: GridSection
    profiles: ProfilesSection = Field(default_factory=ProfilesSection)
    participants: ParticipantsSection = Field(default_factory=ParticipantsSection)
    market: MarketSection = Field(default_factory=MarketSection)
    coordination: CoordinationSection = Field(default_factory=CoordinationSection)
    devices: DevicesSection = Field(default_factory=DevicesSection)
    settlement: SettlementSection = Field(default_factory=SettlementSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    expectations: list[Expectation] = Field(default_factory=list)
    variants: dict[str, Variant] = Field(default_factory=dict)
    outputs: OutputsSection = Field(default_factory=OutputsSection)

    @model_validator(mode="after")
    def _whole(self) -> "Scenario":
        if 3600 % self.interval_s:
            raise ValueError(f"interval_s ({self.interval_s}) must divide 3600")
        if self.substep_s is not None and self.interval_s % self.substep_s:
            raise ValueError(f"substep_s ({self.substep_s}) must divide interval_s ({self.interval_s})")
        if self.variants and sum(v.judged for v in self.variants.values()) != 1:
            raise ValueError("exactly one variant must have judged: true")
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
        from datetime import timedelta

        return self.start + timedelta(seconds=interval * self.interval_s)

"""What a scenario places at the participants beyond the case's own assets: cars, batteries, PV."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from twin.scenario.fields import Fraction, Hour, Percent, Price, Section, Watt, duplicates


class Placement(Section):
    """Which connection points get an asset: a share, a number, or a list of names."""

    share_percent: Percent | None = Field(
        None, description="As many as this share of all who trade; drawn from those that qualify."
    )
    count: int | None = Field(None, ge=0, description="Number of connection points.")
    at: list[str] | None = Field(None, min_length=1, description="Names of connection points.")
    where: Literal["anywhere", "near_transformer", "far_from_transformer"] = Field(
        "anywhere",
        description="Draw from all points, or from the half nearest to or farthest from the transformer.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(x is not None for x in (self.share_percent, self.count, self.at)) != 1:
            raise ValueError("give exactly one of share_percent, count or at")
        if self.at is not None and duplicates(self.at):
            raise ValueError(f"at names {duplicates(self.at)[0]!r} twice")
        return self


class EvSection(Placement):
    """Electric cars that come home in the evening and must be full by morning."""

    kind: Literal["ev"] = Field(description="Sort of asset.")
    p_max_w: Watt = Field(11000, description="Rated power of the charger.")
    capacity_wh: float = Field(60000, gt=0, le=1e7, description="Usable size of the car's battery.")
    efficiency: float = Field(0.92, gt=0, le=1, description="Grid to battery.")
    arrival_h: Hour = Field(17.5, description="Mean local time of arrival, in hours: 17.5 is 17:30.")
    departure_h: Hour = Field(7.0, description="Mean local time of departure.")
    spread_h: float = Field(1.0, ge=0, le=6, description="Standard deviation of both times.")
    energy_need_wh: float = Field(15000, ge=0, description="Mean energy to charge at arrival.")
    strategy: Literal["asap", "cheap"] = Field(
        "asap", description="asap: as fast as possible; cheap: waits for a low price, full by departure."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.energy_need_wh <= self.capacity_wh:
            raise ValueError(
                f"energy_need_wh ({self.energy_need_wh:.15g}) must not be above "
                f"capacity_wh ({self.capacity_wh:.15g})"
            )
        return self


class BatterySection(Placement):
    """Stationary batteries that cover their own house first and may sell the rest."""

    kind: Literal["battery"] = Field(description="Sort of asset.")
    p_max_w: Watt = Field(5000, description="Rated power, charging and discharging.")
    capacity_wh: float = Field(10000, gt=0, le=1e8, description="Energy between empty and full.")
    efficiency: float = Field(0.95, gt=0, le=1, description="One way.")
    soc_initial: Fraction = Field(0.5, description="State of charge at the start, 0 to 1.")
    soc_min: Fraction = Field(0.1, description="Never discharged below.")
    soc_max: Fraction = Field(0.95, description="Never charged above.")
    strategy: Literal["self_consumption", "sell_evening"] = Field(
        "sell_evening",
        description="self_consumption: for its own house only; sell_evening: offers the rest in the evening.",
    )
    sell_from_h: Hour = Field(17, description="Sells from this local time on (sell_evening).")
    sell_to_h: Hour = Field(22, description="Sells until this local time (sell_evening).")
    reserve_price_eur_per_kwh: Price = Field(Decimal("0.14"), description="Least it sells for.")
    recharge_from_h: Hour = Field(1, description="From here it may buy energy up to soc_max ...")
    recharge_to_h: Hour = Field(5, description="... until here.")

    @model_validator(mode="after")
    def _soc_order(self) -> Self:
        if not self.soc_min < self.soc_max:
            raise ValueError(f"soc_min ({self.soc_min:.15g}) must be below soc_max ({self.soc_max:.15g})")
        if not self.soc_min <= self.soc_initial <= self.soc_max:
            raise ValueError(
                f"soc_initial ({self.soc_initial:.15g}) must lie from soc_min ({self.soc_min:.15g}) "
                f"to soc_max ({self.soc_max:.15g})"
            )
        return self


class PvSection(Placement):
    """PV plants. The profile is one of the case or of the user's own file, per unit of p_max_w."""

    kind: Literal["pv"] = Field(description="Sort of asset.")
    p_max_w: Watt = Field(8000, description="Rated power.")
    profile: str | None = Field(
        None, description="Profile name; default: the first PV profile of the source."
    )


class HeatPumpSection(Placement):
    """Air-source heat pumps with a heat store and the SG Ready states of the BWP; see docs/how-to/heat-pumps.md."""

    kind: Literal["heat_pump"] = Field(description="Sort of asset.")
    p_max_w: float = Field(3000, gt=0, le=1e8, description="Rated electrical power.")
    control: Literal["sg_ready", "modulating"] = Field(
        "sg_ready", description="sg_ready: knows four states only; modulating: follows a power as well."
    )
    strategy: Literal["normal", "shift"] = Field(
        "shift",
        description="normal: follows the house; shift: stores its own surplus and neighbours' energy as heat, and "
        "waits for a lower price.",
    )
    store_wh: float = Field(
        15000, gt=0, le=1e8, description="Heat (thermal) that buffer and building hold from cold to full."
    )
    heat_initial: Fraction = Field(0.6, description="Share of store_wh at the start.")
    comfort_min: Fraction = Field(0.2, description="Share of store_wh below which comfort is lost.")
    comfort_normal: Fraction = Field(0.6, description="Share of store_wh that normal operation keeps.")
    heat_load_w: Watt = Field(6000, description="Heat (thermal) that the house needs at design_c.")
    hot_water_w: Watt = Field(250, description="Heat (thermal) for hot water, the mean.")
    spread_percent: Percent = Field(20, description="How far both differ from house to house, at most.")
    design_c: float = Field(
        -12, ge=-50, le=20, description="Outdoor temperature that heat_load_w is for, in °C."
    )
    heating_limit_c: float = Field(
        15, ge=-20, le=30, description="Outdoor temperature without heating, in °C."
    )
    outdoor_c: float = Field(2, ge=-50, le=50, description="Mean outdoor temperature of the run, in °C.")
    outdoor_swing_k: float = Field(3, ge=0, le=25, description="How far 15:00 is warmer than the mean, in K.")
    flow_c: float = Field(35, ge=20, le=75, description="Flow temperature of the heating, in °C.")
    cop: float | None = Field(
        None,
        ge=1,
        le=10,
        description="Coefficient of performance; default: by outdoor_c and flow_c (Ruhnau et al. 2019).",
    )
    demand_profile: str | None = Field(
        None,
        description="Load profile that the heat follows, per unit of heat_load_w; default: the temperature.",
    )

    @model_validator(mode="after")
    def _levels(self) -> Self:
        if not self.comfort_min < self.comfort_normal:
            raise ValueError(
                f"comfort_min ({self.comfort_min:.15g}) must be below comfort_normal ({self.comfort_normal:.15g})"
            )
        if not self.comfort_min <= self.heat_initial:
            raise ValueError(
                f"heat_initial ({self.heat_initial:.15g}) must not be below comfort_min ({self.comfort_min:.15g})"
            )
        if not self.design_c < self.heating_limit_c:
            raise ValueError(
                f"design_c ({self.design_c:.15g}) must be below heating_limit_c ({self.heating_limit_c:.15g})"
            )
        return self


Asset = Annotated[EvSection | BatterySection | PvSection | HeatPumpSection, Field(discriminator="kind")]

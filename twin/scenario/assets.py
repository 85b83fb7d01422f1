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


Asset = Annotated[EvSection | BatterySection | PvSection, Field(discriminator="kind")]

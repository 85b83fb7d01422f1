"""Who trades, in a scenario file: connection, forecasts, assets."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from twin.scenario.assets import Asset
from twin.scenario.fields import Percent, Section, Watt, duplicates


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

"""Who is believed about metered energy, who pays for a difference, and what a purse allows, in a scenario file."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from twin.scenario.fields import ExactPercent, Price, Section
from twin.scenario.moment import MomentSection


class ArbitrationSection(MomentSection):
    """What an arbiter decides about one participant's trades that are held at that time."""

    participant: str = Field(min_length=1, description="Whose held trades are decided.")
    take: Literal["grid_log", "meter", "trades"] = Field(
        description="Whose value stands: the grid log's, the meter's, or as if exactly the trades had been metered."
    )


class OraclesSection(Section):
    """Three sources that must agree on metered energy before money follows it."""

    quorum: Annotated[int, Field(ge=2, le=3)] = Field(2, description="How many of three sources must agree.")
    tolerance_wh: int = Field(20, ge=0, le=10**9, description="Difference within which sources agree.")
    tolerance_percent: ExactPercent = Field(
        Decimal("2"), description="The same, of the smaller value; the larger tolerance counts."
    )
    grid_noise_percent: float = Field(
        0.1, ge=0, le=20, description="Grid log: standard deviation of a flow's reading, of the flow."
    )
    grid_resolution_w: float = Field(1, ge=0, le=1e6, description="Grid log: smallest step of a reading.")
    model_error_percent: float = Field(
        3, ge=0, le=100, description="Output model: standard deviation of the irradiance."
    )
    resolve_after_h: float | None = Field(
        24, gt=0, le=8784, description="A held trade is settled by the grid log after this long; none: never."
    )
    arbitration: list[ArbitrationSection] = Field(
        default_factory=list, description="What an arbiter decides before that."
    )


class ImbalanceSection(Section):
    """Who pays for what the meter does not confirm of a trade. The energy itself is the supplier's, at its prices."""

    payer: Literal["causer", "community"] = Field(
        "causer",
        description="Who pays surcharge and deduction: who caused it, or all local traders by traded energy.",
    )
    shortfall_surcharge_percent: ExactPercent = Field(
        Decimal("0"),
        description="On the retail price, for sold energy that did not flow.",
    )
    surplus_deduction_percent: ExactPercent = Field(
        Decimal("0"),
        description="Of the feed-in price, for bought energy that was not drawn.",
    )
    tolerance_wh: int = Field(
        0,
        ge=0,
        le=10**9,
        description="Metering steps: up to this per participant and interval costs nothing more.",
    )


class BalancesSection(Section):
    """What participants may spend: their orders are bound by what they have."""

    opening_eur: Price = Field(description="What every participant has deposited at the start.")
    credit_eur: Price = Field(Decimal("0"), description="How far below zero a participant may trade.")

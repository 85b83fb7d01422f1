"""Who looks after the feeder, in a scenario file."""

from decimal import Decimal
from typing import Literal

from pydantic import Field

from twin.scenario.fields import Price, Section


class CoordinationSection(Section):
    """Who looks after the feeder."""

    mode: Literal["none", "gate", "envelope", "price"] = Field(
        "gate",
        description="none: trades are only judged; gate: cut to fit; envelope: capped an interval ahead; "
        "price: charged an interval ahead for what they strain, and not cut.",
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
    price: Literal["nodal", "distance"] = Field(
        "nodal", description="Charges (price): what limits and losses cost at each place, or by distance."
    )
    distance_price_eur_per_kwh_per_ohm: Price = Field(
        Decimal("0.05"),
        ge=0,
        description="Charge by distance: per ohm between a place and the upstream grid.",
    )
    charge_bearable_eur_per_kwh: Price = Field(
        Decimal("0.10"),
        ge=0,
        description="Highest charge that a car or battery bears before it waits (price); each draws between half "
        "of it and all of it.",
    )
    margin_loading_percent: float = Field(
        1.0, ge=0, le=50, description="The gate's margin to loading limits."
    )

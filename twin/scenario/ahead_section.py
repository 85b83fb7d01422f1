"""Trading ahead of delivery: which slots are open, and what participants hand in for them."""

from pydantic import Field

from twin.scenario.fields import Percent, Section


class LeaveSection(Section):
    """A provider takes stored energy that nobody bought out of the open pools, and commits less from then on."""

    provider: str = Field(description="Connection point whose battery provides.")
    at_h: float = Field(ge=0, le=1e6, description="When, in hours after the start.")
    withdrawn_percent: Percent = Field(
        100, gt=0, description="Part of what it still has in each pool, and of what follows."
    )


class AheadSection(Section):
    """Slots that are open before their interval. Needs a mechanism with a horizon: pool_and_book or order_book."""

    horizon_intervals: int = Field(
        4, ge=1, le=96, description="Slots that are open beyond the running interval."
    )
    trade_percent: Percent = Field(
        50,
        description="Share of its forecast need or surplus that a house without battery trades before the slot.",
    )
    provide_percent: Percent = Field(
        50,
        description="Share of what a selling battery could deliver in a slot, committed to it when it opens.",
    )
    arbitrageur: str | None = Field(
        None, description="Connection point whose owner trades between book and pool (pool_and_book)."
    )
    arbitrage_wh: int = Field(
        2000, ge=1, le=10**9, description="Most energy that it moves per slot, side and interval."
    )
    leaving: list[LeaveSection] = Field(
        default_factory=list, description="Providers that leave open pools (pool_and_book)."
    )

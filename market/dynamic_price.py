"""The pool's dynamic price: one family of inventory curves, its three named members, and the published index.

u is the fraction of the pool's capacity that is filled (or of demand that is covered); p falls from retail at u = 0
to feed-in at u = 1: p(u)^-k = (1-u) retail^-k + u feed_in^-k. k = -1 is the line of the mid-market rate, k = 1/2 the
bounded constant product, k = 1 the supply-demand ratio with u = S/D.

Source: derived from the rules of C. Long et al. 2017 (mid-market rate; the same line in M. Fabi et al., arXiv
2512.24432), Uniswap v3 (bounded constant product) and N. Liu et al. 2017 (supply-demand ratio).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from market.amm_sizing import root
from market.errors import ParameterError, TariffError
from market.mechanism import Tariff
from market.validate import check_tariff

Member = Literal["mid_market", "constant_product", "supply_demand"]
MEMBERS: tuple[str, ...] = get_args(Member)


@dataclass(frozen=True)
class PublishedIndex:
    """The pool's price of an interval, as it is published: what indexed agreements refer to."""

    interval: int
    member: str
    filled_wh: int
    capacity_wh: int
    price_micro_per_kwh: int


def inventory_price(member: str, filled_wh: int, capacity_wh: int, tariff: Tariff) -> int:
    """Return p(u) in micro per kWh, rounded down, for u = filled / capacity (1 where more is filled).

    Raises:
        ParameterError: Unknown member, negative energy or no capacity.
        TariffError: Not a band, or a price that is not positive where the member has a pole.
    """
    if member not in MEMBERS:
        raise ParameterError(f"dynamic price: unknown member {member!r}; allowed: {', '.join(MEMBERS)}")
    if filled_wh < 0 or capacity_wh <= 0:
        raise ParameterError(f"dynamic price: {filled_wh} of {capacity_wh} Wh is no fraction of a capacity")
    check_tariff(tariff)
    low, high = tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh
    u = min(Fraction(filled_wh, capacity_wh), Fraction(1))
    if member == "mid_market":
        return int((high - u * (high - low)) // 1)
    if low <= 0:
        raise TariffError(f"dynamic price: {member} needs a positive feed-in price, got {low}")
    if member == "supply_demand":
        return int(Fraction(low * high) / ((1 - u) * low + u * high) // 1)
    if u in (0, 1):
        return low if u else high
    inverse_root = (1 - u) / root(high) + u / root(low)
    return int(1000 / inverse_root**2 // 1)


def publish(member: str, interval: int, filled_wh: int, capacity_wh: int, tariff: Tariff) -> PublishedIndex:
    """Return the index of an interval; arguments and errors as ``inventory_price``."""
    price = inventory_price(member, filled_wh, capacity_wh, tariff)
    return PublishedIndex(interval, member, filled_wh, capacity_wh, price)

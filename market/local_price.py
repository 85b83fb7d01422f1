"""What the reference-price rules share: one local price, sales and purchases in proportion, the rest to the supplier.

Mid-market rate, supply-demand ratio and bill sharing are usually written as two blended rates, c for consumption and
r for production. Both follow from one local price p: with S sold and D bought and L = min(S, D) traded locally,
c D = p L + retail (D - L) and r S = p L + feed_in (S - L). So a rule is a function of (S, D), its fills are the local
part only, and whoever is not fully served meets the supplier as in any other mechanism. It follows for every rule
that c D - r S = retail (D-S)+ - feed_in (S-D)+: the community as a whole pays what crosses its boundary.
"""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from market.fills import fills_at
from market.mechanism import Clearing, Tariff
from market.money import residue_micro
from market.orders import BUY, SELL, Orders
from market.ration import ration
from market.validate import check_orders, check_tariff

PriceRule = Callable[[int, int, Tariff], int]
"""(S in Wh, D in Wh, tariff) to the local price in micro per kWh; called with S, D > 0 only."""


def rates(price: int | Fraction, sold_wh: int, bought_wh: int, tariff: Tariff) -> tuple[Fraction, Fraction]:
    """Return the blended rates (c, r) in micro per kWh, exact, for S, D > 0."""
    local = min(sold_wh, bought_wh)
    retail, feed_in = tariff.retail_micro_per_kwh, tariff.feed_in_micro_per_kwh
    buy = Fraction(price * local + retail * (bought_wh - local)) / bought_wh
    sell = Fraction(price * local + feed_in * (sold_wh - local)) / sold_wh
    return buy, sell


def _totals(orders: Orders, inside: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return (S, D) in Wh of the orders that take part."""
    energy, side = orders["energy_wh"][inside], orders["side"][inside]
    return int(energy[side == SELL].sum()), int(energy[side == BUY].sum())


def _community(
    orders: Orders, rule: PriceRule, tariff: Tariff, respect_limits: bool
) -> tuple[npt.NDArray[np.bool_], int, int, int]:
    """Return (who takes part, price, S, D): orders whose limit the price breaks leave until none does.

    Where the price depends on who takes part, they leave one by one, the most disappointed first (ties: the later
    one, then the higher id), because the price may come to suit the others.
    """
    inside: npt.NDArray[np.bool_] = np.ones(orders.size, dtype=np.bool_)
    while True:
        sold, bought = _totals(orders, inside)
        if sold == 0 or bought == 0:
            return inside, 0, sold, bought
        price = rule(sold, bought, tariff)
        miss = (orders["price_micro_per_kwh"] - price) * orders["side"] * inside
        if not respect_limits or miss.max() <= 0:
            return inside, price, sold, bought
        without = inside & (miss <= 0)
        rest = _totals(orders, without)
        if 0 in rest or rule(*rest, tariff) != price:
            worst = np.flatnonzero(miss == miss.max())
            last = worst[np.lexsort((orders["id"][worst], orders["time"][worst]))[-1]]
            without = inside.copy()
            without[last] = False
        inside = without


class LocalPriceRule:
    """A mechanism given by its price rule.

    Args:
        name: as in the registry.
        rule: the local price from S and D.
        respect_limits: leave out orders whose limit the price breaks (the rules themselves know no limits).
    """

    def __init__(self, name: str, rule: PriceRule, respect_limits: bool) -> None:
        self.name = name
        self._rule = rule
        self._respect_limits = respect_limits

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Clear the local part: the short side whole, the long side in proportion (largest remainder)."""
        check_orders(orders, interval)
        check_tariff(tariff)
        inside, price, sold, bought = _community(orders, self._rule, tariff, self._respect_limits)
        accepted = np.zeros(orders.size, dtype=np.int64)
        volume = min(sold, bought)
        if volume == 0:
            return Clearing(fills_at(orders, accepted, 0, 0), None, 0)
        for side in (SELL, BUY):
            rows = np.flatnonzero(inside & (orders["side"] == side))
            ration(orders, rows, volume, True, accepted)
        fills = fills_at(orders, accepted, price, price)
        buy_rate, sell_rate = rates(price, sold, bought, tariff)
        details = {
            "supply_wh": sold,
            "demand_wh": bought,
            "buy_rate_micro_per_kwh": -(-buy_rate.numerator // buy_rate.denominator),
            "sell_rate_micro_per_kwh": sell_rate.numerator // sell_rate.denominator,
        }
        return Clearing(fills, price, volume, residue_micro(fills), details)

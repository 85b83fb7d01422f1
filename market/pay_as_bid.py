"""Pay-as-bid (discriminatory) auction: the same trades as the uniform auction, at the traders' own prices.

Who keeps the difference between a buyer's bid and a seller's ask is the rule's choice:
'bid': buyers pay their bids and sellers share all of it in one average price (as the Grid Singularity exchange clears
at the bid); 'ask': sellers get their asks and buyers pay one average price; 'own': both at their own price, the
difference stays with the pool. No pairs of buyer and seller are invented.

Source: J. Lin, M. Pipattanasomporn, S. Rahman, "Comparative analysis of auction mechanisms and bidding strategies for
P2P solar transactive energy markets", Applied Energy 255 (2019) 113687: uniform and discriminatory
auctions; gsy-framework.
"""

from typing import Literal

import numpy as np

from market.call_auction import clear_call
from market.fills import fills_priced
from market.mechanism import Clearing, Tariff
from market.money import residue_micro
from market.orders import BUY, SELL, Orders
from market.validate import check_orders, check_tariff

_MIDDLE_PPM = 500_000


class PayAsBid:
    """Pay-as-bid auction. ``rule``: 'bid', 'ask' or 'own' (see the module)."""

    def __init__(self, rule: Literal["bid", "ask", "own"] = "bid") -> None:
        self.name = "pay_as_bid"
        self._rule = rule

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Clear the orders for delivery in ``interval``. Raises ``OrderError`` or ``TariffError``.

        The published price is the average that buyers pay, rounded down.
        """
        check_orders(orders, interval)
        check_tariff(tariff)
        _, volume, accepted = clear_call(orders, _MIDDLE_PPM, 1, False)
        price = orders["price_micro_per_kwh"].copy()
        if volume == 0:
            return Clearing(fills_priced(orders, accepted, price), None, 0)
        average = None
        if self._rule == "bid":
            average = self._total(orders, accepted, BUY) // int(volume)
            price[orders["side"] == SELL] = average
        elif self._rule == "ask":
            average = -(-self._total(orders, accepted, SELL) // int(volume))
            price[orders["side"] == BUY] = average
        fills = fills_priced(orders, accepted, price)
        published = self._total(orders, accepted, BUY, price) // int(volume)
        return Clearing(fills, published, int(volume), residue_micro(fills))

    @staticmethod
    def _total(orders: Orders, accepted: object, side: int, price: object = None) -> int:
        """Return the sum of energy times price over one side, in micro Wh per kWh, without overflow."""
        rows = orders["side"] == side
        value = np.asarray(orders["price_micro_per_kwh"] if price is None else price)[rows]
        return sum(int(e) * int(p) for e, p in zip(np.asarray(accepted)[rows], value, strict=True))

"""The reference point without a local market: nobody trades, everybody stays with the supplier."""

import numpy as np

from market.fills import fills_at
from market.mechanism import Clearing, Tariff
from market.orders import Orders
from market.validate import check_orders, check_tariff


class NoTrade:
    """A market in which no order is filled."""

    def __init__(self) -> None:
        self.name = "none"

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Check the orders and fill none. Raises ``OrderError`` or ``TariffError``."""
        check_orders(orders, interval)
        check_tariff(tariff)
        return Clearing(fills_at(orders, np.zeros(orders.size, dtype=np.int64), 0, 0), None, 0)

"""What participants can pay bounds what they order: nobody buys locally, or beyond its firm limit, on money it lacks.

Energy that flows anyway is the supplier's and billed afterwards: no house goes dark because its purse is empty.
"""

from dataclasses import replace

import numpy as np
from numba import njit

from adapters.grid.feeder import IntArray
from market.money import WH_PER_KWH
from market.orders import BUY, Orders
from twin.agents import Intent
from twin.scenario.oracles_section import BalancesSection


@njit(cache=True)
def _bound(orders, free_micro, left_micro):  # type: ignore[no-untyped-def]
    """Cut purchases in the order of their rows to what each participant can pay at its own limit; in place."""
    for i in range(free_micro.size):
        left_micro[i] = max(free_micro[i], 0)
    cut = False
    for i in range(orders.size):
        price = orders[i]["price_micro_per_kwh"]
        if orders[i]["side"] != BUY or price <= 0:
            continue
        who, energy = orders[i]["participant"], orders[i]["energy_wh"]
        affordable = min(energy, left_micro[who] * WH_PER_KWH // price)
        if affordable < energy:
            orders[i]["energy_wh"] = affordable
            cut = True
        left_micro[who] -= -(-affordable * price // WH_PER_KWH)  # rounded up, as a buyer pays
    return cut


class Purse:
    """Turns balances into free ones and bounds orders by them."""

    def __init__(self, section: BalancesSection, n: int) -> None:
        """Bind the purse for ``n`` participants, all with the same deposit and credit."""
        self._n = n
        self._opening_micro = int(section.opening_eur * 1_000_000)
        self._credit_micro = int(section.credit_eur * 1_000_000)
        self.cut_count = 0

    def opening(self) -> IntArray:
        """Balances before the first interval: nothing gained or lost; (n,)."""
        return np.zeros(self._n, dtype=np.int64)

    def free_micro(self, gained_micro: IntArray) -> IntArray:
        """What each participant may spend, from what it gained since the start; (n,).

        What is held for it is not part of what it gained.
        """
        return np.asarray(gained_micro + self._opening_micro + self._credit_micro)

    def bound(self, intent: Intent, gained_micro: IntArray) -> Intent:
        """The intent with purchases that can be paid; the same where all can."""
        orders: Orders = intent.orders.copy()
        if not _bound(orders, self.free_micro(gained_micro), np.zeros(self._n, dtype=np.int64)):
            return intent
        self.cut_count += int((orders["energy_wh"] < intent.orders["energy_wh"]).sum())
        return replace(intent, orders=orders[orders["energy_wh"] > 0])

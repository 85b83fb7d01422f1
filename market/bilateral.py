"""Trades between two named participants: taking energy out of their orders, and the fills of both sides."""

import numpy as np
import numpy.typing as npt

from market.fills import fills_priced
from market.orders import BUY, SELL, Fills, Orders


class OpenOrders:
    """Orders of one interval with what is still open of each, and the bilateral fills made so far."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.open_wh: npt.NDArray[np.int64] = orders["energy_wh"].copy()
        self._fills: list[Fills] = []

    def rows(self, participant: int, side: int) -> npt.NDArray[np.int64]:
        """Return the rows of a participant's open orders of one side, by (time, id)."""
        o = self.orders
        rows = np.flatnonzero((o["participant"] == participant) & (o["side"] == side) & (self.open_wh > 0))
        return rows[np.lexsort((o["id"][rows], o["time"][rows]))]

    def open_of(self, participant: int, side: int) -> int:
        """Return what is open of a participant's orders of one side, in Wh."""
        return int(self.open_wh[self.rows(participant, side)].sum())

    def trade(self, seller: int, buyer: int, energy_wh: int, price_micro_per_kwh: int) -> None:
        """Move energy from a seller's to a buyer's orders (as much as both have open) at one price."""
        for participant, other, side in ((seller, buyer, SELL), (buyer, seller, BUY)):
            self._take(self.rows(participant, side), other, energy_wh, price_micro_per_kwh)

    def trade_rows(self, sell_row: int, buy_row: int, energy_wh: int, price_micro_per_kwh: int) -> None:
        """Move energy between two given orders at one price."""
        people = self.orders["participant"]
        self._take(np.array([sell_row]), int(people[buy_row]), energy_wh, price_micro_per_kwh)
        self._take(np.array([buy_row]), int(people[sell_row]), energy_wh, price_micro_per_kwh)

    def _take(self, rows: npt.NDArray[np.int64], other: int, energy_wh: int, price: int) -> None:
        taken = np.zeros(self.orders.size, dtype=np.int64)
        for row in rows:
            taken[row] = min(energy_wh, int(self.open_wh[row]))
            energy_wh -= int(taken[row])
        self.open_wh -= taken
        self._fills.append(
            fills_priced(self.orders, taken, np.full(taken.size, price, dtype=np.int64), other)
        )

    def fills(self) -> Fills:
        """Return the bilateral fills: at most one row per order, counterparty and price."""
        empty = fills_priced(self.orders, np.zeros(self.orders.size, dtype=np.int64), self.open_wh)
        fills = np.concatenate([empty, *self._fills])
        keys = fills[["order_id", "counterparty", "price_micro_per_kwh"]]
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
        merged = fills[first].copy()
        merged["energy_wh"] = 0
        np.add.at(merged["energy_wh"], group, fills["energy_wh"])
        return merged

    def residual(self) -> Orders:
        """Return the orders with what is left of them, fully served ones left out."""
        left = self.orders.copy()
        left["energy_wh"] = self.open_wh
        return left[self.open_wh > 0]

"""Trades between two named participants: taking energy out of their orders, and the fills of both sides."""

import numpy as np
import numpy.typing as npt

from market.orders import BUY, SELL, Fills, Orders, empty_fills


class OpenOrders:
    """Orders of one interval with what is still open of each, and the bilateral fills made so far."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.open_wh: npt.NDArray[np.int64] = orders["energy_wh"].copy()
        self._trades: list[tuple[int, int, int, int]] = []

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
        sells, buys = self.rows(seller, SELL).tolist(), self.rows(buyer, BUY).tolist()
        while sells and buys and energy_wh > 0:
            energy = min(energy_wh, int(self.open_wh[sells[0]]), int(self.open_wh[buys[0]]))
            self.trade_rows(sells[0], buys[0], energy, price_micro_per_kwh)
            energy_wh -= energy
            sells, buys = ([row for row in rows if self.open_wh[row] > 0] for rows in (sells, buys))

    def trade_rows(self, sell_row: int, buy_row: int, energy_wh: int, price_micro_per_kwh: int) -> None:
        """Move energy between two given orders at one price."""
        self.open_wh[[sell_row, buy_row]] -= energy_wh
        self._trades.append((sell_row, buy_row, energy_wh, price_micro_per_kwh))

    def fills(self) -> Fills:
        """Return two fills per trade, seller's and buyer's, in the order of the trades.

        Each has its mirror with the same energy, whatever orders the parties have: a cut shrinks both alike.
        """
        fills = empty_fills(2 * len(self._trades))
        if not self._trades:
            return fills
        sells, buys, energy, price = np.array(self._trades, dtype=np.int64).T
        rows, partners = np.stack((sells, buys), axis=1).ravel(), np.stack((buys, sells), axis=1).ravel()
        for name in ("participant", "side", "device", "flexible", "interval"):
            fills[name] = self.orders[name][rows]
        fills["order_id"] = self.orders["id"][rows]
        fills["limit_micro_per_kwh"] = self.orders["price_micro_per_kwh"][rows]
        fills["counterparty"] = self.orders["participant"][partners]
        fills["energy_wh"], fills["price_micro_per_kwh"] = np.repeat(energy, 2), np.repeat(price, 2)
        return fills

    def residual(self) -> Orders:
        """Return the orders with what is left of them, fully served ones left out."""
        left = self.orders.copy()
        left["energy_wh"] = self.open_wh
        return left[self.open_wh > 0]

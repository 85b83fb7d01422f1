"""An order book for one delivery interval: limit and market orders, cancellation, price-time priority.

Source: M. D. Gould, M. A. Porter, S. Williams, M. McDonald, D. J. Fenn, S. D. Howison, "Limit order books",
Quantitative Finance 13 (2013) 1709-1742: an arriving order trades with the best price first, at one price with the
oldest order first, each at the resting order's price.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market.book_kernels import match
from market.errors import OrderError
from market.fills import joined
from market.orders import BUY, SELL, Orders, empty_orders
from market.validate import MAX_PRICE, order_problems


@dataclass(frozen=True)
class Trade:
    """One match, at the resting order's price."""

    taker_id: int
    maker_id: int
    energy_wh: int
    price_micro_per_kwh: int


class OrderBook:
    """Open orders of one delivery interval.

    Orders arrive in order of (time, id) and never earlier than one that came before: priority is arrival.
    """

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self._orders: Orders = empty_orders()
        self._open: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._last_time = 0

    @property
    def open_orders(self) -> Orders:
        """The resting orders in order of arrival, with what is still open as their energy."""
        resting = self._orders.copy()
        resting["energy_wh"] = self._open
        return resting

    def depth(self, side: int) -> list[tuple[int, int]]:
        """Return (price in micro per kWh, open Wh) per price level of one side, best first."""
        levels: dict[int, int] = {}
        columns = (self._orders["side"], self._orders["price_micro_per_kwh"], self._open)
        for its_side, price, energy in zip(*(column.tolist() for column in columns), strict=True):
            if its_side == side:
                levels[price] = levels.get(price, 0) + energy
        return sorted(levels.items(), reverse=side == BUY)

    def submit(self, orders: Orders, market: bool = False) -> list[Trade]:
        """Match arriving orders and let the remainders of limit orders rest.

        Args:
            orders: ``ORDER_DTYPE``, in order of (time, id), for this book's interval.
            market: execute at any price; what finds no counterpart is dropped, and limits are ignored.

        Raises:
            OrderError: With every problem; the book is unchanged.
        """
        problems = order_problems(orders, self.interval) or self._sequence_problems(orders)
        if problems:
            raise OrderError(problems)
        arriving = orders.copy()
        if market:
            arriving["price_micro_per_kwh"] = np.where(arriving["side"] == SELL, -MAX_PRICE, MAX_PRICE)
        book = joined((self._orders, arriving))
        open_wh = np.concatenate((self._open, arriving["energy_wh"]))
        rests = np.ones(book.size, dtype=np.bool_)
        rests[self._orders.size :] = not market
        trades = np.empty((2 * book.size, 4), dtype=np.int64)
        side = np.ascontiguousarray(book["side"])
        price = np.ascontiguousarray(book["price_micro_per_kwh"])
        n = match(side, price, open_wh, rests, self._orders.size, trades)
        left = open_wh > 0
        self._orders, self._open = book[left], open_wh[left]
        if orders.size:
            self._last_time = int(orders["time"][-1])
        ids = book["id"]
        return [Trade(int(ids[t]), int(ids[m]), int(e), int(p)) for t, m, e, p in trades[:n]]

    def cancel(self, order_id: int) -> int:
        """Take an order out of the book; return the Wh that were still open.

        Raises:
            OrderError: No such order rests in the book (filled, cancelled or never there).
        """
        row = np.flatnonzero(self._orders["id"] == order_id)
        if not row.size:
            raise OrderError(f"order {order_id}: does not rest in the book of interval {self.interval}")
        open_wh = int(self._open[row[0]])
        keep = self._orders["id"] != order_id
        self._orders, self._open = self._orders[keep], self._open[keep]
        return open_wh

    def _sequence_problems(self, orders: Orders) -> list[str]:
        """Return what is wrong with the order of arrival, or with ids that rest already."""
        time = np.concatenate(([self._last_time], orders["time"]))
        ids = orders["id"]
        late = time[1:] < time[:-1]
        late[1:] |= (time[2:] == time[1:-1]) & (ids[1:] < ids[:-1])
        problems = [
            f"order {ids[i]}: arrives at {time[i + 1]}, after one of {time[i]}; must come in order of (time, id)"
            for i in np.flatnonzero(late)
        ]
        resting = set(self._orders["id"].tolist())
        taken = [order_id for order_id in ids.tolist() if order_id in resting] if resting else []
        return problems + [f"order {order_id}: the id rests in the book already" for order_id in taken]

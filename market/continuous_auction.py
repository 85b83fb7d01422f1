"""Continuous double auction as a mechanism: one book per delivery interval, kept open to a horizon.

Source: D. Friedman, J. Rust (eds.), "The Double Auction Market: Institutions, Theories, and Evidence", 1993; the
book's rules are in ``market.order_book``.
"""

import numpy as np

from market.ahead import Position
from market.errors import OrderError
from market.fills import fills_at, fills_priced, joined
from market.mechanism import Clearing, Tariff
from market.money import residue_micro
from market.order_book import OrderBook, Trade
from market.orders import SELL, Orders, empty_orders
from market.validate import check_orders, check_tariff


class _Slot:
    """The book of one delivery interval, every order it has seen, and its trades."""

    def __init__(self, interval: int) -> None:
        self.book = OrderBook(interval)
        self.orders: Orders = empty_orders()
        self.trades: list[Trade] = []
        self.arrivals = 0

    def submit(self, orders: Orders) -> None:
        """Match orders in order of (time, id), after everything that came in earlier calls."""
        arriving = orders[np.lexsort((orders["id"], orders["time"]))]
        self.orders = joined((self.orders, arriving))
        queued = arriving.copy()
        queued["time"] = np.arange(self.arrivals, self.arrivals + queued.size)
        self.arrivals += queued.size
        self.trades += self.book.submit(queued)

    def clearing(self) -> Clearing:
        """Return the fills of all trades of the slot: one row per order, at its average price.

        Averages are rounded up for buyers and down for sellers; what is left stays with the pool.
        """
        if not self.trades:
            return Clearing(fills_at(self.orders, np.zeros(self.orders.size, dtype=np.int64), 0, 0), None, 0)
        by_id = np.argsort(self.orders["id"], kind="stable")
        table = np.array([(t.taker_id, t.maker_id, t.energy_wh, t.price_micro_per_kwh) for t in self.trades])
        energy, value = (np.zeros(self.orders.size, dtype=np.int64) for _ in range(2))
        for party in (0, 1):
            rows = by_id[np.searchsorted(self.orders["id"], table[:, party], sorter=by_id)]
            np.add.at(energy, rows, table[:, 2])
            np.add.at(value, rows, table[:, 2] * table[:, 3])
        divisor, selling = np.maximum(energy, 1), self.orders["side"] == SELL
        price = np.where(selling, value // divisor, -(-value // divisor))
        fills = fills_priced(self.orders, energy, price)
        volume = sum(trade.energy_wh for trade in self.trades)
        average = sum(t.energy_wh * t.price_micro_per_kwh for t in self.trades) // volume
        return Clearing(fills, average, volume, residue_micro(fills), {"trades": len(self.trades)})


class ContinuousAuction:
    """Continuous double auction.

    ``clear`` takes orders for the interval and up to ``horizon`` intervals after it; orders for a later interval
    rest in (or trade on) its book now, and their fills are part of the clearing of that later interval.
    """

    def __init__(self, horizon: int = 0) -> None:
        self.name = "order_book"
        self.horizon = horizon
        self.index_micro_per_kwh: int | None = None
        self._slots: dict[int, _Slot] = {}

    def open_slot(self, interval: int, tariff: Tariff, stock: Orders) -> None:
        """Open the book of a slot; stored energy that is committed rests in it like any other sale."""
        check_orders(stock, interval)
        self._slots.setdefault(interval, _Slot(interval)).submit(stock)

    def take_position(self, interval: int) -> Position:
        """Cancel what rests for ``interval`` and return the orders that have traded, with the traded energy."""
        slot = self._slots.get(interval)
        if slot is None:
            return Position()
        for order_id in slot.book.open_orders["id"].tolist():
            slot.book.cancel(order_id)
        fills = slot.clearing().fills
        traded = slot.orders[np.isin(slot.orders["id"], fills["order_id"])].copy()
        traded["energy_wh"] = fills["energy_wh"]
        return Position(traded)

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Match the orders, then deliver what was traded for ``interval`` and close its book.

        Raises:
            OrderError: Invalid orders, or an id that the interval has seen before; nothing is changed.
        """
        check_orders(orders, interval, interval + self.horizon)
        check_tariff(tariff)
        wanted = np.unique(orders["interval"])
        for slot in wanted.tolist():
            book = self._slots.get(slot)
            if book and np.intersect1d(book.orders["id"], orders["id"][orders["interval"] == slot]).size:
                raise OrderError(f"orders for interval {slot}: an id was used before in this interval")
        for slot in wanted.tolist():
            self._slots.setdefault(slot, _Slot(slot)).submit(orders[orders["interval"] == slot])
        for past in [slot for slot in self._slots if slot < interval]:
            del self._slots[past]
        clearing = self._slots.pop(interval, _Slot(interval)).clearing()
        if clearing.price_micro_per_kwh is not None:
            self.index_micro_per_kwh = clearing.price_micro_per_kwh
        return clearing

    def cancel(self, interval: int, order_id: int) -> int:
        """Cancel an order that rests for a later interval; return its open Wh. Raises ``OrderError`` if none."""
        if interval not in self._slots:
            raise OrderError(f"order {order_id}: no book is open for interval {interval}")
        return self._slots[interval].book.cancel(order_id)

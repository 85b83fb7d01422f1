"""The market session where slots are open ahead: what stands for the running slot is netted with its orders."""

from dataclasses import replace
from typing import Any

import numpy as np

from market.admitted import AdmittedOnly
from market.ahead import Ahead, TradesAhead, net_position
from market.mechanism import Mechanism
from market.orders import BATTERY, SELL, Orders
from twin.agents import Intent
from twin.ahead import FIRST_ID, quoted
from twin.trading import Session, TradingDesk


class AheadDesk(TradingDesk):
    """Opens slots, hands in orders ahead, and delivers what stands for the running slot."""

    def __init__(self, slots: TradesAhead, mechanism: Mechanism, *arguments: Any) -> None:
        """``slots`` keeps the slots open; ``mechanism`` is it, or what serves others before it.

        ``arguments`` are those of ``TradingDesk`` after the mechanism.
        """
        super().__init__(mechanism, *arguments)
        self._slots = slots
        self._market = mechanism
        self._admitted = mechanism.admitted if isinstance(mechanism, AdmittedOnly) else None
        self._opened = 0

    def clear(self, intent: Intent) -> Session:
        """Clear one interval and trade in the slots after it."""
        interval, ahead = intent.interval, intent.ahead or Ahead()
        tariff = self.tariff_of(interval)
        index = self._slots.index_micro_per_kwh
        if index is None:
            index = (tariff.retail_micro_per_kwh + tariff.feed_in_micro_per_kwh) // 2
        later = quoted(ahead.orders, index)
        stock = ahead.stock if self._admitted is None else self._admitted(ahead.stock)
        self._open(max((interval, *later["interval"].tolist(), *stock["interval"].tolist())), stock)
        stands = self._slots.take_position(interval)
        standing = np.concatenate((stands.traded, stands.stock))
        running = net_position(intent.orders, standing)
        clearing = self._market.clear(np.concatenate((running, later)), tariff, interval)
        book = np.concatenate((running, standing))
        book = book[np.argsort(book["id"])]
        upstream = supplied(book, tariff.feed_in_micro_per_kwh)
        return self.session(replace(intent, orders=book, wanted=book), clearing, tariff, upstream)

    def _open(self, last: int, stock: Orders) -> None:
        for slot in range(self._opened, last + 1):
            self._slots.open_slot(slot, self.tariff_of(slot), stock[stock["interval"] == slot])
        self._opened = max(self._opened, last + 1)


def supplied(book: Orders, feed_in_micro_per_kwh: int) -> Orders:
    """The orders as the supplier sees them: what was sold ahead must flow, stored energy that nobody bought stays.

    Only flexible orders reach the supplier this way; a committed battery is made inflexible, so that it does not.
    """
    ahead = (book["id"] >= FIRST_ID) & (book["side"] == SELL)
    out = book.copy()
    out["price_micro_per_kwh"][ahead] = feed_in_micro_per_kwh
    out["flexible"][ahead & (book["device"] == BATTERY)] = False
    return out

"""The market session where slots are open ahead: what stands for the running slot is netted with its orders."""

from dataclasses import replace
from typing import Any

import numpy as np

from market.admitted import AdmittedOnly
from market.ahead import Ahead, TradesAhead
from market.mechanism import Mechanism, Tariff
from market.orders import Fills, Orders
from twin.agents import Intent
from twin.open_slots import OpenSlots, supplied
from twin.trading import Session, TradingDesk, supplier_fills


class AheadDesk(TradingDesk):
    """Opens slots, hands in orders ahead, and delivers what stands for the running slot."""

    def __init__(self, slots: TradesAhead, mechanism: Mechanism, *arguments: Any) -> None:
        """``slots`` keeps the slots open; ``mechanism`` is it, or what serves others before it.

        ``arguments`` are those of ``TradingDesk`` after the mechanism.
        """
        super().__init__(mechanism, *arguments)
        admitted = mechanism.admitted if isinstance(mechanism, AdmittedOnly) else None
        self._slots = OpenSlots(slots, mechanism, self.tariff_of, admitted)
        if self._comparison is not None:
            self._comparison.open_slots(self.tariff_of, with_supplier)

    def clear(self, intent: Intent) -> Session:
        """Clear one interval and trade in the slots after it."""
        ahead = intent.ahead or Ahead()
        if self._comparison is not None:
            self._comparison.hand_in(intent.orders, ahead)
        cleared = self._slots.clear(intent.interval, intent.orders, ahead)
        tariff = self.tariff_of(intent.interval)
        upstream = supplied(cleared.book, tariff.feed_in_micro_per_kwh)
        orders = replace(intent, orders=cleared.book, wanted=cleared.book)
        return self.session(orders, cleared.clearing, tariff, upstream)


def with_supplier(fills: Fills, book: Orders, tariff: Tariff) -> Fills:
    """Local fills of a book (ids rise), and what the supplier takes of the rest."""
    left = book["energy_wh"].copy()
    np.subtract.at(left, np.searchsorted(book["id"], fills["order_id"]), fills["energy_wh"])
    return np.concatenate((fills, supplier_fills(book, left, tariff)[0]))

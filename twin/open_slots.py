"""What is handed in for running and later slots, for a mechanism that trades ahead (settling or shadow)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from market.ahead import Ahead, Distributes, LetsLeave, TradesAhead, net_position
from market.mechanism import Clearing, Mechanism, Payment, Tariff
from market.orders import BATTERY, SELL, Fills, Orders
from twin.ahead import FIRST_ID, quoted

TariffOf = Callable[[int], Tariff]
Admitted = Callable[[Orders], Orders]


@dataclass(frozen=True)
class Cleared:
    """A clearing, and all orders of its interval by id: the running ones less what stands, and what stands."""

    clearing: Clearing
    book: Orders


class OpenSlots:
    """Opens slots, hands in orders ahead, and nets what stands for the running slot with its orders."""

    def __init__(
        self,
        slots: TradesAhead,
        market: Mechanism,
        tariff_of: TariffOf,
        admitted: Admitted | None = None,
    ) -> None:
        """Bind a mechanism.

        Args:
            slots: keeps the slots open.
            market: it, or what serves others before it; it leaves out by itself what is not admitted.
            tariff_of: the supplier's prices by interval.
            admitted: which committed energy may be traded; None: all.
        """
        self._slots = slots
        self._market = market
        self._tariff_of = tariff_of
        self._admitted = admitted
        self._opened = 0

    def clear(self, interval: int, orders: Orders, ahead: Ahead) -> Cleared:
        """Clear one interval and trade in the slots after it."""
        tariff = self._tariff_of(interval)
        index = self._slots.index_micro_per_kwh
        if index is None:
            index = (tariff.retail_micro_per_kwh + tariff.feed_in_micro_per_kwh) // 2
        later = quoted(ahead.orders, index)
        stock = ahead.stock if self._admitted is None else self._admitted(ahead.stock)
        self._open(interval, stock)
        if isinstance(self._slots, LetsLeave):
            for participant, ppm in ahead.leaving:
                self._slots.leave(interval, participant, ppm)
        stands = self._slots.take_position(interval)
        # what is committed now has not lost anything yet: its slots open once the others have aged
        self._open(max((interval, *later["interval"].tolist(), *stock["interval"].tolist())), stock)
        standing = np.concatenate((stands.traded, stands.stock))
        running = net_position(orders, standing)
        clearing = self._market.clear(np.concatenate((running, later)), tariff, interval)
        book = np.concatenate((running, standing))
        return Cleared(clearing, book[np.argsort(book["id"])])

    def distribute(self, interval: int, fills: Fills) -> tuple[Payment, ...]:
        """What the mechanism owes besides its fills where all of them flow (the supplier's included)."""
        if not isinstance(self._slots, Distributes):
            return ()
        return self._slots.distribute(interval, fills, fills["energy_wh"].copy())

    def _open(self, last: int, stock: Orders) -> None:
        for slot in range(self._opened, last + 1):
            self._slots.open_slot(slot, self._tariff_of(slot), stock[stock["interval"] == slot])
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

"""Order routing: every slice of an order goes where it is worth most: book, pool or supplier."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from market.amm import DissipativePool
from market.errors import PoolRefusalError, RangeError
from market.mechanism import Tariff
from market.money import buyer_pays_up_micro, seller_gets_down_micro
from market.order_book import OrderBook, Trade
from market.orders import BUY, SELL, Orders, empty_orders


class Venue(Protocol):
    """Somewhere an order can go."""

    name: str

    def quote(self, side: int, energy_wh: int) -> int | None:
        """Return the money the trader would receive (negative: pay) for exactly this energy, or nothing."""
        ...

    def execute(self, order: Orders, energy_wh: int) -> int:
        """Trade exactly this energy of an order (a row of ``ORDER_DTYPE``); return the money received."""
        ...


@dataclass(frozen=True)
class Leg:
    """A part of an order at one venue; ``money_micro`` is received (negative: paid)."""

    venue: str
    energy_wh: int
    money_micro: int


class SupplierVenue:
    """The supplier: any amount at the tariff."""

    def __init__(self, tariff: Tariff) -> None:
        self.name = "supplier"
        self._tariff = tariff

    def quote(self, side: int, energy_wh: int) -> int | None:
        """Return retail cost or feed-in income."""
        if side == BUY:
            return -buyer_pays_up_micro(energy_wh, self._tariff.retail_micro_per_kwh)
        return seller_gets_down_micro(energy_wh, self._tariff.feed_in_micro_per_kwh)

    def execute(self, order: Orders, energy_wh: int) -> int:
        """As quoted."""
        money = self.quote(int(order["side"]), energy_wh)
        assert money is not None
        return money


class PoolVenue:
    """A dissipative pool."""

    def __init__(self, pool: DissipativePool) -> None:
        self.name = "pool"
        self._pool = pool

    def quote(self, side: int, energy_wh: int) -> int | None:
        """Return the pool's quote, nothing where it refuses."""
        try:
            if side == BUY:
                return -self._pool.quote_buy(energy_wh).money_micro
            return self._pool.quote_sell(energy_wh).money_micro
        except PoolRefusalError:
            return None

    def execute(self, order: Orders, energy_wh: int) -> int:
        """Swap."""
        if order["side"] == BUY:
            return -self._pool.buy(energy_wh).money_micro
        return self._pool.sell(energy_wh, int(order["participant"]), int(order["device"])).money_micro


class BookVenue:
    """An order book: what stands on the other side."""

    def __init__(self, book: OrderBook) -> None:
        self.name = "book"
        self.trades: list[Trade] = []
        """Every trade that was made here, in order."""
        self._book = book

    def quote(self, side: int, energy_wh: int) -> int | None:
        """Return the value at the resting prices, nothing where the book is too thin."""
        value, left = 0, energy_wh
        for price, open_wh in self._book.depth(-side):
            take = min(left, open_wh)
            value += take * price
            left -= take
        if left:
            return None
        return side * value // 1000

    def execute(self, order: Orders, energy_wh: int) -> int:
        """Send a market order of this size."""
        slice_ = empty_orders(1)
        slice_[0] = order
        slice_["energy_wh"] = energy_wh
        trades = self._book.submit(slice_, market=True)
        self.trades += trades
        value = sum(t.energy_wh * t.price_micro_per_kwh for t in trades)
        return int(order["side"]) * value // 1000


def route(order: Orders, venues: list[Venue], slices: int = 10) -> list[Leg]:
    """Send an order in ``slices`` to whichever venue gives most for the next slice (ties: the first named).

    Slices that no venue serves within the order's limit are not traded: they are missing from the legs. With
    convex costs, as book, pool and supplier have, that is the best division in slices of this size.

    Raises:
        RangeError: Energy or number of slices is not positive.
    """
    energy, side = int(order["energy_wh"]), int(order["side"])
    if energy <= 0 or slices <= 0 or side not in (SELL, BUY):
        raise RangeError(f"routing: got {energy} Wh in {slices} slices, side {side}")
    sizes = np.diff([energy * i // slices for i in range(slices + 1)])
    legs: dict[str, Leg] = {}
    for size in sizes[sizes > 0].tolist():
        best = _best(order, venues, size)
        if best is None:
            continue
        money = best.execute(order, size)
        before = legs.get(best.name, Leg(best.name, 0, 0))
        legs[best.name] = Leg(best.name, before.energy_wh + size, before.money_micro + money)
    return list(legs.values())


def _best(order: Orders, venues: list[Venue], energy_wh: int) -> Venue | None:
    """Return the venue that gives most, within the limit, or nothing."""
    side = int(order["side"])
    worst = side * int(order["price_micro_per_kwh"]) * energy_wh
    found: Venue | None = None
    most = 0
    for venue in venues:
        money = venue.quote(side, energy_wh)
        if money is not None and money * 1000 >= worst and (found is None or money > most):
            found, most = venue, money
    return found

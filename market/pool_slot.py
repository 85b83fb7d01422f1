"""One slot of the pool market: its pool, its book, the orders it has seen, and every piece that was executed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market.ageing import retention
from market.amm import DissipativePool
from market.claims import Claim
from market.errors import RangeError
from market.fills import joined
from market.liquidity import Arbitrageur
from market.mechanism import Tariff
from market.order_book import OrderBook, Trade
from market.orders import BUY, SELL, Orders, empty_orders
from market.routing import BookVenue, PoolVenue, SupplierVenue, route

_Ints = npt.NDArray[np.int64]
BOOK, SWAP, ARBITRAGE = range(3)
LEAST_STOCK_WH = 100
"""Less stored energy opens no pool of its own."""
_EDGE_PPM = 20_000
SLICES = 4


@dataclass(frozen=True)
class Piece:
    """A part of an order (by row) that was executed.

    ``value`` is what its owner receives (negative: pays) in thousandths of a micro, so that prices stay exact;
    ``swap_micro`` is, of an arbitrageur's piece, what the pool paid him (negative: he paid).
    """

    row: int
    energy_wh: int
    venue: int
    value: int
    swap_micro: int = 0


@dataclass(frozen=True)
class PoolTerms:
    """Of all pools: the fund's size, fee, losses per hour, and how long an interval lasts."""

    capacity_wh: int
    fee_ppm: int
    self_discharge_ppm_per_h: int
    interval_s: int
    rounds: int = 1


def elapsed(energy_wh: int, stock_wh: int, left: int, parts: int) -> tuple[int, int]:
    """Return what a running slot takes out of a pool when ``left`` of its ``parts`` remain: (stored Wh, other Wh).

    A device that could have delivered over ``parts`` can deliver that share of it only; what else is in the pool has
    flowed as it was produced. A pool that has energy keeps at least 1 Wh of it, so that its price stands.
    """
    inside = min(stock_wh, energy_wh)
    other = energy_wh - inside
    stored, flowed = inside - inside * left // parts, other - other * left // parts
    if stored + flowed >= energy_wh > 0:
        stored, flowed = (stored - 1, flowed) if stored else (stored, flowed - 1)
    return stored, flowed


def open_pool(terms: PoolTerms, tariff: Tariff, price_micro_per_kwh: int, stock: Orders) -> DissipativePool:
    """Open a pool at a price (kept 2 % of the band away from its ends).

    With stock the providers bring energy and the cash that the curve needs, and the curve is as deep as their energy
    makes it at that price. Without, the community's fund opens it empty: the price is then the top of its band.

    Raises:
        RangeError: The band is empty, or the pool too large for exact arithmetic.
    """
    low, high = tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh
    if high - low < 2:
        raise RangeError(f"pool: feed-in {low} and retail {high} micro per kWh leave no band to trade in")
    edge = max(1, (high - low) * _EDGE_PPM // 1_000_000)
    price = min(max(price_micro_per_kwh, low + edge), max(low + 1, high - edge))
    energy = int(stock["energy_wh"].sum())
    if energy < LEAST_STOCK_WH:
        return DissipativePool(Tariff(price, low), terms.capacity_wh, terms.fee_ppm, "fund")
    claims = tuple(Claim(int(row["participant"]), int(row["device"]), int(row["energy_wh"])) for row in stock)
    least, most = energy, energy * 128

    def pool_of(capacity_wh: int) -> DissipativePool:
        return DissipativePool(tariff, capacity_wh, terms.fee_ppm, "providers", claims)

    while most - least > max(1, energy // 256):
        middle = (least + most) // 2
        if pool_of(middle).price_micro_per_kwh >= price:
            most = middle
        else:
            least = middle
    return pool_of(most)


class PoolSlot:
    """The pool and the book of one delivery interval."""

    def __init__(
        self, interval: int, tariff: Tariff, terms: PoolTerms, price_micro_per_kwh: int, stock: Orders
    ) -> None:
        self.interval = interval
        self.tariff = tariff
        self.pool = open_pool(terms, tariff, price_micro_per_kwh, stock)
        self.opening_cash_micro = self.pool.opening_cash_micro
        self.opening_price = int(self.pool.price_micro_per_kwh)
        provided = self.pool.energy_wh
        self.stock = stock if provided else empty_orders()
        self.stock_wh = self.provided_wh = provided
        self.withdrawn_wh = 0
        self.orders: Orders = empty_orders()
        self.pieces: list[Piece] = []
        self.dissipated_wh = 0
        self.book = OrderBook(interval)
        self.terms = terms
        self._row_of: dict[int, int] = {}
        self._arrivals = 0
        self.opening_state: _Ints = self.pool.state.copy()
        self.breaks: list[
            tuple[int, int, int]
        ] = []  # (pieces before it, parts of the slot left, of how many)
        self.opening_stock_wh = 0  # in the pool when its own interval begins
        self.stayed_wh = self.flowed_wh = 0  # left the pool while the slot ran: stored energy, and other
        self.first_running = 0  # index of the first piece of the running interval
        self.closing_price = 0
        self.residual_wh = 0

    def age(self, from_interval: int, to_interval: int) -> None:
        """Burn what the stock that nobody bought lost between the starts of two intervals, at constant price.

        Only stored energy loses: a claim on a roof's later output has not been produced yet. A slot is cleared at its
        start and closed there, so no part of it is ever over.
        """
        inside = min(self.stock_wh, self.pool.energy_wh)
        step, start = self.terms.interval_s, self.interval * self.terms.interval_s
        if not inside or to_interval <= from_interval:
            return
        times = (from_interval * step, to_interval * step, start, start + step)
        num, den = retention(self.terms.self_discharge_ppm_per_h, *times)
        lost = min(inside - inside * num // den, self.pool.energy_wh - 1)
        if lost > 0:
            self.pool.age(self.pool.energy_wh - lost, self.pool.energy_wh)
            self.stock_wh -= lost
            self.dissipated_wh += lost

    def rest(self, orders: Orders) -> None:
        """Match orders with the book in order of (time, id); what is left of them rests."""
        arriving = self._register(orders)
        self._booked(self.book.submit(arriving))

    def begin(self) -> None:
        """The slot's own interval begins: what happens from here on is executed again after a cut."""
        for order_id in self.book.open_orders["id"].tolist():
            self.book.cancel(order_id)
        self.opening_state = self.pool.state.copy()
        self.opening_stock_wh = self.stock_wh
        self.first_running = len(self.pieces)

    def serve(self, orders: Orders) -> None:
        """Send each order, by (time, id), to the best of pool, book and supplier; what no neighbour takes rests.

        The orders come in as many rounds as the terms say; between two of them the slot runs on.
        """
        rounds = self.terms.rounds
        for place, arriving in enumerate(np.array_split(self._register(orders), rounds)):
            self._round(arriving)
            if place + 1 < rounds:
                self._run_on(rounds - place - 1, rounds - place)

    def _run_on(self, left: int, parts: int) -> None:
        """Take out of the pool, at constant price, what can no longer be delivered or has flowed to the grid."""
        inside = min(self.stock_wh, self.pool.energy_wh)
        stored, flowed = elapsed(self.pool.energy_wh, self.stock_wh, left, parts)
        self.breaks.append((len(self.pieces), left, parts))
        if stored + flowed:
            self.pool.age(self.pool.energy_wh - stored - flowed, self.pool.energy_wh)
            self.pool.tip(max(0, self.tariff.feed_in_micro_per_kwh * flowed // 1000))
        self.stock_wh = inside - stored
        self.stayed_wh += stored
        self.flowed_wh += flowed

    def _round(self, orders: Orders) -> None:
        pool, supplier = PoolVenue(self.pool), SupplierVenue(self.tariff)
        for arriving in orders:
            order, row = arriving, self._row_of[int(arriving["id"])]
            book = BookVenue(self.book)
            left = int(order["energy_wh"])
            for leg in route(order, [pool, book, supplier], SLICES):
                if leg.venue == pool.name:
                    self.pieces.append(Piece(row, leg.energy_wh, SWAP, leg.money_micro * 1000))
                if leg.venue != supplier.name:
                    left -= leg.energy_wh
            self._booked(book.trades)
            if left:
                rest = empty_orders(1)
                rest[0] = order
                rest["energy_wh"] = left
                self._booked(self.book.submit(rest))

    def arbitrage(self, trader: Arbitrageur, most_wh: int) -> None:
        """Let an arbitrageur take what rests in the book as far as the pool pays more, or sells for less."""
        for side in (SELL, BUY):
            left = most_wh
            while left > 0:
                levels = self.book.depth(side)
                if not levels:
                    break
                price, open_wh = levels[0]
                energy, profit = trader.best(self.pool, price, min(left, open_wh), buying=side == BUY)
                if profit <= 0:
                    break
                self._take(trader, side, energy)
                left -= energy

    def _take(self, trader: Arbitrageur, side: int, energy_wh: int) -> None:
        """Trade with the book's best orders of one side, and the same energy with the pool."""
        taker = empty_orders(1)
        taker["id"], taker["side"], taker["energy_wh"] = -1 - self._arrivals, -side, energy_wh
        taker["interval"], taker["time"] = self.interval, self._arrivals
        self._arrivals += 1
        for trade in self.book.submit(taker, market=True):
            row, energy = self._row_of[trade.maker_id], trade.energy_wh
            owner = self.orders[row]
            if side == SELL:
                money = self.pool.sell(energy, int(owner["participant"]), int(owner["device"])).money_micro
            else:
                money = -self.pool.buy(energy).money_micro
            value = side * energy * trade.price_micro_per_kwh
            self.pieces.append(Piece(row, energy, ARBITRAGE, value, money))
            trader.account.money_micro += money - -(-value // 1000)
            trader.account.volume_wh += energy

    def executed_wh(self) -> _Ints:
        """Executed energy per order (by row)."""
        energy = np.zeros(self.orders.size, dtype=np.int64)
        for piece in self.pieces:
            energy[piece.row] += piece.energy_wh
        return energy

    def values(self) -> list[int]:
        """What each order's owner receives, in thousandths of a micro (by row)."""
        value = [0] * self.orders.size
        for piece in self.pieces:
            value[piece.row] += piece.value
        return value

    def arbitrage_micro(self, pieces: Sequence[Piece] | None = None) -> int:
        """Profit of the arbitrageur; each of his trades with the book is rounded to his cost."""
        mine = (p for p in (self.pieces if pieces is None else pieces) if p.venue == ARBITRAGE)
        return sum(piece.swap_micro - -(-piece.value // 1000) for piece in mine)

    def close(self) -> None:
        """Stop trading: stored energy that nobody bought stays where it is, the rest goes to the grid at feed-in."""
        self.closing_price = int(self.pool.price_micro_per_kwh)
        kept = min(self.stock_wh, self.pool.energy_wh)
        self.residual_wh = self.pool.energy_wh - kept + self.flowed_wh
        self.kept_wh = kept + self.stayed_wh
        self.pool.close(kept_wh=kept)

    def _register(self, orders: Orders) -> Orders:
        """Remember orders and return them in order of arrival, numbered after all that came before."""
        arriving = orders[np.lexsort((orders["id"], orders["time"]))].copy()
        for offset, order_id in enumerate(arriving["id"].tolist()):
            self._row_of[order_id] = self.orders.size + offset
        self.orders = joined((self.orders, arriving))
        arriving["time"] = np.arange(self._arrivals, self._arrivals + arriving.size)
        self._arrivals += arriving.size
        return arriving

    def row_of(self, order_id: int) -> int | None:
        """Row of an order; None where the slot has not seen it."""
        return self._row_of.get(order_id)

    def _booked(self, trades: Sequence[Trade]) -> None:
        """Book trades at the resting order's price, one piece for either side."""
        for trade in trades:
            for order_id in (trade.maker_id, trade.taker_id):
                row = self._row_of[order_id]
                side = int(self.orders["side"][row])
                value = side * trade.energy_wh * trade.price_micro_per_kwh
                self.pieces.append(Piece(row, trade.energy_wh, BOOK, value))

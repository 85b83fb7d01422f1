"""The dissipative pool as a mechanism: one pool per delivery interval, orders executed one after the other.

A pool opens without energy and with the cash that the curve needs, brought by the community's fund (account
``pool``); the price of the empty pool is a parameter between feed-in and retail, and falls as energy comes
in. Orders execute in order of (time, id), as far as their limit (fee included), the band and the pool
allow; what is left of an order is tried again after the others. So every Wh in the pool was sold by an
order and is a claim on its device.

When the interval closes, energy that nobody bought goes back to its sellers, youngest claim first: they meet the
supplier like anybody with unsold surplus. Amounts decide prices, so what was accepted is executed again from the
opening state, until nothing is left over; the gate's cut needs the same. Sales therefore equal purchases in every
result, and the fund does not lose by it: the pool is back at its opening energy with at least its opening cash.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market.amm import DissipativePool
from market.amm_order import PASSES, return_unsold, run_amounts, run_orders, run_pieces
from market.errors import OrderError
from market.fills import fills_priced, joined
from market.mechanism import Clearing, Tariff
from market.money import residue_micro
from market.orders import SELL, Fills, Orders, empty_orders
from market.validate import check_orders, check_tariff

_Ints = npt.NDArray[np.int64]
_SMOOTH_ROUNDS = 30
KEPT = 8
"""Clearings that can be executed again: in a co-simulation the market may be ahead of the ledger."""


@dataclass
class _Sequence:
    """Orders of one interval in order of arrival, and the pieces in which they were executed."""

    orders: Orders
    tariff: Tariff
    piece_order: _Ints
    piece_wh: _Ints

    @property
    def side(self) -> npt.NDArray[np.int8]:
        return np.ascontiguousarray(self.orders["side"])

    def energy_wh(self) -> _Ints:
        """Return the executed Wh per order."""
        energy = np.zeros(self.orders.size, dtype=np.int64)
        np.add.at(energy, self.piece_order, self.piece_wh)
        return energy


def whole_prices(side: npt.NDArray[np.int8], energy_wh: _Ints, money: _Ints) -> _Ints:
    """Return the price per order whose fill moves at least the curve's money, rounded in favour of the fund."""
    price = np.zeros(side.size, dtype=np.int64)
    for i in np.flatnonzero(energy_wh):
        price[i] = int(side[i]) * (int(money[i]) * 1000 // int(energy_wh[i]))
    return price


class AmmMarket:
    """Dissipative constant-product pools, one per delivery interval.

    Args:
        capacity_wh: energy in the pool at which its price reaches feed-in; small: steep, large: flat.
        fee_ppm: fee in millionths of the money, at least 1.
        opening_ppm_of_band: price of the empty pool between feed-in (0) and retail (1_000_000).
        horizon: orders may be placed for so many intervals ahead; they execute when their interval is cleared.
    """

    def __init__(
        self,
        capacity_wh: int = 50_000,
        fee_ppm: int = 1_000,
        opening_ppm_of_band: int = 500_000,
        horizon: int = 0,
    ) -> None:
        self.name = "amm"
        self._capacity_wh = capacity_wh
        self._fee_ppm = fee_ppm
        self._opening_ppm = opening_ppm_of_band
        self._horizon = horizon
        self._waiting: dict[int, Orders] = {}
        self._done: dict[int, _Sequence] = {}

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Execute all orders for ``interval`` that came until now, and close its pool.

        Raises:
            OrderError: Invalid orders, or an id that the interval has seen before; nothing is changed.
            RangeError: The tariff leaves no band (feed-in equals retail) or the capacity is out of range.
        """
        check_orders(orders, interval, interval + self._horizon)
        check_tariff(tariff)
        self._check_new(orders)
        pool = self._open(tariff)
        for slot in np.unique(orders["interval"]).tolist():
            mine = orders[orders["interval"] == slot]
            mine = mine[np.lexsort((mine["id"], mine["time"]))]
            self._waiting[slot] = joined((self._waiting.get(slot, empty_orders()), mine))
        book = self._waiting.pop(interval, empty_orders())
        self._waiting = {slot: book for slot, book in self._waiting.items() if slot > interval}
        sequence, money, rounds = self._execute(book, tariff, pool)
        self._done[interval] = sequence
        for old in list(self._done)[:-KEPT]:
            del self._done[old]
        return self._clearing(sequence, money, rounds)

    def reexecute(self, fills: Fills, accepted_wh: _Ints) -> Fills:
        """Execute the accepted Wh per row from the opening state; return the rows with their final prices.

        Nobody pays or gets a price beyond his limit: the fund bears the difference. Rows that the pool cannot
        execute at all (a cut that leaves sales and purchases unequal) keep their price.

        Raises:
            OrderError: The rows are not those of one of the last ``KEPT`` clearings.
        """
        final = fills.copy()
        if not fills.size:
            return final
        sequence = self._done.get(int(fills["interval"][0]))
        if sequence is None or not np.isin(fills["order_id"], sequence.orders["id"]).all():
            raise OrderError("amm: the fills are not those of a clearing that is still known")
        row_of = {int(order_id): row for row, order_id in enumerate(sequence.orders["id"])}
        rows = np.array([row_of[int(i)] for i in fills["order_id"]], dtype=np.int64)
        accepted = np.zeros(sequence.orders.size, dtype=np.int64)
        accepted[rows] = accepted_wh
        piece_wh = self._first_come(sequence, accepted)
        money = np.zeros(accepted.size, dtype=np.int64)
        pool = self._open(sequence.tariff)
        shift = pool.shift_micro_per_wh
        left = run_amounts(pool.state, shift, sequence.side, sequence.piece_order, piece_wh, money)
        if left:
            return final
        price = whole_prices(sequence.side, accepted, money)[rows]
        limit = fills["limit_micro_per_kwh"]
        fair = np.where(fills["side"] == SELL, np.maximum(price, limit), np.minimum(price, limit))
        final["price_micro_per_kwh"] = np.where(accepted_wh > 0, fair, fills["price_micro_per_kwh"])
        return final

    def _open(self, tariff: Tariff) -> DissipativePool:
        low, high = tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh
        empty = low + (high - low) * self._opening_ppm // 1_000_000
        return DissipativePool(Tariff(empty, low), self._capacity_wh, self._fee_ppm, "pool")

    def _check_new(self, orders: Orders) -> None:
        for slot, waiting in self._waiting.items():
            used = np.intersect1d(waiting["id"], orders["id"][orders["interval"] == slot])
            if used.size:
                raise OrderError([f"order {i}: the id was used before in interval {slot}" for i in used])

    def _execute(self, book: Orders, tariff: Tariff, pool: DissipativePool) -> tuple[_Sequence, _Ints, int]:
        """Run the orders, then give unsold energy back and run again until sales equal purchases."""
        side = np.ascontiguousarray(book["side"])
        limit = np.ascontiguousarray(book["price_micro_per_kwh"])
        wanted = np.ascontiguousarray(book["energy_wh"])
        opening, shift = pool.state.copy(), pool.shift_micro_per_wh
        piece_order, piece_wh = (np.zeros(PASSES * book.size, dtype=np.int64) for _ in range(2))
        n = run_orders(pool.state, shift, side, limit, wanted, piece_order, piece_wh)
        sequence = _Sequence(book, tariff, piece_order[:n], piece_wh[:n])
        rounds, whole = 0, False
        money = np.zeros(book.size, dtype=np.int64)
        while not whole:
            return_unsold(side, sequence.piece_order, sequence.piece_wh)
            money = np.zeros(book.size, dtype=np.int64)
            rounds += 1
            whole = run_pieces(
                opening.copy(),
                shift,
                side,
                limit,
                sequence.piece_order,
                sequence.piece_wh,
                money,
                rounds > _SMOOTH_ROUNDS,
            )
        return sequence, money, rounds

    @staticmethod
    def _clearing(sequence: _Sequence, money: _Ints, rounds: int) -> Clearing:
        energy = sequence.energy_wh()
        price = whole_prices(sequence.side, energy, money)
        fills = fills_priced(sequence.orders, energy, price)
        volume = int(energy[sequence.orders["side"] == SELL].sum())
        if volume == 0:
            return Clearing(fills, None, 0)
        paid = -int(money[sequence.orders["side"] != SELL].sum())
        return Clearing(fills, paid * 1000 // volume, volume, residue_micro(fills), {"rounds": rounds})

    @staticmethod
    def _first_come(sequence: _Sequence, accepted: _Ints) -> _Ints:
        """Return Wh per piece: what was accepted of an order goes to its earliest pieces."""
        left = accepted.copy()
        piece_wh = np.zeros(sequence.piece_order.size, dtype=np.int64)
        for j, i in enumerate(sequence.piece_order):
            piece_wh[j] = min(left[i], sequence.piece_wh[j])
            left[i] -= piece_wh[j]
        return piece_wh

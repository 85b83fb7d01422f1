"""Bilateral preferences: who would rather trade with whom, served before the anonymous market.

A preference belongs to a buyer: a named neighbour, green energy only (a claim on a PV plant), a maximum electrical
distance, or several of these at once. Pairs that satisfy one are matched in merit order (highest bid first, then the
cheapest admissible ask; ties by time, id) at the middle of bid and ask, rounded down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market.bilateral import OpenOrders
from market.errors import ContractError
from market.mcafee import merit_order
from market.orders import BUY, PV, SELL


@dataclass(frozen=True)
class Preference:
    """What a buyer (participant row) wants; conditions that are given must all hold.

    ``max_distance`` is in the unit of the matrix that is passed to ``serve_preferences`` (for instance Ohm).
    """

    buyer: int
    neighbour: int | None = None
    green: bool = False
    max_distance: float | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.neighbour is None and not self.green and self.max_distance is None:
            problems.append(f"preference of {self.buyer}: give a neighbour, green or max_distance")
        if self.neighbour == self.buyer:
            problems.append(f"preference of {self.buyer}: the neighbour cannot be the buyer")
        if self.max_distance is not None and not self.max_distance >= 0:
            problems.append(f"preference of {self.buyer}: max_distance is {self.max_distance}; must be >= 0")
        if problems:
            raise ContractError(problems)


def _admissible(
    book: OpenOrders, sell_row: int, wish: Preference, distance: npt.NDArray[np.float64] | None
) -> bool:
    order = book.orders[sell_row]
    seller = int(order["participant"])
    if seller == wish.buyer or (wish.neighbour is not None and seller != wish.neighbour):
        return False
    if wish.green and order["device"] != PV:
        return False
    if wish.max_distance is None or distance is None:
        return wish.max_distance is None
    return bool(distance[seller, wish.buyer] <= wish.max_distance)


def serve_preferences(
    book: OpenOrders, wishes: Sequence[Preference], distance: npt.NDArray[np.float64] | None = None
) -> None:
    """Trade every pair of orders that satisfies a preference, at the middle of bid and ask.

    Args:
        book: the orders; changed in place.
        wishes: preferences in any order; a buyer may have several.
        distance: electrical distance between participant rows, shape (n, n); needed for ``max_distance``.

    Raises:
        ContractError: A preference has ``max_distance`` but no distances were given.
    """
    if distance is None and any(w.max_distance is not None for w in wishes):
        raise ContractError("preferences: max_distance needs the matrix of electrical distances")
    limit = book.orders["price_micro_per_kwh"]
    asks = merit_order(book.orders, SELL)
    for buy_row in merit_order(book.orders, BUY).tolist():
        mine = [w for w in wishes if w.buyer == book.orders["participant"][buy_row]]
        for sell_row in asks.tolist() if mine else ():
            energy = min(int(book.open_wh[buy_row]), int(book.open_wh[sell_row]))
            if energy == 0 or limit[sell_row] > limit[buy_row]:
                continue
            if any(_admissible(book, sell_row, w, distance) for w in mine):
                price = (int(limit[buy_row]) + int(limit[sell_row])) // 2
                book.trade_rows(sell_row, buy_row, energy, price)

"""McAfee's double auction: truthful and never in deficit, at the price of at most the least valuable trade.

Bids b1 >= b2 >= ..., asks s1 <= s2 <= ..., k the last pair with b_k >= s_k. With p = (b_{k+1} + s_{k+1})/2: if
s_k <= p <= b_k, all k trade at p. Otherwise the k-th pair does not trade, buyers pay b_k, sellers get s_k, and the
surplus (k-1)(b_k - s_k) stays with the pool.

The paper is about single units. Orders of different energy are treated as in the multi-unit trade reduction of
Huang et al.: the order that holds the marginal Wh plays the k-th trader, the next order the (k+1)-th; if the marginal
orders leave, the longer side is served in proportion. With equal energies this is the paper's mechanism to the letter;
otherwise truthfulness holds for whoever is not at the margin.

Sources: R. P. McAfee, "A dominant strategy double auction", J. Econ. Theory 56 (1992) 434-450; P. Huang,
A. Scheller-Wolf, K. Sycara, "Design of a multi-unit double auction e-market", Computational Intelligence 18 (2002)
596-617.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market.fills import fills_at
from market.mechanism import Clearing, Tariff
from market.money import residue_micro
from market.orders import BUY, SELL, Orders
from market.ration import ration
from market.validate import check_orders, check_tariff

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Margin:
    """The efficient volume, and the position of the marginal order in each merit order."""

    volume_wh: int
    bid: int
    ask: int


def merit_order(orders: Orders, side: int) -> Rows:
    """Return the rows of one side, best price first, ties by time, then id."""
    rows = np.flatnonzero(orders["side"] == side)
    book = orders[rows]
    keys = (book["id"], book["time"], book["price_micro_per_kwh"] * side)
    return rows[np.lexsort(keys)]


def _margin(orders: Orders, bids: Rows, asks: Rows) -> _Margin | None:
    """Return where the sorted bids and asks stop to match, or nothing if they never do."""
    price, energy = orders["price_micro_per_kwh"], orders["energy_wh"]
    bid, ask, volume = 0, 0, 0
    bid_left = ask_left = 0
    last = None
    while bid < bids.size and ask < asks.size and price[bids[bid]] >= price[asks[ask]]:
        bid_left = bid_left or int(energy[bids[bid]])
        ask_left = ask_left or int(energy[asks[ask]])
        step = min(bid_left, ask_left)
        volume += step
        last = _Margin(volume, bid, ask)
        bid_left -= step
        ask_left -= step
        bid += bid_left == 0
        ask += ask_left == 0
    return last


class McAfee:
    """McAfee's truthful double auction, in its multi-unit form."""

    def __init__(self) -> None:
        self.name = "mcafee"

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Clear the orders for delivery in ``interval``. Raises ``OrderError`` or ``TariffError``."""
        check_orders(orders, interval)
        check_tariff(tariff)
        bids, asks = merit_order(orders, BUY), merit_order(orders, SELL)
        margin = _margin(orders, bids, asks)
        accepted = np.zeros(orders.size, dtype=np.int64)
        if margin is None:
            return Clearing(fills_at(orders, accepted, 0, 0), None, 0)
        limit = orders["price_micro_per_kwh"]
        bid, ask = int(limit[bids[margin.bid]]), int(limit[asks[margin.ask]])
        price = self._single_price(limit, bids, asks, margin)
        if price is not None and ask <= price <= bid:
            self._serve(orders, bids[: margin.bid + 1], margin.volume_wh, False, accepted)
            self._serve(orders, asks[: margin.ask + 1], margin.volume_wh, False, accepted)
            fills = fills_at(orders, accepted, price, price)
            return Clearing(fills, price, margin.volume_wh, residue_micro(fills), {"reduced": 0})
        buyers, sellers = bids[: margin.bid], asks[: margin.ask]
        energy = orders["energy_wh"]
        volume = min(int(energy[buyers].sum()), int(energy[sellers].sum()))
        self._serve(orders, buyers, volume, True, accepted)
        self._serve(orders, sellers, volume, True, accepted)
        fills = fills_at(orders, accepted, bid, ask)
        details = {"reduced": 1, "buy_price_micro_per_kwh": bid, "sell_price_micro_per_kwh": ask}
        return Clearing(fills, (bid + ask) // 2 if volume else None, volume, residue_micro(fills), details)

    @staticmethod
    def _single_price(limit: npt.NDArray[np.int64], bids: Rows, asks: Rows, margin: _Margin) -> int | None:
        """Return (b_{k+1} + s_{k+1})/2, or nothing if either does not exist."""
        if margin.bid + 1 >= bids.size or margin.ask + 1 >= asks.size:
            return None
        return (int(limit[bids[margin.bid + 1]]) + int(limit[asks[margin.ask + 1]])) // 2

    @staticmethod
    def _serve(
        orders: Orders, rows: Rows, volume_wh: int, pro_rata: bool, accepted: npt.NDArray[np.int64]
    ) -> None:
        """Serve rows in merit order until the volume is reached, or all in proportion."""
        if pro_rata:
            ration(orders, rows, volume_wh, True, accepted)
            return
        before = np.concatenate(([0], np.cumsum(orders["energy_wh"][rows])))[:-1]
        accepted[rows] = np.clip(volume_wh - before, 0, orders["energy_wh"][rows])

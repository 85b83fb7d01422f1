"""Uniform-price call auction (k-double auction), cleared on a histogram of price levels instead of a sort.

The volume is the largest that both sides accept, V = max_p min(D(p), S(p)). The prices that clear it form the
interval [max(s*, next bid), min(b*, next ask)], where s* and b* are the marginal accepted ask and bid and the
"next" ones are the best that stay (partly) unserved: exactly the dual solutions of the welfare LP. The
k-double auction picks (1-k)*low + k*high of it. At the margin the earlier order (time, then id) is served
first, or all in proportion to their energy.

Sources: M. A. Satterthwaite, S. R. Williams, "Bilateral trade with the sealed bid k-double auction: existence and
efficiency", J. Econ. Theory 48 (1989) 107-133 (two traders); A. Rustichini, M. A. Satterthwaite, S. R. Williams,
"Convergence to efficiency in a simple market with incomplete information", Econometrica 62 (1994) 1041-1063 (many).
Example 5a of the white paper "Electricity spot market design 2030-2050" (M. Bichler et al., 2021) is a test.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from market.errors import OrderError
from market.fills import fills_at
from market.mechanism import Clearing, Tariff
from market.money import residue_micro
from market.orders import Orders
from market.ration import ration
from market.validate import check_orders, check_tariff

_LEVELS_PER_ORDER = 32
_MILLION = 1_000_000


@njit(cache=True)
def price_levels(price):  # type: ignore[no-untyped-def]
    """Return (key per order, key of the lowest level, price of each level).

    Every tick of a narrow range is a level (the key is the price itself), of a wide range every price met.
    """
    low = price[0]
    high = price[0]
    for i in range(price.size):
        low = min(low, price[i])
        high = max(high, price[i])
    span = high - low + 1
    if span <= _LEVELS_PER_ORDER * price.size:
        return price, low, np.arange(low, low + span)
    ordered = np.unique(price)
    return np.searchsorted(ordered, price), np.int64(0), ordered


@njit(cache=True)
def clear_levels(side, energy_wh, key, first, n_levels):  # type: ignore[no-untyped-def]
    """Return (volume, s*, b*, low, high, Wh better than s*, Wh better than b*): levels of margins and interval."""
    # one array with an offset instead of a branch: the side of the next order cannot be predicted
    sums = np.zeros(2 * n_levels, dtype=np.int64)
    for i in range(side.size):
        sums[key[i] - first + (n_levels if side[i] < 0 else 0)] += energy_wh[i]
    supply, demand = sums[:n_levels], sums[n_levels:]
    for t in range(n_levels - 2, -1, -1):
        demand[t] += demand[t + 1]
    volume = np.int64(0)
    for t in range(n_levels):
        if t > 0:
            supply[t] += supply[t - 1]
        volume = max(volume, min(supply[t], demand[t]))
    if volume == 0:
        return volume, 0, 0, 0, 0, volume, volume
    # supply rises with the level and demand falls, so the margins are where they reach or pass the volume
    ask = np.searchsorted(supply, volume)
    next_ask = np.searchsorted(supply, volume + 1)
    bid = n_levels - 1 - np.searchsorted(demand[::-1], volume)
    next_bid = n_levels - 1 - np.searchsorted(demand[::-1], volume + 1)
    sold = supply[ask - 1] if ask > 0 else np.int64(0)
    bought = demand[bid + 1] if bid + 1 < n_levels else np.int64(0)
    return volume, ask, bid, max(ask, next_bid), min(bid, next_ask), sold, bought


@njit(cache=True)
def _accept(side, energy_wh, key, ask_key, bid_key, accepted_wh, margin):  # type: ignore[no-untyped-def]
    """Accept everything better than the margins; write the rows at the margins, return their number."""
    n = 0
    for i in range(side.size):
        sign = np.int64(side[i])
        signed = sign * key[i]
        limit = ask_key if sign > 0 else -bid_key
        accepted_wh[i] = energy_wh[i] if signed < limit else 0
        if signed == limit:
            margin[n] = i
            n += 1
    return n


@njit(cache=True)
def clear_columns(side, energy_wh, price, k_ppm, margin):  # type: ignore[no-untyped-def]
    """Clear valid columns: returns (price, volume, accepted Wh, rows at the margins in ``margin``, sold, bought).

    Everything but the margins is decided; ``sold`` and ``bought`` are the Wh accepted beyond them.
    """
    accepted = np.zeros(side.size, dtype=np.int64)
    nothing = np.int64(0)
    if side.size == 0:
        return nothing, nothing, accepted, 0, nothing, nothing
    key, first, prices = price_levels(price)
    volume, ask, bid, low, high, sold, bought = clear_levels(side, energy_wh, key, first, prices.size)
    if volume == 0:
        return nothing, nothing, accepted, 0, nothing, nothing
    n = _accept(side, energy_wh, key, first + ask, first + bid, accepted, margin)
    step = (prices[high] - prices[low]) * k_ppm // _MILLION
    return prices[low] + step, volume, accepted, n, sold, bought


@njit(cache=True)
def clear_call(orders, k_ppm, tick, pro_rata):  # type: ignore[no-untyped-def]
    """Clear valid orders. Returns (price, volume, accepted Wh per order); volume 0 means no price."""
    n = orders.size
    side = np.empty(n, dtype=np.int8)
    energy = np.empty(n, dtype=np.int64)
    price = np.empty(n, dtype=np.int64)
    for i in range(n):
        side[i] = orders[i]["side"]
        energy[i] = orders[i]["energy_wh"]
        price[i] = orders[i]["price_micro_per_kwh"]
    if tick > 1:
        price //= tick
    margin = np.empty(n, dtype=np.int64)
    at, volume, accepted, m, sold, bought = clear_columns(side, energy, price, k_ppm, margin)
    rows = margin[:m]
    ration(orders, rows[side[rows] > 0], volume - sold, pro_rata, accepted)
    ration(orders, rows[side[rows] < 0], volume - bought, pro_rata, accepted)
    return at * tick, volume, accepted


class CallAuction:
    """Uniform-price call auction.

    Args:
        k_ppm: 0 gives the lowest clearing price, 1_000_000 the highest, 500_000 the middle (rounded down).
        tick_micro_per_kwh: limits must be whole multiples; the price is one.
        rationing: who is served at the margin: 'time' (earlier first) or 'pro_rata' (largest remainder).
    """

    def __init__(
        self,
        k_ppm: int = 500_000,
        tick_micro_per_kwh: int = 1,
        rationing: Literal["time", "pro_rata"] = "time",
    ) -> None:
        self.name = "call_auction"
        self._k_ppm = k_ppm
        self._tick = tick_micro_per_kwh
        self._pro_rata = rationing == "pro_rata"

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Clear the orders for delivery in ``interval``. The tariff bounds bids, not this mechanism.

        Raises:
            OrderError: The book is not valid, with every problem found.
            TariffError: The tariff is not a band.
        """
        check_orders(orders, interval)
        check_tariff(tariff)
        self._check_tick(orders)
        price, volume, accepted = clear_call(orders, self._k_ppm, self._tick, self._pro_rata)
        if volume == 0:
            return Clearing(fills_at(orders, accepted, 0, 0), None, 0)
        fills = fills_at(orders, accepted, price, price)
        return Clearing(fills, int(price), int(volume), residue_micro(fills))

    def _check_tick(self, orders: Orders) -> None:
        if self._tick == 1:
            return
        off: npt.NDArray[np.bool_] = orders["price_micro_per_kwh"] % self._tick != 0
        if off.any():
            raise OrderError(
                [
                    f"order {o['id']}: price_micro_per_kwh is {o['price_micro_per_kwh']}; "
                    f"must be a multiple of the tick {self._tick}"
                    for o in orders[off]
                ]
            )

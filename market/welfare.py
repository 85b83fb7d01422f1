"""Reference points of a comparison: the welfare optimum of a book, and the welfare of any allocation.

Welfare is what buyers would have paid at most, less what sellers would have taken at least, over the energy traded.
For one commodity at one place the optimum is the merit order: the highest bids meet the lowest asks. Its dual
solutions are the prices that clear the book.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market.call_auction import clear_call
from market.fills import fills_at
from market.money import WH_PER_KWH
from market.orders import Fills, Orders

_MILLION = 1_000_000


@dataclass(frozen=True)
class Optimum:
    """The welfare optimum; the prices are the ends of the clearing interval, nothing where nothing trades."""

    volume_wh: int
    welfare_micro: int
    low_price_micro_per_kwh: int | None
    high_price_micro_per_kwh: int | None


def welfare_micro(fills: Fills) -> int:
    """Return the welfare of fills: sum of -side * energy * limit, rounded down to whole micro."""
    value = -(fills["side"].astype(np.int64) * fills["energy_wh"] * fills["limit_micro_per_kwh"])
    total: int = sum(value.tolist())
    return total // WH_PER_KWH


def optimum(orders: Orders) -> Optimum:
    """Return the welfare optimum of valid orders of one interval."""
    low, volume, accepted = clear_call(orders, 0, 1, False)
    if volume == 0:
        return Optimum(0, 0, None, None)
    high, _, _ = clear_call(orders, _MILLION, 1, False)
    energy: npt.NDArray[np.int64] = accepted
    return Optimum(int(volume), welfare_micro(fills_at(orders, energy, 0, 0)), int(low), int(high))

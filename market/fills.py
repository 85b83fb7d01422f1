"""From accepted energy per order to rows of fills."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from market.orders import FILL_DTYPE, ORDER_DTYPE, POOL, Fills, Orders

_RAW = {dtype: np.dtype((np.void, dtype.itemsize)) for dtype in (ORDER_DTYPE, FILL_DTYPE)}


def joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return the fills (or the orders) of all parts, one after the other.

    As raw bytes: numpy works out the common type of structured arrays in Python, field by field and part by part.
    """
    dtype = parts[0].dtype
    raw = _RAW[dtype]
    return np.concatenate([np.ascontiguousarray(part).view(raw) for part in parts]).view(dtype)


@njit(cache=True)
def _fill(orders, accepted_wh, buy_price, sell_price, counterparty, fills):  # type: ignore[no-untyped-def]
    """Write one fill per order with accepted energy, in the order of the rows."""
    j = 0
    for i in range(orders.size):
        if accepted_wh[i] == 0:
            continue
        side = orders[i]["side"]
        fills[j]["order_id"] = orders[i]["id"]
        fills[j]["participant"] = orders[i]["participant"]
        fills[j]["side"] = side
        fills[j]["device"] = orders[i]["device"]
        fills[j]["flexible"] = orders[i]["flexible"]
        fills[j]["counterparty"] = counterparty
        fills[j]["energy_wh"] = accepted_wh[i]
        fills[j]["price_micro_per_kwh"] = sell_price if side > 0 else buy_price
        fills[j]["limit_micro_per_kwh"] = orders[i]["price_micro_per_kwh"]
        fills[j]["interval"] = orders[i]["interval"]
        j += 1


def fills_at(
    orders: Orders,
    accepted_wh: npt.NDArray[np.int64],
    buy_price_micro_per_kwh: int,
    sell_price_micro_per_kwh: int,
    counterparty: int = POOL,
) -> Fills:
    """Return one fill per order with ``accepted_wh`` > 0 (shape of ``orders``), all at one price per side."""
    fills = np.zeros(np.count_nonzero(accepted_wh), dtype=FILL_DTYPE)
    if fills.size:
        _fill(orders, accepted_wh, buy_price_micro_per_kwh, sell_price_micro_per_kwh, counterparty, fills)
    return fills


def fills_priced(
    orders: Orders,
    accepted_wh: npt.NDArray[np.int64],
    price_micro_per_kwh: npt.NDArray[np.int64],
    counterparty: npt.NDArray[np.int32] | int = POOL,
) -> Fills:
    """As ``fills_at`` with one price (and counterparty) per order, each of the shape of ``orders``."""
    fills = fills_at(orders, accepted_wh, 0, 0)
    rows = np.flatnonzero(accepted_wh)
    fills["price_micro_per_kwh"] = price_micro_per_kwh[rows]
    fills["counterparty"] = counterparty if isinstance(counterparty, int) else counterparty[rows]
    return fills

"""Validation of a whole book: every problem found, in words a user can act on.

A valid book is recognised in one compiled pass; only a faulty one pays for the search for words.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit

from market.errors import OrderError, TariffError
from market.mechanism import Tariff
from market.orders import BUY, DEVICE_NAMES, ORDER_DTYPE, SELL, Orders

MAX_ENERGY_WH = 10**9
"""Largest energy of one order (1 GWh); with ``MAX_PRICE`` every product stays below 2**63."""
MAX_PRICE = 10**9
"""Largest absolute price in millionths per kWh (1000 units of currency per kWh)."""
MAX_ORDERS = 10**8
"""Largest book: the sum of all energy and the money of all fills stay below 2**63."""

_DEVICES = len(DEVICE_NAMES)


@njit(cache=True)
def _valid(orders, earliest, latest):  # type: ignore[no-untyped-def]
    """Return (all rows are valid, ids are strictly increasing)."""
    increasing = True
    for i in range(orders.size):
        energy = orders[i]["energy_wh"]
        price = orders[i]["price_micro_per_kwh"]
        side = orders[i]["side"]
        device = orders[i]["device"]
        interval = orders[i]["interval"]
        if energy <= 0 or energy > MAX_ENERGY_WH or price < -MAX_PRICE or price > MAX_PRICE:
            return False, increasing
        if side not in (SELL, BUY) or device < 0 or device >= _DEVICES:
            return False, increasing
        if interval < earliest or interval > latest or orders[i]["participant"] < 0 or orders[i]["time"] < 0:
            return False, increasing
        if i > 0 and orders[i]["id"] <= orders[i - 1]["id"]:
            increasing = False
    return True, increasing


@njit(cache=True)
def _unique(ids):  # type: ignore[no-untyped-def]
    """Return whether no id occurs twice."""
    ordered = np.sort(ids)
    return not (ordered[1:] == ordered[:-1]).any()


def order_problems(orders: Orders, earliest: int, latest: int | None = None) -> list[str]:
    """Return every problem of a book; an empty list means that it may be cleared.

    Args:
        orders: one-dimensional array of ``ORDER_DTYPE``; its rows may stand in any order.
        earliest: first delivery interval that is open.
        latest: last one (default: ``earliest``).
    """
    last = earliest if latest is None else latest
    if not isinstance(orders, np.ndarray) or orders.dtype != ORDER_DTYPE or orders.ndim != 1:
        got = (
            f"{orders.dtype} in {orders.ndim} dimensions" if isinstance(orders, np.ndarray) else type(orders)
        )
        return [f"orders: got {got}; must be a one-dimensional array of market.orders.ORDER_DTYPE"]
    if orders.size > MAX_ORDERS:
        return [f"orders: got {orders.size}; at most {MAX_ORDERS} in one book"]
    valid, increasing = _valid(orders, earliest, last)
    if valid and (increasing or _unique(orders["id"])):
        return []
    return list(_describe(orders, earliest, last))


def check_orders(orders: Orders, earliest: int, latest: int | None = None) -> None:
    """Raise ``OrderError`` with every problem of a book, or return (see ``order_problems``)."""
    problems = order_problems(orders, earliest, latest)
    if problems:
        raise OrderError(problems)


def check_tariff(tariff: Tariff) -> None:
    """Raise ``TariffError`` unless feed-in <= retail and both are within ``MAX_PRICE``."""
    low, high = tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh
    if -MAX_PRICE <= low <= high <= MAX_PRICE:
        return
    raise TariffError(
        f"tariff: got feed-in {low} and retail {high} micro per kWh; allowed is "
        f"-{MAX_PRICE} <= feed-in <= retail <= {MAX_PRICE}"
    )


def _describe(orders: Orders, earliest: int, latest: int) -> Iterator[str]:
    """Yield one line per fault, in the order of the rows, then one per id that occurs twice."""
    allowed = (
        ("energy_wh", 1, MAX_ENERGY_WH),
        ("price_micro_per_kwh", -MAX_PRICE, MAX_PRICE),
        ("device", 0, _DEVICES - 1),
        ("participant", 0, 2**31 - 1),
        ("time", 0, 2**63 - 1),
        ("interval", earliest, latest),
    )
    faulty = (orders["side"] != SELL) & (orders["side"] != BUY)
    for column, low, high in allowed:
        faulty |= (orders[column] < low) | (orders[column] > high)
    for row in np.flatnonzero(faulty):
        order = orders[row]
        where = f"order {order['id']} (row {row})"
        if order["side"] not in (SELL, BUY):
            yield f"{where}: side is {order['side']}; allowed are {SELL} (sell) and {BUY} (buy)"
        for column, low, high in allowed:
            if not low <= order[column] <= high:
                yield f"{where}: {column} is {order[column]}; allowed is {low} to {high}"
    ids, counts = np.unique(orders["id"], return_counts=True)
    for order_id, count in zip(ids[counts > 1], counts[counts > 1], strict=True):
        yield f"order {order_id}: the id occurs {count} times; ids must be unique in a book"

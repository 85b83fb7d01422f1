"""Who is served at the margin when more is offered there than is left."""

import numpy as np
from numba import njit

from market.arithmetic import divide_product


@njit(cache=True)
def _before(orders, a, b):  # type: ignore[no-untyped-def]
    """Return whether row a comes before row b by (time, id)."""
    if orders[a]["time"] != orders[b]["time"]:
        return orders[a]["time"] < orders[b]["time"]
    return orders[a]["id"] < orders[b]["id"]


@njit(cache=True)
def by_time(orders, rows):  # type: ignore[no-untyped-def]
    """Return ``rows`` ordered by (time, id): two stable passes, id first."""
    for j in range(1, rows.size):
        if not _before(orders, rows[j - 1], rows[j]):
            break
    else:
        return rows
    key = np.empty(rows.size, dtype=np.int64)
    for j in range(rows.size):
        key[j] = orders[rows[j]]["id"]
    ordered = rows[np.argsort(key, kind="mergesort")]
    for j in range(rows.size):
        key[j] = orders[ordered[j]]["time"]
    return ordered[np.argsort(key, kind="mergesort")]


@njit(cache=True)
def ration(orders, rows, available_wh, pro_rata, accepted_wh):  # type: ignore[no-untyped-def]
    """Share ``available_wh`` over ``rows`` and write ``accepted_wh``, never more than an order asks for.

    In order of (time, id), or in proportion to energy with the largest remainder (ties by time, id). The
    shares add up to ``available_wh`` exactly wherever the rows ask for at least that much.
    """
    total = np.int64(0)
    for j in range(rows.size):
        total += orders[rows[j]]["energy_wh"]
    if total <= available_wh:
        for j in range(rows.size):
            accepted_wh[rows[j]] = orders[rows[j]]["energy_wh"]
        return
    ordered = by_time(orders, rows)
    if not pro_rata:
        left = available_wh
        for j in range(ordered.size):
            take = min(left, orders[ordered[j]]["energy_wh"])
            accepted_wh[ordered[j]] = take
            left -= take
        return
    left = available_wh
    remainder = np.empty(ordered.size, dtype=np.int64)
    for j in range(ordered.size):
        share, rest, _ = divide_product(orders[ordered[j]]["energy_wh"], available_wh, total)
        accepted_wh[ordered[j]] = share
        remainder[j] = -rest
        left -= share
    by_remainder = np.argsort(remainder, kind="mergesort")
    for j in range(left):
        accepted_wh[ordered[by_remainder[j]]] += 1

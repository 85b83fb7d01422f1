"""Continuous double auction: price-time priority on two heaps, compiled.

A book is a list of orders in order of arrival with what is still open of each. Matching is a pure function of it:
the first ``n_resting`` orders rest already, the others arrive one after the other.
"""

import numpy as np
from numba import njit


@njit(cache=True)
def _better(price, side, a, b):  # type: ignore[no-untyped-def]
    """Return whether order a has priority over b on its side: better price, then earlier arrival."""
    if price[a] != price[b]:
        return price[a] < price[b] if side > 0 else price[a] > price[b]
    return a < b


@njit(cache=True)
def _push(heap, size, item, price, side):  # type: ignore[no-untyped-def]
    i = size
    heap[i] = item
    while i > 0:
        parent = (i - 1) >> 1
        if not _better(price, side, heap[i], heap[parent]):
            break
        heap[i], heap[parent] = heap[parent], heap[i]
        i = parent
    return size + 1


@njit(cache=True)
def _pop(heap, size, price, side):  # type: ignore[no-untyped-def]
    size -= 1
    heap[0] = heap[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and _better(price, side, heap[child + 1], heap[child]):
            child += 1
        if not _better(price, side, heap[child], heap[i]):
            break
        heap[i], heap[child] = heap[child], heap[i]
        i = child
    return size


@njit(cache=True)
def match(side, price, open_wh, rests, n_resting, trades):  # type: ignore[no-untyped-def]
    """Match arriving orders at the resting orders' prices; return the number of trades (fewer than 2 * n).

    ``side`` (int8), ``price``, ``open_wh`` (int64, changed in place) and ``rests`` (bool; False: a market order, its
    remainder is dropped) are in order of arrival, the first ``n_resting`` are in the book already. ``trades``
    (int64, shape (2 * n, 4)) is filled with (arriving order, resting order, Wh, price).
    """
    n = side.size
    asks, bids = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    n_asks, n_bids, n_trades = 0, 0, 0
    for i in range(n):
        while i >= n_resting and open_wh[i] > 0:
            buying = side[i] < 0
            if (n_asks if buying else n_bids) == 0:
                break
            other = asks[0] if buying else bids[0]
            if (price[i] - price[other]) * side[i] > 0:
                break
            energy = min(open_wh[i], open_wh[other])
            open_wh[i] -= energy
            open_wh[other] -= energy
            trades[n_trades, 0], trades[n_trades, 1] = i, other
            trades[n_trades, 2], trades[n_trades, 3] = energy, price[other]
            n_trades += 1
            if open_wh[other] == 0:
                if buying:
                    n_asks = _pop(asks, n_asks, price, 1)
                else:
                    n_bids = _pop(bids, n_bids, price, -1)
        if open_wh[i] > 0 and not rests[i]:
            open_wh[i] = 0
        if open_wh[i] > 0:
            if side[i] > 0:
                n_asks = _push(asks, n_asks, i, price, 1)
            else:
                n_bids = _push(bids, n_bids, i, price, -1)
    return n_trades

"""Orders with limit prices on a dissipative pool, compiled: how much of an order the pool can take, and sequences.

A sequence is a list of pieces (order, Wh) in the order in which they are executed. ``shift`` is the pool's shift in
micro per Wh (see ``market.amm``); limits are real prices.
"""

import numpy as np
from numba import njit

from market.amm_kernels import ENERGY, OK, buy, quote_buy, quote_sell, sell

PASSES = 8
"""How often what is left of an order is tried again after the others."""


@njit(cache=True)
def _acceptable(state, shift, side, limit, energy_wh):  # type: ignore[no-untyped-def]
    """Return whether the pool would execute ``energy_wh`` at an average price within the limit, fee included."""
    if side < 0:
        code, cost, fee = quote_buy(state, energy_wh)
        return code == OK and (cost + fee - shift * energy_wh) * 1000 <= limit * energy_wh
    code, pay, fee = quote_sell(state, energy_wh)
    return code == OK and (pay - fee - shift * energy_wh) * 1000 >= limit * energy_wh


@njit(cache=True)
def largest(state, shift, side, limit, cap_wh):  # type: ignore[no-untyped-def]
    """Return the most Wh, at most ``cap_wh``, that a bisection finds acceptable (0: none)."""
    high = min(cap_wh, state[ENERGY]) if side < 0 else cap_wh
    if high <= 0:
        return np.int64(0)
    if _acceptable(state, shift, side, limit, high):
        return high
    low = np.int64(0)
    while high - low > 1:
        middle = (low + high) >> 1
        if _acceptable(state, shift, side, limit, middle):
            low = middle
        else:
            high = middle
    return low


@njit(cache=True)
def _swap(state, shift, side, energy_wh):  # type: ignore[no-untyped-def]
    """Execute and return the money that the trader receives (negative: pays)."""
    if side < 0:
        _, cost, fee = buy(state, energy_wh)
        return shift * energy_wh - cost - fee
    _, pay, fee = sell(state, energy_wh)
    return pay - fee - shift * energy_wh


@njit(cache=True)
def run_orders(state, shift, side, limit, energy_wh, piece_order, piece_wh):  # type: ignore[no-untyped-def]
    """Execute orders in sequence, then what is left of them again, until nothing moves.

    ``piece_order`` and ``piece_wh`` (PASSES * n) receive the pieces; returns their number.
    """
    left = energy_wh.copy()
    n = 0
    for _ in range(PASSES):
        moved = False
        for i in range(side.size):
            amount = largest(state, shift, side[i], limit[i], left[i])
            if amount > 0:
                _swap(state, shift, side[i], amount)
                left[i] -= amount
                piece_order[n] = i
                piece_wh[n] = amount
                n += 1
                moved = True
        if not moved:
            break
    return n


@njit(cache=True)
def run_pieces(state, shift, side, limit, piece_order, piece_wh, money, drop):  # type: ignore[no-untyped-def]
    """Execute pieces again as far as limits allow; shrink ``piece_wh`` to what was executed.

    ``money`` per order receives what the trader gets (negative: pays). With ``drop`` a purchase that does not go
    through whole is given up. Returns whether every piece was executed whole.
    """
    whole = True
    for j in range(piece_order.size):
        i = piece_order[j]
        amount = largest(state, shift, side[i], limit[i], piece_wh[j])
        if amount < piece_wh[j]:
            whole = False
            if drop:
                amount = np.int64(0)
            piece_wh[j] = amount
        if amount > 0:
            money[i] += _swap(state, shift, side[i], amount)
    return whole


@njit(cache=True)
def return_unsold(side, piece_order, piece_wh):  # type: ignore[no-untyped-def]
    """Shrink the latest sales by what nobody bought (the youngest claims); return that energy."""
    unsold = np.int64(0)
    for j in range(piece_order.size):
        unsold += side[piece_order[j]] * piece_wh[j]
    rest = unsold
    for j in range(piece_order.size - 1, -1, -1):
        if side[piece_order[j]] > 0 and rest > 0:
            cut = min(rest, piece_wh[j])
            piece_wh[j] -= cut
            rest -= cut
    return unsold


@njit(cache=True)
def run_amounts(state, shift, side, piece_order, piece_wh, money):  # type: ignore[no-untyped-def]
    """Execute given amounts whatever the price; a piece that the pool cannot take yet waits for the others.

    What was executed is set to 0 in ``piece_wh`` and its money is in ``money``; returns the Wh that still wait.
    """
    waiting = piece_wh
    moved = True
    while moved:
        moved = False
        for j in range(piece_order.size):
            i = piece_order[j]
            if waiting[j] == 0:
                continue
            code = quote_buy(state, waiting[j])[0] if side[i] < 0 else quote_sell(state, waiting[j])[0]
            if code == OK:
                money[i] += _swap(state, shift, side[i], waiting[j])
                waiting[j] = 0
                moved = True
    return waiting.sum()

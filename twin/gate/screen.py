"""The gate's questions of every interval, compiled: what everything would change, and whether it keeps the limits."""

import numpy as np
from numba import njit

from market.orders import POOL


@njit(cache=True)
def asked(fills, point_of, p_base_w, q_base_var, w_per_wh):  # type: ignore[no-untyped-def]
    """The scenarios to solve, in W and var, and the pool's surplus in Wh.

    The first row is the baseline; the second, with every fill accepted, is there where that changes anything.
    """
    change, surplus = np.zeros(p_base_w.size), 0
    for i in range(fills.size):
        fill = fills[i]
        energy_wh = fill["energy_wh"] * fill["side"]
        if fill["counterparty"] == POOL:
            surplus += energy_wh
        if fill["flexible"]:
            change[point_of[fill["participant"]]] += energy_wh * w_per_wh
    k = 2 if change.any() else 1
    power, reactive = np.empty((k, p_base_w.size)), np.empty((k, p_base_w.size))
    for row in range(k):
        for i in range(p_base_w.size):
            power[row, i] = p_base_w[i] + change[i] if row else p_base_w[i]
            reactive[row, i] = q_base_var[i]
    return power, reactive, surplus


@njit(cache=True)
def rows_within(v_pu, loading, converged, v_min_pu, v_max_pu, loading_max_percent):  # type: ignore[no-untyped-def]
    """Which of the k scenarios converged and keep every limit, (k,). NaN fails; an infinite limit excuses it."""
    k, n_bus = v_pu.shape
    inside = np.empty(k, dtype=np.bool_)
    for row in range(k):
        fits = converged[row]
        for i in range(n_bus):
            # & and not "and": branches would keep the loop from being vectorised
            low = (v_min_pu[i] <= v_pu[row, i]) | (v_min_pu[i] == -np.inf)
            high = (v_pu[row, i] <= v_max_pu[i]) | (v_max_pu[i] == np.inf)
            fits &= low & high
        for i in range(loading.shape[1]):
            fits &= (loading[row, i] <= loading_max_percent[i]) | (loading_max_percent[i] == np.inf)
        inside[row] = fits
    return inside

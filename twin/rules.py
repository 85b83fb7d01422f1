"""The rules of a house: what its battery and car can do, and what it does first. Compiled, one participant at a time.

All powers in W, positive into the grid; energies in Wh.
"""

from numba import njit


@njit(cache=True)
def battery_bounds_w(soc, soc_min, soc_max, capacity_wh, p_w, efficiency, hours):  # type: ignore[no-untyped-def]
    """Return (least, most) terminal power over ``hours``: charging is <= 0, discharging >= 0.

    Rated power binds, or what the battery can still take or give between ``soc_min`` and ``soc_max``;
    ``efficiency`` is one way.
    """
    room = (soc_max - soc) * capacity_wh / efficiency / hours
    stored = (soc - soc_min) * capacity_wh * efficiency / hours
    return -min(max(room, 0.0), p_w), min(max(stored, 0.0), p_w)


@njit(cache=True)
def ev_most_w(plugged, need_wh, p_w, efficiency, hours):  # type: ignore[no-untyped-def]
    """Return the most a car may draw over ``hours`` without exceeding its need; 0 where none is plugged."""
    return min(p_w, need_wh / efficiency / hours) if plugged else 0.0


@njit(cache=True)
def self_consumption_w(net_w, low_w, high_w, idle):  # type: ignore[no-untyped-def]
    """Return the battery power that covers the house: charges surplus, discharges for a deficit, never for others.

    ``net_w`` is the house without its battery; an ``idle`` battery keeps what it has, but still takes surplus.
    """
    if idle and net_w < 0:
        return 0.0
    return min(max(-net_w, low_w), high_w)


@njit(cache=True)
def in_window(second, start_s, end_s):  # type: ignore[no-untyped-def]
    """Whether a second of the day lies in [start, end), which may wrap around midnight; equal ends mean never."""
    if start_s <= end_s:
        return start_s <= second < end_s
    return second >= start_s or second < end_s

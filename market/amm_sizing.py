"""Sizing of a dissipative pool: virtual reserves from a capacity and a price band, in exact integers."""

from fractions import Fraction
from math import isqrt

import numpy as np
import numpy.typing as npt

from market import amm_kernels as k
from market.errors import RangeError

BUMPS = 32
"""Most corrections that admission may make to the virtual reserves."""
_ROOT_SCALE = 10**15


def _scaled_root(price_micro_per_kwh: int) -> int:
    """Return the square root of a price in micro per Wh times ``_ROOT_SCALE``, rounded down."""
    return isqrt(price_micro_per_kwh * _ROOT_SCALE**2 // 1000)


def root(price_micro_per_kwh: int) -> Fraction:
    """Return the square root of a price in micro per Wh as a fraction, rounded down at 15 decimals."""
    return Fraction(_scaled_root(price_micro_per_kwh), _ROOT_SCALE)


def sized_state(capacity_wh: int, energy_wh: int, low: int, high: int, fee_ppm: int) -> npt.NDArray[np.int64]:
    """Return the state of a pool that holds ``energy_wh`` now and ``capacity_wh`` when its price is ``low``.

    L = capacity / (low^-1/2 - high^-1/2), Ev = L high^-1/2, Cv = L low^1/2, C = L^2/(E+Ev) - Cv, in
    exact integers.

    Raises:
        RangeError: An empty band, energy above capacity, no fee, or reserves beyond exact arithmetic.
    """
    if not (0 < low < high and 0 <= energy_wh <= capacity_wh and capacity_wh > 0 and 1 <= fee_ppm < 10**6):
        raise RangeError(
            f"pool: got capacity {capacity_wh} Wh, energy {energy_wh} Wh, band {low} to {high}, fee "
            f"{fee_ppm} ppm; needs 0 <= energy <= capacity, capacity > 0, low < high, 1 <= fee < 1000000"
        )
    # L = capacity a b / (R (b - a)) for the roots a / R and b / R, written out in integers
    fine, a, b = k.FINE, _scaled_root(low), _scaled_root(high)
    wide = _ROOT_SCALE * (b - a)
    virtual_energy = -(-capacity_wh * a * fine // (b - a))
    least_virtual_cash = -(-capacity_wh * a * a * b * fine // (_ROOT_SCALE * wide))
    y = -(-((capacity_wh * a * b * fine) ** 2) // (wide * wide * (energy_wh * fine + virtual_energy)))
    # whole micros: a provider brings them
    cash = max(0, y - least_virtual_cash) // fine * fine
    virtual_cash = max(least_virtual_cash, y - cash)
    if max(energy_wh * fine + virtual_energy, cash + virtual_cash) > k.LARGEST_RESERVE // 4:
        raise RangeError(f"pool: capacity {capacity_wh} Wh is too large for exact arithmetic in this band")
    state = np.zeros(k.STATE_SIZE, dtype=np.int64)
    state[[k.ENERGY, k.CASH, k.VIRTUAL_ENERGY, k.VIRTUAL_CASH]] = (
        energy_wh,
        cash,
        virtual_energy,
        virtual_cash,
    )
    state[[k.LOW, k.HIGH, k.FEE_PPM]] = low, high, fee_ppm
    if not k.admit(state, BUMPS):
        raise RangeError(f"pool: capacity {capacity_wh} Wh is too small for the band {low} to {high}")
    return state

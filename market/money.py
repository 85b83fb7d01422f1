"""Money of a fill: energy times price, rounded to whole millionths in favour of the pool.

Both sides of a trade have one integer price; what rounding leaves over is never lost but booked to the pool
account as a residue, so the sum over all accounts is exactly zero. The residue is less than one millionth
of the currency per fill.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from market.errors import RangeError
from market.orders import BUY, SELL, Fills
from market.validate import MAX_ENERGY_WH, MAX_PRICE

WH_PER_KWH = 1000


def buyer_pays_up_micro(energy_wh: int, price_micro_per_kwh: int) -> int:
    """Return what a buyer pays, rounded up (the pool gains by it, less than 1 micro)."""
    _check_range(energy_wh, price_micro_per_kwh)
    return -((-energy_wh * price_micro_per_kwh) // WH_PER_KWH)


def seller_gets_down_micro(energy_wh: int, price_micro_per_kwh: int) -> int:
    """Return what a seller gets, rounded down (the pool gains by it, less than 1 micro)."""
    _check_range(energy_wh, price_micro_per_kwh)
    return (energy_wh * price_micro_per_kwh) // WH_PER_KWH


def fill_money_micro(side: int, energy_wh: int, price_micro_per_kwh: int) -> int:
    """Return the signed money of one fill, positive where the participant receives.

    Sellers get down, buyers pay up: for the participant both are the floor of side * energy * price / 1000.
    """
    if side == SELL:
        return seller_gets_down_micro(energy_wh, price_micro_per_kwh)
    if side == BUY:
        return -buyer_pays_up_micro(energy_wh, price_micro_per_kwh)
    raise RangeError(f"fill: side is {side}; allowed are {SELL} (sell) and {BUY} (buy)")


def fills_money_micro(fills: Fills, energy_wh: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
    """Return the signed money of every fill row, positive where the participant receives, shape (n,).

    Args:
        fills: array of ``FILL_DTYPE``.
        energy_wh: whole Wh per row instead of the fill's own (for instance what the gate accepted); >= 0.

    Raises:
        RangeError: An energy or price is outside the range in which int64 is exact.
    """
    energy: npt.NDArray[Any] = fills["energy_wh"] if energy_wh is None else np.asarray(energy_wh)
    price = fills["price_micro_per_kwh"]
    if energy.shape != price.shape or energy.dtype != np.int64:
        raise RangeError(f"energy_wh: got {energy.dtype} {energy.shape}; must be int64 {price.shape}")
    if energy.size and (
        energy.min() < 0
        or energy.max() > MAX_ENERGY_WH
        or price.min() < -MAX_PRICE
        or price.max() > MAX_PRICE
    ):
        raise RangeError(f"fills: allowed is 0 <= energy_wh <= {MAX_ENERGY_WH}, |price| <= {MAX_PRICE}")
    signed: npt.NDArray[np.int64] = (energy * price * fills["side"].astype(np.int64)) // WH_PER_KWH
    return signed


@njit(cache=True)
def _residue(fills):  # type: ignore[no-untyped-def]
    """Minus the sum of all money, and whether every fill is in range."""
    residue = np.int64(0)
    for i in range(fills.size):
        energy, price = fills[i]["energy_wh"], fills[i]["price_micro_per_kwh"]
        if not (0 <= energy <= MAX_ENERGY_WH and -MAX_PRICE <= price <= MAX_PRICE):
            return residue, False
        residue -= (energy * price * np.int64(fills[i]["side"])) // WH_PER_KWH
    return residue, True


def residue_micro(fills: Fills) -> int:
    """Return what rounding and price differences leave with the pool: minus the sum of all fills' money."""
    residue, inside = _residue(fills)
    return int(residue) if inside else -int(fills_money_micro(fills).sum())  # which says what is wrong


def _check_range(energy_wh: int, price_micro_per_kwh: int) -> None:
    if 0 <= energy_wh <= MAX_ENERGY_WH and -MAX_PRICE <= price_micro_per_kwh <= MAX_PRICE:
        return
    raise RangeError(
        f"fill: got {energy_wh} Wh at {price_micro_per_kwh} micro per kWh; allowed is "
        f"0 to {MAX_ENERGY_WH} Wh and -{MAX_PRICE} to {MAX_PRICE} micro per kWh"
    )

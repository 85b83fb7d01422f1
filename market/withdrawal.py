"""A provider leaves a pool that is open: it takes unsold stock out at constant price, and no part of the pool's result.

The curve shrinks by the part that goes (``DissipativePool.remove``, rounded in favour of those who stay). What of its
stock has been sold stays: its device delivers it, and it keeps its share of the result for that. Where the last
provider leaves a pool in which nobody has traded, the fund takes over; from one in which somebody has, it cannot.
"""

import numpy as np

from market.errors import PoolRefusalError, RangeError
from market.orders import empty_orders
from market.pool_recut import aged_stock
from market.pool_slot import PoolSlot, open_pool

_MILLION = 1_000_000


def withdraw(slot: PoolSlot, participant: int, ppm: int) -> int:
    """Take ``ppm`` of a provider's unsold stock out of a slot's pool; return the Wh, at least 1.

    Raises:
        RangeError: ppm outside 1 to a million.
        PoolRefusalError: ``no_shares``: it provides nothing here; ``nothing_unsold``: what it asks for is less than
            1 Wh; ``last_provider``: nobody would back the curve.
    """
    if not 0 < ppm <= _MILLION:
        raise RangeError(f"withdrawal: got {ppm} ppm; allowed is 1 to {_MILLION}")
    stock = aged_stock(slot)
    mine = stock["participant"] == participant
    held = int(stock["energy_wh"][mine].sum())
    if not held:
        raise PoolRefusalError(
            "no_shares", f"participant {participant} provides nothing for slot {slot.interval}"
        )
    pool = slot.pool
    unsold = min(slot.stock_wh, pool.energy_wh) * held // slot.stock_wh
    energy = unsold * ppm // _MILLION
    if energy == pool.energy_wh:
        if slot.pieces:
            raise PoolRefusalError(
                "last_provider", f"slot {slot.interval} has traded; it is left when it closes"
            )
        price = int(pool.price_micro_per_kwh)
        slot.pool = open_pool(slot.terms, slot.tariff, price, empty_orders())
        slot.opening_cash_micro = slot.pool.opening_cash_micro
    else:
        if not energy:
            raise PoolRefusalError(
                "nothing_unsold",
                f"{unsold} of its {held} Wh for slot {slot.interval} are unsold: {ppm} ppm of that is less than 1 Wh",
            )
        # the least shares that give this energy, which the pool rounds down
        shares = min(pool.total_shares - 1, -(-pool.total_shares * energy // pool.energy_wh))
        taken = pool.remove("providers", shares, participant)
        energy = taken.energy_wh
        slot.opening_cash_micro -= taken.money_micro
    _book(slot, participant, energy)
    return energy


def _book(slot: PoolSlot, participant: int, energy_wh: int) -> None:
    """Take the energy off what the provider brought, before losses, so that the others' parts stand."""
    brought, left = slot.stock["energy_wh"], slot.stock.copy()
    less = -(-energy_wh * int(brought.sum()) // slot.stock_wh)
    for row in np.flatnonzero(slot.stock["participant"] == participant).tolist():
        part = min(less, int(brought[row]))
        left["energy_wh"][row] -= part
        less -= part
    slot.stock = left[left["energy_wh"] > 0]
    slot.stock_wh -= energy_wh
    slot.withdrawn_wh += energy_wh

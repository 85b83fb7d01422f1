"""Trading ahead of delivery: what participants hand in for later slots, and what a mechanism keeps open for them.

A slot is one delivery interval. Everything that was traded for it, in whatever interval, is delivered by the fills
of its own clearing.
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from market.mechanism import Payment, Tariff
from market.orders import Fills, Orders, empty_orders


@dataclass(frozen=True)
class Ahead:
    """What is handed in for later slots.

    ``orders`` are limit orders, ``stock`` is stored energy that providers commit to the pool of a slot: one SELL row
    per device, whose price is the least at which it may be sold. ``leaving`` are providers (row, ppm of what they still
    have in every open pool) who take it out again.
    """

    orders: Orders = field(default_factory=empty_orders)
    stock: Orders = field(default_factory=empty_orders)
    leaving: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Position:
    """What stands for a slot when its own interval begins.

    ``traded`` are the orders that found a taker, with the energy that was traded; ``stock`` what providers still have
    committed, after losses. Open orders are cancelled: participants ask anew for what they still want.
    """

    traded: Orders = field(default_factory=empty_orders)
    stock: Orders = field(default_factory=empty_orders)


@runtime_checkable
class TradesAhead(Protocol):
    """A mechanism that trades slots before their interval."""

    @property
    def horizon(self) -> int:
        """Intervals ahead for which slots are open."""
        ...

    @property
    def index_micro_per_kwh(self) -> int | None:
        """The last published price (None: none yet)."""
        ...

    def open_slot(self, interval: int, tariff: Tariff, stock: Orders) -> None:
        """Open the slot of ``interval``, whose supplier prices are ``tariff``, with what providers commit."""
        ...

    def take_position(self, interval: int) -> Position:
        """Cancel what rests for ``interval`` and return what stands."""
        ...


@runtime_checkable
class LetsLeave(Protocol):
    """A mechanism whose providers may leave before their slot."""

    def leave(self, interval: int, participant: int, ppm: int) -> int:
        """Take ``ppm`` of what a provider has in the open pools out of them at the start of ``interval``; return Wh."""
        ...


@runtime_checkable
class Distributes(Protocol):
    """A mechanism that owes money besides its fills once the accepted energy is known."""

    def distribute(
        self, interval: int, fills: Fills, accepted_wh: npt.NDArray[np.int64]
    ) -> tuple[Payment, ...]:
        """Return the payments of an interval for its fills at final prices (the supplier's included)."""
        ...


def net_position(orders: Orders, standing: Orders) -> Orders:
    """Return ``orders`` less what ``standing`` covers, row by row of the same participant, device and side.

    What stands beyond the orders is not taken back: it is delivered, or settled as imbalance. Orders with nothing left
    are left out.
    """
    if not standing.size:
        return orders
    left = orders["energy_wh"].copy()
    keys: dict[tuple[int, ...], list[int]] = {}
    for row, key in enumerate(zip(*(orders[name].tolist() for name in _KEY), strict=True)):
        keys.setdefault(key, []).append(row)
    covered = zip(*(standing[name].tolist() for name in _KEY), strict=True)
    for key, stands in zip(covered, standing["energy_wh"].tolist(), strict=True):
        energy = stands
        for row in keys.get(key, ()):
            part = min(int(left[row]), energy)
            left[row] -= part
            energy -= part
    netted = orders[left > 0].copy()
    netted["energy_wh"] = left[left > 0]
    return netted


_KEY = ("participant", "device", "side")

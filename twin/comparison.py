"""Mechanisms side by side: shadows clear the same orders as the mechanism that settles, and change nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from adapters.grid.feeder import IntArray
from market.ahead import Ahead, TradesAhead
from market.compare import ComparedRow, compared_row
from market.mechanism import Clearing, Mechanism, Payment, Tariff
from market.orders import Fills, Orders, empty_orders
from market.pool_market import PoolAndBook
from market.registry import make_mechanism
from twin.open_slots import OpenSlots, TariffOf, supplied

NO_MECHANISM = "none"
OPTIMUM = "welfare_optimum"
Upstream = Callable[[Fills, Orders, Tariff], Fills]
"""Local fills of a book, that book as the supplier sees it, its prices: with what the supplier takes."""
WITHOUT_PRICE = ("bill_sharing",)
"""Mechanisms under which local energy is free and the community's bill is shared: their price of 0 says nothing."""


@dataclass
class Tally:
    """One mechanism over the run: volume, value of the traded energy, welfare, and gains per participant (n,)."""

    gains_micro: IntArray
    volume_wh: int = 0
    priced_wh: int = 0  # of the volume, what has a price
    value_milli_micro: int = 0  # price in micro per kWh times Wh
    welfare_micro: int = 0
    optimum_micro: int = 0
    residue_micro: int = 0
    intervals: int = 0


class Billing(Protocol):
    """Who makes whole bills of the shadows' clearings."""

    books: dict[str, Any]

    def cleared(self, name: str, clearing: Clearing, orders: Orders, tariff: Tariff, interval: int) -> None:
        """Take a shadow's clearing."""
        ...

    def flowed(self, name: str, fills: Fills, payments: tuple[Payment, ...], interval: int) -> None:
        """Take all fills of a shadow, the supplier's included, and what its pool pays besides."""
        ...

    def settle(self, accepted: Any, entry: Any) -> None:
        """Book an interval once the meters are read."""
        ...


@dataclass
class Comparison:
    """The settling mechanism and its shadows, cleared on the same orders.

    Gains are measured against the supplier, before the gate: mechanisms are compared as markets. ``rows`` holds the
    rows of mechanisms.parquet that were not yet written, ``bills`` the whole bills of the shadows.
    """

    settling: str
    specs: Mapping[str, tuple[str, Mapping[str, Any]]]
    n: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    bills: Billing | None = None
    admitted: Callable[[Orders], Orders] | None = None  # which orders may trade locally; None: all

    def __post_init__(self) -> None:
        self._open: dict[str, OpenSlots] = {}
        self._upstream: Upstream = lambda fills, book, tariff: fills
        self._handed = (empty_orders(), Ahead())
        self._shadows: dict[str, Mechanism] = {
            label: make_mechanism(name, parameters) for label, (name, parameters) in self.specs.items()
        }

    def clear(self, orders: Orders, tariff: Tariff, interval: int, settled: Clearing | None) -> None:
        """Clear one interval's orders with every shadow, and book all of them.

        Args:
            orders: the orders that the settling mechanism was given.
            tariff: the supplier's prices.
            interval: the delivery interval.
            settled: the settling mechanism's clearing; None where there is no local market.
        """
        open_to = orders if self.admitted is None else self.admitted(orders)
        if settled is not None:
            self._book(interval, compared_row(self.settling, settled, open_to, tariff), tariff, True)
        for label, mechanism in self._shadows.items():
            if label in self._open:
                self._clear_ahead(label, tariff, interval)
                continue
            clearing = mechanism.clear(open_to, tariff, interval)
            name = self._book(interval, compared_row(label, clearing, open_to, tariff), tariff, False)
            if self.bills is not None:
                self.bills.cleared(name, clearing, orders, tariff, interval)

    def open_slots(self, tariff_of: TariffOf, upstream: Upstream) -> None:
        """Let shadows that can trade ahead do so, with slots of their own; ``upstream`` adds the supplier's fills."""
        self._upstream = upstream
        for label, mechanism in self._shadows.items():
            if isinstance(mechanism, TradesAhead):
                mine = _AdmittedShadow(mechanism, self._may)
                self._open[label] = OpenSlots(mechanism, mine, tariff_of, self._may)

    def pools(self) -> list[PoolAndBook]:
        """The pools among the shadows."""
        return [mechanism for mechanism in self._shadows.values() if isinstance(mechanism, PoolAndBook)]

    def hand_in(self, orders: Orders, ahead: Ahead) -> None:
        """Take what participants hand in for the running interval and for later slots."""
        self._handed = orders, ahead

    def _may(self, orders: Orders) -> Orders:
        return orders if self.admitted is None else self.admitted(orders)

    def _clear_ahead(self, label: str, tariff: Tariff, interval: int) -> None:
        """Clear a shadow on what was handed in, with its own position; what its pool owes is in its bills."""
        slots = self._open[label]
        cleared = slots.clear(interval, *self._handed)
        clearing, book = cleared.clearing, cleared.book
        fills = self._upstream(clearing.fills, supplied(book, tariff.feed_in_micro_per_kwh), tariff)
        payments = slots.distribute(interval, fills)
        row = compared_row(label, clearing, self._may(book), tariff)
        name = self._book(interval, row, tariff, False)
        if self.bills is not None:
            self.bills.flowed(name, fills, payments, interval)

    def _book(self, interval: int, row: ComparedRow, tariff: Tariff, settles: bool) -> str:
        """Book a mechanism's row under its name, which is returned."""
        # the settling mechanism may stand among its shadows, with other parameters
        name = row.mechanism if settles or row.mechanism != self.settling else f"{row.mechanism} (shadow)"
        tally = self.tallies.setdefault(name, Tally(np.zeros(self.n, dtype=np.int64)))
        price = None if row.mechanism in WITHOUT_PRICE else row.price_micro_per_kwh
        tally.volume_wh += row.volume_wh
        if price is not None:
            tally.priced_wh += row.volume_wh
            tally.value_milli_micro += price * row.volume_wh
        tally.welfare_micro += row.welfare_micro
        tally.optimum_micro += row.optimum_micro
        tally.residue_micro += row.residue_micro
        tally.intervals += 1
        for participant, gain in row.gains_micro.items():
            tally.gains_micro[participant] += gain
        self.rows.append(
            {
                "interval": interval,
                "mechanism": name,
                "settles": settles,
                "price_micro_per_kwh": price,
                "retail_micro_per_kwh": tariff.retail_micro_per_kwh,
                "feed_in_micro_per_kwh": tariff.feed_in_micro_per_kwh,
                "volume_wh": row.volume_wh,
                "welfare_micro": row.welfare_micro,
                "optimum_micro": row.optimum_micro,
                "residue_micro": row.residue_micro,
                "gained_count": len(row.gained),
                "lost_count": len(row.lost),
            }
        )
        return name

    def take_rows(self) -> dict[str, list[Any]]:
        """Columns of the rows since the last call; empty where there are none."""
        rows, self.rows = self.rows, []
        return {key: [row[key] for row in rows] for key in rows[0]} if rows else {}


class _AdmittedShadow:
    """A shadow that is given the orders of admitted assets only."""

    def __init__(self, mechanism: Mechanism, may: Callable[[Orders], Orders]) -> None:
        self.name = mechanism.name
        self._mechanism, self._may = mechanism, may

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """As the mechanism."""
        return self._mechanism.clear(self._may(orders), tariff, interval)

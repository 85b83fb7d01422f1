"""Mechanisms side by side: shadows clear the same orders as the mechanism that settles, and change nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from adapters.grid.feeder import IntArray
from market.compare import ComparedRow, compared_row
from market.mechanism import Clearing, Mechanism, Tariff
from market.orders import Orders
from market.registry import make_mechanism

NO_MECHANISM = "none"
OPTIMUM = "welfare_optimum"
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
            clearing = mechanism.clear(open_to, tariff, interval)
            name = self._book(interval, compared_row(label, clearing, open_to, tariff), tariff, False)
            if self.bills is not None:
                self.bills.cleared(name, clearing, orders, tariff, interval)

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

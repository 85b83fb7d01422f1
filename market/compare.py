"""Mechanisms side by side on the same orders: price, volume, welfare, efficiency gap, and who gained.

The reference points are "no trade" (mechanism ``none``: welfare zero, nobody gains) and the welfare optimum. A gain is
measured against the supplier: a buyer saves retail less price, a seller earns price less feed-in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from market.errors import ParameterError
from market.mechanism import Clearing, Mechanism, Tariff
from market.money import WH_PER_KWH
from market.orders import BUY, Fills, Orders
from market.registry import make_mechanism
from market.welfare import optimum, welfare_micro

_MILLION = 1_000_000


@dataclass(frozen=True)
class ComparedRow:
    """One mechanism on one or more intervals.

    ``efficiency_gap_ppm`` is 1 - welfare/optimum in millionths (0 where the optimum is zero; negative never for
    voluntary trade, but a rule that ignores limits may destroy welfare and exceed a million). ``gains_micro`` maps a
    participant row to what it gained against the supplier (negative: lost); ``residue_micro`` stays with the pool.
    """

    mechanism: str
    price_micro_per_kwh: int | None
    volume_wh: int
    welfare_micro: int
    optimum_micro: int
    optimum_wh: int
    residue_micro: int
    gains_micro: Mapping[int, int] = field(default_factory=dict)

    @property
    def efficiency_gap_ppm(self) -> int:
        """1 - welfare/optimum in millionths, rounded down."""
        if self.optimum_micro == 0:
            return 0
        return (self.optimum_micro - self.welfare_micro) * _MILLION // self.optimum_micro

    @property
    def gained(self) -> tuple[int, ...]:
        """Participants that are better off than with the supplier."""
        return tuple(sorted(p for p, gain in self.gains_micro.items() if gain > 0))

    @property
    def lost(self) -> tuple[int, ...]:
        """Participants that are worse off than with the supplier."""
        return tuple(sorted(p for p, gain in self.gains_micro.items() if gain < 0))


def gains_micro(fills: Fills, tariff: Tariff) -> dict[int, int]:
    """Return what each participant gained against the supplier, rounded down per fill."""
    supplier = np.where(fills["side"] == BUY, tariff.retail_micro_per_kwh, tariff.feed_in_micro_per_kwh)
    better = (fills["price_micro_per_kwh"] - supplier) * fills["side"].astype(np.int64)
    gains: dict[int, int] = {}
    amounts = (better * fills["energy_wh"] // WH_PER_KWH).tolist()
    for participant, gain in zip(fills["participant"].tolist(), amounts, strict=True):
        gains[participant] = gains.get(participant, 0) + gain
    return gains


def compared_row(name: str, clearing: Clearing, orders: Orders, tariff: Tariff) -> ComparedRow:
    """Return the row of a clearing that was made from these orders (of one interval)."""
    best = optimum(orders)
    return ComparedRow(
        name,
        clearing.price_micro_per_kwh,
        clearing.volume_wh,
        welfare_micro(clearing.fills),
        best.welfare_micro,
        best.volume_wh,
        clearing.residue_micro,
        gains_micro(clearing.fills, tariff),
    )


def _sum(rows: Sequence[ComparedRow]) -> ComparedRow:
    """Return the total of a mechanism's rows; the price is the volume-weighted mean, rounded down."""
    volume = sum(row.volume_wh for row in rows)
    value = sum((row.price_micro_per_kwh or 0) * row.volume_wh for row in rows)
    gains: dict[int, int] = {}
    for row in rows:
        for participant, gain in row.gains_micro.items():
            gains[participant] = gains.get(participant, 0) + gain
    return ComparedRow(
        rows[0].mechanism,
        value // volume if volume else None,
        volume,
        sum(row.welfare_micro for row in rows),
        sum(row.optimum_micro for row in rows),
        sum(row.optimum_wh for row in rows),
        sum(row.residue_micro for row in rows),
        gains,
    )


class Shadow:
    """Mechanisms that clear the orders of a run beside the one that settles, each with a state of its own.

    Args:
        specs: label to (mechanism name, parameters); labels tell two settings of one mechanism apart.

    Raises:
        ParameterError: With the problems of all mechanisms at once.
    """

    def __init__(self, specs: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
        self._mechanisms: dict[str, Mechanism] = {}
        self._rows: dict[str, list[ComparedRow]] = {}
        problems: list[str] = []
        for label, (name, parameters) in specs.items():
            try:
                self._mechanisms[label] = make_mechanism(name, parameters)
            except ParameterError as error:
                problems.extend(error.problems)
        if problems:
            raise ParameterError(problems)

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> list[ComparedRow]:
        """Clear the orders of one delivery interval with every mechanism; return one row each."""
        rows = []
        for label, mechanism in self._mechanisms.items():
            row = compared_row(label, mechanism.clear(orders, tariff, interval), orders, tariff)
            self._rows.setdefault(label, []).append(row)
            rows.append(row)
        return rows

    def totals(self) -> list[ComparedRow]:
        """Return one row per mechanism over all intervals so far."""
        return [_sum(rows) for rows in self._rows.values()]


def compare(
    orders: Orders, tariff: Tariff, names: Sequence[str], interval: int | None = None
) -> list[ComparedRow]:
    """Clear one book with several mechanisms at their default parameters.

    Args:
        orders: valid orders of one delivery interval.
        tariff: the supplier's prices.
        names: of mechanisms (``market.registry.MECHANISM_NAMES``).
        interval: default: that of the first order.

    Raises:
        ParameterError: Unknown mechanisms, all at once.
        OrderError: The book is not valid.
    """
    if interval is None:
        interval = int(orders["interval"][0]) if orders.size else 0
    return Shadow({name: (name, {}) for name in names}).clear(orders, tariff, interval)

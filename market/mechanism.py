"""What every mechanism is: a pure function from orders to fills."""

from dataclasses import dataclass, field
from typing import Protocol

from market.orders import Fills, Orders


@dataclass(frozen=True)
class Tariff:
    """The supplier's prices that bound any local price, in millionths of the currency per kWh.

    ``retail_micro_per_kwh`` is what a participant pays the supplier (all in), ``feed_in_micro_per_kwh`` what
    the supplier pays for export; feed-in is at most retail.
    """

    retail_micro_per_kwh: int
    feed_in_micro_per_kwh: int


@dataclass(frozen=True)
class Payment:
    """Money between two participant rows (or ``POOL``) that is no energy trade (for instance take-or-pay)."""

    payer: int
    payee: int
    money_micro: int
    reason: str


@dataclass(frozen=True)
class Clearing:
    """The result of clearing one delivery interval.

    ``fills`` holds at most one row per order and counterparty; the energy sold to the pool equals the energy
    bought from it. ``price_micro_per_kwh`` is the published price (``None`` where nothing traded).
    ``residue_micro`` is the rounding and surplus money that stays with the pool account (never negative, but for a pool
    whose providers and fund bear its losses).
    ``payments`` are owed besides the fills (take-or-pay). ``details`` carries mechanism-specific numbers
    for the results, name with unit to number.
    """

    fills: Fills
    price_micro_per_kwh: int | None
    volume_wh: int
    residue_micro: int = 0
    details: dict[str, int] = field(default_factory=dict)
    payments: tuple[Payment, ...] = ()


class Mechanism(Protocol):
    """A market mechanism. Stateless ones ignore the interval; a book or an AMM keeps state between calls."""

    name: str

    def clear(self, orders: Orders, tariff: Tariff, interval: int) -> Clearing:
        """Clear the orders for delivery in ``interval``. Raises ``OrderError`` on invalid ones."""
        ...

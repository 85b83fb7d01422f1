"""One market session: the local mechanism first, then the supplier for what must move power and found no taker."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from adapters.grid.feeder import IntArray
from market.fills import joined
from market.mechanism import Clearing, Mechanism, Payment, Tariff
from market.orders import BATTERY, DEVICE_NAMES, EV, HEAT_PUMP, PV, SUPPLIER, Fills, Orders, empty_fills
from market.pool_study import PoolStudy
from twin.agents import Intent
from twin.comparison import WITHOUT_PRICE, Comparison
from twin.fleet import SetPoints
from twin.network_charges import NetworkCharges
from twin.tariff import SupplierTariff

Index = Callable[[Orders, Tariff], int | None]
"""The dynamic price of an interval's orders; None where nobody asks for energy."""
INDEX = "index_micro_per_kwh"
_KINDS = len(DEVICE_NAMES)


@dataclass(frozen=True)
class Session:
    """What the market hands to the gate: the intent it came from, the fills, and the published price."""

    intent: Intent
    fills: Fills
    price_micro_per_kwh: int | None
    tariff: Tariff
    residue_micro: int
    order_rows: IntArray  # per fill: row of its order in ``intent.orders``
    payments: tuple[Payment, ...] = ()  # owed besides the fills (take-or-pay)
    index_micro_per_kwh: int | None = None  # the pool's dynamic price, where one is published
    charges: NetworkCharges | None = None  # what accepted trades owe the network


@dataclass(frozen=True)
class Accepted:
    """What left the gate: accepted Wh per fill of the session, and the set points that follow from them."""

    session: Session
    accepted_wh: IntArray
    set_points: SetPoints


class TradingDesk:
    """Clears each interval's orders with the scenario's mechanism, then with the supplier."""

    def __init__(
        self,
        mechanism: Mechanism | None,
        tariff: SupplierTariff,
        interval_s: int,
        comparison: Comparison | None = None,
        study: PoolStudy | None = None,
        index: Index | None = None,
    ) -> None:
        """Bind the mechanism (None: the supplier only), and the shadows and pools that see the same orders.

        ``index`` publishes a price of the orders of each interval; without it, the mechanism's own counts.
        """
        self._mechanism = mechanism
        self._unpriced = mechanism is not None and mechanism.name in WITHOUT_PRICE
        self._index = index
        self._study = study
        self._comparison = comparison
        self._tariff = tariff
        self._interval_s = interval_s

    def clear(self, intent: Intent) -> Session:
        """Clear one interval."""
        tariff = self.tariff_of(intent.interval)
        orders = intent.orders
        clearing = self._mechanism.clear(orders, tariff, intent.interval) if self._mechanism else None
        return self.session(intent, clearing, tariff, orders)

    def tariff_of(self, interval: int) -> Tariff:
        """The supplier's prices in an interval."""
        return Tariff(self._tariff.retail_micro(interval * self._interval_s), self._tariff.feed_in_micro)

    def session(self, intent: Intent, clearing: Clearing | None, tariff: Tariff, supplied: Orders) -> Session:
        """Show the orders to shadows and pools, and take to the supplier what found no neighbour.

        ``supplied`` are the intent's orders, row by row, as the supplier sees them.
        """
        orders = intent.orders
        if self._comparison is not None:
            self._comparison.clear(orders, tariff, intent.interval, clearing)
        if self._study is not None:
            price = None if clearing is None else clearing.price_micro_per_kwh
            self._study.step(orders, tariff, intent.interval, price)
        if clearing is None:
            fills, rows = supplier_fills(orders, orders["energy_wh"], tariff)
            index = None if self._index is None else self._index(orders, tariff)
            return Session(intent, fills, None, tariff, 0, rows, (), index)
        # ids rise within a book, so the fill's order is found by search
        local = orders["id"].searchsorted(clearing.fills["order_id"])
        upstream, rows = supplier_fills(supplied, _left_wh(orders, local, clearing.fills), tariff)
        return Session(
            intent,
            joined((clearing.fills, upstream)),
            None if self._unpriced else clearing.price_micro_per_kwh,
            tariff,
            clearing.residue_micro,
            np.concatenate((local, rows)),
            clearing.payments,
            clearing.details.get(INDEX) if self._index is None else self._index(orders, tariff),
        )


@njit(cache=True)
def _left_wh(orders, rows, fills):  # type: ignore[no-untyped-def]
    """Energy of each order that its fills do not take; ``rows`` is the order's row per fill."""
    left = np.empty(orders.size, dtype=np.int64)
    for i in range(orders.size):
        left[i] = orders[i]["energy_wh"]
    for j in range(fills.size):
        left[rows[j]] -= fills[j]["energy_wh"]
    return left


@njit(cache=True)
def _supplier_rows(orders, left_wh, retail, feed_in, fills, rows):  # type: ignore[no-untyped-def]
    """Write a fill and its order's row for every flexible rest whose limit the supplier meets; return how many."""
    count = 0
    for i in range(orders.size):
        order = orders[i]
        if not order["flexible"] or left_wh[i] <= 0:
            continue
        buys, limit = order["side"] < 0, order["price_micro_per_kwh"]
        if limit < retail if buys else limit > feed_in:
            continue
        fill = fills[count]
        fill["order_id"] = order["id"]
        fill["participant"] = order["participant"]
        fill["side"] = order["side"]
        fill["device"] = order["device"]
        fill["flexible"] = True
        fill["counterparty"] = SUPPLIER
        fill["energy_wh"] = left_wh[i]
        fill["price_micro_per_kwh"] = retail if buys else feed_in
        fill["limit_micro_per_kwh"] = limit
        fill["interval"] = order["interval"]
        rows[count] = i
        count += 1
    return count


def supplier_fills(orders: Orders, left_wh: IntArray, tariff: Tariff) -> tuple[Fills, IntArray]:
    """Fills with the supplier for flexible energy that found no local taker and whose limit the supplier meets.

    Inflexible orders need none: what flows anyway is the supplier's by default and settled from the meter.

    Returns:
        The fills, and the row of each one's order.
    """
    fills, rows = empty_fills(len(orders)), np.empty(len(orders), dtype=np.int64)
    prices = np.int64(tariff.retail_micro_per_kwh), np.int64(tariff.feed_in_micro_per_kwh)
    count = _supplier_rows(orders, left_wh, *prices, fills, rows)
    return fills[:count], rows[:count]


@njit(cache=True)
def _extra_w(fills, accepted_wh, per_hour, n):  # type: ignore[no-untyped-def]
    """Accepted change of power per device kind and participant, W positive into the grid; (kinds, n)."""
    extra = np.zeros((_KINDS, n))
    for i in range(fills.size):
        fill = fills[i]
        if fill["flexible"]:
            extra[fill["device"], fill["participant"]] += accepted_wh[i] * per_hour * fill["side"]
    return extra


def accepted_set_points(session: Session, accepted_wh: IntArray, interval_s: int) -> Accepted:
    """Turn accepted energy per fill into changes of power per participant and device."""
    extra = _extra_w(session.fills, accepted_wh, 3600.0 / interval_s, len(session.intent.p_base_w))
    points = session.intent.set_points(-extra[EV], extra[BATTERY], extra[PV], -extra[HEAT_PUMP])
    return Accepted(session, accepted_wh, points)

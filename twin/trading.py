"""One market session: the local mechanism first, then the supplier for what must move power and found no taker."""

from dataclasses import dataclass

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from market.mechanism import Mechanism, Payment, Tariff
from market.orders import BATTERY, BUY, EV, PV, SELL, SUPPLIER, Fills, Orders, empty_fills
from market.pool_study import PoolStudy
from twin.agents import Intent
from twin.comparison import Comparison
from twin.fleet import SetPoints
from twin.tariff import SupplierTariff


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
    ) -> None:
        """Bind the mechanism (None: the supplier only), and the shadows and pools that see the same orders."""
        self._mechanism = mechanism
        self._study = study
        self._comparison = comparison
        self._tariff = tariff
        self._interval_s = interval_s

    def clear(self, intent: Intent) -> Session:
        """Clear one interval."""
        retail = self._tariff.retail_micro(intent.interval * self._interval_s)
        tariff = Tariff(retail, self._tariff.feed_in_micro)
        orders = intent.orders
        clearing = self._mechanism.clear(orders, tariff, intent.interval) if self._mechanism else None
        if self._comparison is not None:
            self._comparison.clear(orders, tariff, intent.interval, clearing)
        if self._study is not None:
            price = None if clearing is None else clearing.price_micro_per_kwh
            self._study.step(orders, tariff, intent.interval, price)
        if clearing is None:
            fills, rows = supplier_fills(orders, orders["energy_wh"], tariff)
            return Session(intent, fills, None, tariff, 0, rows)
        # ids rise within a book, so the fill's order is found by search
        local = np.searchsorted(orders["id"], clearing.fills["order_id"])
        left = orders["energy_wh"] - np.bincount(local, clearing.fills["energy_wh"], len(orders)).astype(
            np.int64
        )
        upstream, rows = supplier_fills(orders, left, tariff)
        fills = np.concatenate((clearing.fills, upstream))
        price = clearing.price_micro_per_kwh
        order_rows = np.concatenate((local, rows))
        residue = clearing.residue_micro
        return Session(intent, fills, price, tariff, residue, order_rows, clearing.payments)


def supplier_fills(orders: Orders, left_wh: IntArray, tariff: Tariff) -> tuple[Fills, IntArray]:
    """Fills with the supplier for flexible energy that found no local taker and whose limit the supplier meets.

    Inflexible orders need none: what flows anyway is the supplier's by default and settled from the meter.

    Returns:
        The fills, and the row of each one's order.
    """
    if not orders["flexible"].any():
        return empty_fills(), np.zeros(0, dtype=np.int64)
    buys = (orders["side"] == BUY) & (orders["price_micro_per_kwh"] >= tariff.retail_micro_per_kwh)
    sells = (orders["side"] == SELL) & (orders["price_micro_per_kwh"] <= tariff.feed_in_micro_per_kwh)
    rows = np.flatnonzero((buys | sells) & orders["flexible"] & (left_wh > 0))
    fills = empty_fills(len(rows))
    if len(rows) == 0:
        return fills, rows
    for name in ("participant", "side", "device", "flexible", "interval"):
        fills[name] = orders[name][rows]
    fills["order_id"] = orders["id"][rows]
    fills["limit_micro_per_kwh"] = orders["price_micro_per_kwh"][rows]
    fills["counterparty"] = SUPPLIER
    fills["energy_wh"] = left_wh[rows]
    price = np.where(fills["side"] == BUY, tariff.retail_micro_per_kwh, tariff.feed_in_micro_per_kwh)
    fills["price_micro_per_kwh"] = price
    return fills, rows


def accepted_set_points(session: Session, accepted_wh: IntArray, interval_s: int) -> Accepted:
    """Turn accepted energy per fill into changes of power per participant and device."""
    fills, n = session.fills, len(session.intent.p_base_w)
    power = accepted_wh * fills["flexible"] * (3600.0 / interval_s)

    def per_participant(device: int) -> FloatArray:
        mine = fills["device"] == device
        return np.asarray(
            np.bincount(fills["participant"][mine], power[mine] * fills["side"][mine], minlength=n),
            dtype=np.float64,
        )

    ev_extra = -per_participant(EV)
    points = session.intent.set_points(ev_extra, per_participant(BATTERY), per_participant(PV))
    return Accepted(session, accepted_wh, points)

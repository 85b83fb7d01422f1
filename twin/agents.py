"""Participants' plain strategies: from forecasts and device state to a baseline and orders. Vectorised."""

from dataclasses import dataclass

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from market.orders import BATTERY, BUY, EV, HOUSE, PV, SELL, Orders, empty_orders
from twin.fleet import FleetState, SetPoints, battery_bounds_w, ev_most_w, self_consumption_w
from twin.participants import BoolArray, Participants
from twin.tariff import SupplierTariff

SLOTS = 6  # order slots of one participant and interval, in this order
HOUSE_BUY, EV_FIRM_BUY, EV_FLEX_BUY, PV_FIRM_SELL, PV_FLEX_SELL, BATTERY_FLEX = range(SLOTS)


@dataclass(frozen=True)
class Intent:
    """What the participants hand in for an interval: the baseline that flows anyway, and their orders.

    ``p_base_w`` and ``q_base_var`` are (n,) forecasts at the connection points without any accepted trade.
    """

    interval: int
    p_base_w: FloatArray
    q_base_var: FloatArray
    ev_base_w: FloatArray
    battery_idle: BoolArray
    orders: Orders

    def set_points(
        self, ev_extra_w: FloatArray, battery_extra_w: FloatArray, pv_extra_w: FloatArray
    ) -> SetPoints:
        """Set points for this intent and the accepted changes of power; (n,) each."""
        return SetPoints(self.ev_base_w, ev_extra_w, battery_extra_w, pv_extra_w, self.battery_idle)


def in_window(second_of_day: int, start_s: IntArray, end_s: IntArray) -> BoolArray:
    """Whether a time of day lies in [start, end), which may wrap around midnight; equal ends mean never."""
    plain = (start_s <= second_of_day) & (second_of_day < end_s)
    wrapped = (start_s > end_s) & ((second_of_day >= start_s) | (second_of_day < end_s))
    return np.asarray(plain | wrapped)


class Agents:
    """All participants' strategies. Deterministic: randomness was drawn when the participants were placed."""

    def __init__(
        self, people: Participants, tariff: SupplierTariff, interval_s: int, day_start_s: int
    ) -> None:
        """Bind the strategies.

        Args:
            people: the participant table.
            tariff: the supplier's prices over time.
            interval_s: market interval.
            day_start_s: second of the day (local) at simulation second 0.
        """
        self._people = people
        self._tariff = tariff
        self._interval_s = interval_s
        self._day_start_s = day_start_s
        self._hours = interval_s / 3600.0
        n = people.n
        self._rank = np.arange(n, dtype=np.int64)
        self._device = np.tile(np.array([HOUSE, EV, EV, PV, PV, BATTERY], dtype=np.int8), n)
        self._flexible = np.tile(np.array([False, False, True, False, True, True]), n)
        self._row = np.repeat(np.arange(n, dtype=np.int32), SLOTS)

    def intend(
        self, interval: int, state: FleetState, load_w: FloatArray, load_var: FloatArray, pv_w: FloatArray
    ) -> Intent:
        """Baseline and orders for ``interval`` from its forecasts (n,) and the devices' state at its start."""
        people, hours = self._people, self._hours
        time_s = interval * self._interval_s
        second = (self._day_start_s + time_s) % 86400
        # where the two windows overlap it sells: an idle battery's house would buy what the battery sells
        selling = people.battery_sells & in_window(second, people.sell_from_s, people.sell_to_s)
        recharge = (
            people.battery_sells & ~selling & in_window(second, people.recharge_from_s, people.recharge_to_s)
        )
        most_ev = ev_most_w(people, state.ev_plugged, state.ev_need_wh, self._interval_s)
        wants_now, bid_ev = self._ev_wish(time_s, state, most_ev)
        ev_firm = np.where(wants_now, np.minimum(most_ev, people.firm_import_w), 0.0)
        # a car takes its own roof's surplus before anybody else gets it; that is no trade
        sun = np.minimum(most_ev - ev_firm, np.maximum(pv_w - load_w - ev_firm, 0.0))
        ev_base = ev_firm + sun
        low, high = battery_bounds_w(people, state.soc, self._interval_s)
        own = self_consumption_w(pv_w - load_w - ev_base, low, high, recharge)
        battery = self._battery_wish_w(second, state, own, low, high, selling, recharge)
        # and what its own house's battery would sell: nobody sells with one hand and buys with the other
        self_sold = np.minimum(np.maximum(battery, 0.0), most_ev - ev_base)
        ev_base, own, battery = ev_base + self_sold, own + self_sold, battery - self_sold
        net = pv_w - load_w - ev_base
        free = net + own  # surplus (> 0) or need (< 0) of the house after its own battery
        export = self._exportable_w()
        p_base = np.minimum(free, np.where(free > 0, export, np.inf))
        wish = np.empty((people.n, SLOTS))
        need = np.maximum(-free, 0.0)
        wish[:, EV_FIRM_BUY] = np.minimum(need, ev_firm)
        wish[:, HOUSE_BUY] = need - wish[:, EV_FIRM_BUY]
        wish[:, EV_FLEX_BUY] = most_ev - ev_base
        surplus = np.maximum(free, 0.0)
        wish[:, PV_FIRM_SELL] = np.minimum(surplus, export)
        wish[:, PV_FLEX_SELL] = surplus - wish[:, PV_FIRM_SELL]
        wish[:, BATTERY_FLEX] = battery
        orders = self._orders(interval, wish * hours, bid_ev)
        return Intent(interval, p_base, -load_var, ev_base, recharge, orders)

    def _exportable_w(self) -> float:
        return 0.0 if self._people.curtails else self._people.firm_export_w

    def _ev_wish(self, time_s: int, state: FleetState, most_w: FloatArray) -> tuple[BoolArray, IntArray]:
        """Who charges now at the supplier's price, and the limit price of charging beyond the firm limit.

        'asap' always wants to. 'cheap' does when the price is the least it will see before it leaves, or when
        waiting one more interval would endanger a full battery with the firm limit alone; else it bids that
        least price.
        """
        people = self._people
        now = self._tariff.retail_micro(time_s)
        least = self._tariff.least_retail_micro(time_s, state.ev_departure_s)
        left_h = np.maximum(state.ev_departure_s - time_s - self._interval_s, 0) / 3600.0
        sure_wh = np.minimum(people.firm_import_w, people.ev_p_w) * people.ev_efficiency * left_h
        wants = (most_w > 0) & (~people.ev_cheap | (now <= least) | (state.ev_need_wh > sure_wh))
        return np.asarray(wants), np.where(wants, now, least)

    def _battery_wish_w(
        self,
        second: int,
        state: FleetState,
        own_w: FloatArray,
        low_w: FloatArray,
        high_w: FloatArray,
        selling: BoolArray,
        recharge: BoolArray,
    ) -> FloatArray:
        """Power offered (> 0) or asked (< 0) beyond self-consumption, spread over what is left of the window."""
        people = self._people
        if not (selling.any() or recharge.any()):
            return np.zeros(people.n)
        left = (people.sell_to_s - second) % 86400 / 3600.0
        stored = (state.soc - people.soc_min) * people.battery_wh * people.battery_efficiency
        offer = np.minimum(np.maximum(stored, 0.0) / np.maximum(left, self._hours), high_w) - np.maximum(
            own_w, 0.0
        )
        left = (people.recharge_to_s - second) % 86400 / 3600.0
        room = (people.soc_max - state.soc) * people.battery_wh / people.battery_efficiency
        ask = np.minimum(np.maximum(room, 0.0) / np.maximum(left, self._hours), -low_w) + np.minimum(
            own_w, 0.0
        )
        return np.where(selling, np.maximum(offer, 0.0), np.where(recharge, -np.maximum(ask, 0.0), 0.0))

    def _orders(self, interval: int, wish_wh: FloatArray, bid_ev: IntArray) -> Orders:
        """Orders of at least 1 Wh; energy is rounded down, so nobody offers what it does not have."""
        people = self._people
        time_s = interval * self._interval_s
        retail = self._tariff.retail_micro(time_s)
        feed_in = self._tariff.feed_in_micro
        price = np.empty((people.n, SLOTS), dtype=np.int64)
        price[:, HOUSE_BUY] = retail - (people.house_bid_share * (retail - feed_in)).astype(np.int64)
        price[:, EV_FIRM_BUY] = retail
        price[:, EV_FLEX_BUY] = bid_ev
        price[:, PV_FIRM_SELL] = feed_in
        price[:, PV_FLEX_SELL] = feed_in
        buys = wish_wh[:, BATTERY_FLEX] < 0
        price[:, BATTERY_FLEX] = np.where(buys, retail, np.maximum(people.battery_ask_micro, feed_in))
        energy = np.abs(wish_wh).astype(np.int64).ravel()
        kept = np.flatnonzero((energy > 0) & people.trades[self._row])
        orders = empty_orders(len(kept))
        orders["id"] = interval * (people.n * SLOTS) + kept
        orders["participant"] = self._row[kept]
        side = np.full((people.n, SLOTS), BUY, dtype=np.int8)
        side[:, PV_FIRM_SELL:] = SELL
        side[:, BATTERY_FLEX] = np.where(buys, BUY, SELL)
        orders["side"] = side.ravel()[kept]
        orders["device"] = self._device[kept]
        orders["flexible"] = self._flexible[kept]
        orders["energy_wh"] = energy[kept]
        orders["price_micro_per_kwh"] = price.ravel()[kept]
        orders["interval"] = interval
        # a rotating place in the queue, so that no house is always first among equals
        orders["time"] = (orders["participant"] + interval) % people.n
        return orders

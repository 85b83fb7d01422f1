"""Participants' plain strategies: from forecasts and device state to a baseline and orders."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from adapters.grid.feeder import FloatArray, IntArray
from market.ahead import Ahead
from market.orders import BATTERY, BUY, EV, HOUSE, PV, SELL, Orders, empty_orders
from twin.fleet import FleetState, SetPoints
from twin.gate.envelope import Envelope
from twin.heating import KINDS as HEAT_SLOTS
from twin.heating import Heating, HeatPlan, room_wh
from twin.network_charges import NetworkCharges, net_of_charges
from twin.participants import BoolArray, Participants
from twin.rules import battery_bounds_w, ev_most_w, in_window, self_consumption_w
from twin.tariff import SupplierTariff

SLOTS = 6  # order slots of one participant and interval, in this order
HOUSE_BUY, EV_FIRM_BUY, EV_FLEX_BUY, PV_FIRM_SELL, PV_FLEX_SELL, BATTERY_FLEX = range(SLOTS)
SLOT_DEVICE = np.array([HOUSE, EV, EV, PV, PV, BATTERY], dtype=np.int8)
SLOT_FLEXIBLE = np.array([False, False, True, False, True, True])


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
    wanted: (
        Orders  # the orders before an envelope capped or a charge moved them; the same where there is none
    )
    charges: NetworkCharges | None = None  # in force in this interval
    ahead: Ahead | None = None  # what is handed in for later slots; None where none are open
    pv_base_w: FloatArray | None = (
        None  # what of the baseline comes from the roof, and from the battery; (n,) each
    )
    battery_base_w: FloatArray | None = None
    heat: HeatPlan | None = None  # of the heat pumps; None where nobody has one

    def set_points(
        self,
        ev_extra_w: FloatArray,
        battery_extra_w: FloatArray,
        pv_extra_w: FloatArray,
        heat_extra_w: FloatArray | None = None,
    ) -> SetPoints:
        """Set points for this intent and the accepted changes of power; (n,) each."""
        heat = None if self.heat is None or heat_extra_w is None else self.heat.points(heat_extra_w)
        return SetPoints(self.ev_base_w, ev_extra_w, battery_extra_w, pv_extra_w, self.battery_idle, heat)


@njit(cache=True)
def _battery_wish_w(second, windows, selling, recharging, soc, own_w, low_w, high_w, rating, hours):  # type: ignore[no-untyped-def]
    """Power offered (> 0) or asked (< 0) beyond self-consumption, spread over what is left of the window.

    ``rating`` is the participant's column of ``Participants.ratings``, ``windows`` of ``Participants.windows``.
    """
    capacity, eta, soc_min, soc_max = rating[1], rating[2], rating[3], rating[4]
    if selling:
        left_h = max((windows[1] - second) % 86400 / 3600.0, hours)
        stored = max((soc - soc_min) * capacity * eta, 0.0)
        return max(min(stored / left_h, high_w) - max(own_w, 0.0), 0.0)
    if recharging:
        left_h = max((windows[3] - second) % 86400 / 3600.0, hours)
        room = max((soc_max - soc) * capacity / eta, 0.0)
        return -max(min(room / left_h, -low_w) + min(own_w, 0.0), 0.0)
    return 0.0


@njit(cache=True)
def _wish_rows(  # type: ignore[no-untyped-def]
    people, sells, windows, cheap, soc, plugged, need_wh, departure_s, end_s, now, least, load_w, pv_w, firm_import_w,
    exportable_w, second, hours,
):  # fmt: skip
    """Each participant's wishes in Wh by slot (n, SLOTS), baseline and of it car, PV and battery (4, n), recharging,
    what its car bids (the price of now, or the least it will see).

    Who charges now at the supplier's price: 'asap' always; 'cheap' when the price is the least the car will see
    before it leaves, or when waiting one more interval would endanger a full battery with the firm limit alone.
    """
    n = soc.size
    wish, base = np.zeros((n, SLOTS)), np.empty((4, n))
    recharging, bid_ev = np.zeros(n, dtype=np.bool_), np.empty(n, dtype=np.int64)
    for i in range(n):
        # where the two windows overlap it sells: an idle battery's house would buy what the battery sells
        selling = sells[i] and in_window(second, windows[0, i], windows[1, i])
        recharging[i] = sells[i] and not selling and in_window(second, windows[2, i], windows[3, i])
        p_ev, eta_ev = people[5, i], people[6, i]
        most_ev = ev_most_w(plugged[i], need_wh[i], p_ev, eta_ev, hours)
        sure_wh = min(firm_import_w, p_ev) * eta_ev * (max(departure_s[i] - end_s, 0) / 3600.0)
        wants = most_ev > 0 and (not cheap[i] or now <= least[i] or need_wh[i] > sure_wh)
        bid_ev[i] = now if wants else least[i]
        ev_firm = min(most_ev, firm_import_w) if wants else 0.0
        # a car takes its own roof's surplus before anybody else gets it; that is no trade
        ev_base = ev_firm + min(most_ev - ev_firm, max(pv_w[i] - load_w[i] - ev_firm, 0.0))
        low, high = battery_bounds_w(
            soc[i], people[3, i], people[4, i], people[1, i], people[0, i], people[2, i], hours
        )
        own = self_consumption_w(pv_w[i] - load_w[i] - ev_base, low, high, recharging[i])
        battery = _battery_wish_w(
            second, windows[:, i], selling, recharging[i], soc[i], own, low, high, people[:, i], hours
        )
        # and what its own house's battery would sell: nobody sells with one hand and buys with the other
        self_sold = min(max(battery, 0.0), most_ev - ev_base)
        ev_base, own, battery = ev_base + self_sold, own + self_sold, battery - self_sold
        free = pv_w[i] - load_w[i] - ev_base + own  # surplus (> 0) or need (< 0) after its own battery
        need, surplus = max(-free, 0.0), max(free, 0.0)
        base[0, i], base[1, i] = min(free, exportable_w) if free > 0 else free, ev_base
        base[2, i], base[3, i] = pv_w[i] - (free - base[0, i]), own
        wish[i, EV_FIRM_BUY] = min(need, ev_firm)
        wish[i, HOUSE_BUY] = need - wish[i, EV_FIRM_BUY]
        wish[i, EV_FLEX_BUY] = most_ev - ev_base
        wish[i, PV_FIRM_SELL] = min(surplus, exportable_w)
        wish[i, PV_FLEX_SELL] = surplus - wish[i, PV_FIRM_SELL]
        wish[i, BATTERY_FLEX] = battery
    return wish * hours, base, recharging, bid_ev


@njit(cache=True)
def _fill_orders(orders, wish_wh, trades, bid, bid_ev, ask, retail, feed_in, interval):  # type: ignore[no-untyped-def]
    """Write one order per wish of at least 1 Wh into ``orders``, ids rising; return how many."""
    n, count = trades.size, 0
    for i in range(n):
        if not trades[i]:
            continue
        for slot in range(SLOTS):
            wish = wish_wh[i, slot]
            energy = int(abs(wish))
            if energy == 0:
                continue
            sells = slot >= PV_FIRM_SELL and wish > 0
            price = feed_in
            if slot == HOUSE_BUY:
                price = bid[i]
            elif slot == EV_FLEX_BUY:
                price = bid_ev[i]
            elif not sells:
                price = retail
            elif slot == BATTERY_FLEX:
                price = max(ask[i], feed_in)
            order = orders[count]
            order["id"] = interval * (n * SLOTS) + i * SLOTS + slot
            order["participant"] = i
            order["side"] = SELL if sells else BUY
            order["device"] = SLOT_DEVICE[slot]
            order["flexible"] = SLOT_FLEXIBLE[slot]
            order["energy_wh"] = energy
            order["price_micro_per_kwh"] = price
            order["interval"] = interval
            # a rotating place in the queue, so that no house is always first among equals
            order["time"] = (i + interval) % n
            count += 1
    return count


def _cap(wish_wh: FloatArray, envelope: Envelope, hours: float, plan: HeatPlan | None) -> FloatArray | None:
    """Cut wishes to the envelope, in place: the battery gives way first, then the heat pump, the car and the roof.

    Returns the wishes of the heat pumps, where there are any.
    """
    export, draw = envelope.export_w * hours, envelope.import_w * hours
    ev = wish_wh[:, EV_FLEX_BUY] = np.minimum(wish_wh[:, EV_FLEX_BUY], draw)
    pv = wish_wh[:, PV_FLEX_SELL] = np.minimum(wish_wh[:, PV_FLEX_SELL], export)
    heat = None if plan is None else plan.capped(plan.wish_wh, room_wh(envelope, ev, hours))
    taken = ev if heat is None else ev + heat.sum(axis=0)
    wish_wh[:, BATTERY_FLEX] = np.clip(wish_wh[:, BATTERY_FLEX], taken - draw, export - pv)
    return heat


class Agents:
    """All participants' strategies. Deterministic: randomness was drawn when the participants were placed."""

    def __init__(
        self,
        people: Participants,
        tariff: SupplierTariff,
        interval_s: int,
        day_start_s: int,
        bearable_micro: IntArray | None = None,
        heating: Heating | None = None,
    ) -> None:
        """Bind the strategies.

        Args:
            people: the participant table.
            tariff: the supplier's prices over time.
            interval_s: market interval.
            day_start_s: second of the day (local) at simulation second 0.
            bearable_micro: (n,) highest network charge at which a flexible buyer does not wait, if there are any.
            heating: what plans the heat pumps, where somebody has one.
        """
        self._heating = heating
        self._bearable = bearable_micro
        self._people = people
        self._tariff = tariff
        self._interval_s = interval_s
        self._day_start_s = day_start_s
        self._hours = interval_s / 3600.0
        self._bids: dict[int, IntArray] = {}  # by retail price: a tariff has few

    def intend(
        self,
        interval: int,
        state: FleetState,
        load_w: FloatArray,
        load_var: FloatArray,
        pv_w: FloatArray,
        published: Envelope | NetworkCharges | None = None,
    ) -> Intent:
        """Baseline and orders for ``interval`` from its forecasts (n,) and the devices' state at its start.

        What the operator published: an ``Envelope`` caps what each participant offers and asks beyond its baseline;
        ``NetworkCharges`` move the limits of the orders.
        """
        people = self._people
        time_s = interval * self._interval_s
        second = (self._day_start_s + time_s) % 86400
        now = self._tariff.retail_micro(time_s)
        least = self._tariff.least_retail_micro(time_s, state.ev_departure_s)
        plan, rows = None, load_w
        if self._heating is not None and state.heat is not None:
            plan = self._heating.plan(interval, state.heat, load_w, pv_w)
            rows = (
                load_w + plan.base_w
            )  # to everything else behind the connection point it is the house's load
        wish, base, recharge, bid_ev = _wish_rows(
            people.ratings, people.battery_sells, people.windows, people.ev_cheap, state.soc, state.ev_plugged,
            state.ev_need_wh, state.ev_departure_s, time_s + self._interval_s, now, least, rows, pv_w,
            people.firm_import_w, people.exportable_w, second, self._hours,
        )  # fmt: skip
        if plan is not None:  # nobody stores a neighbour's energy while it sells its own
            plan = plan.without(wish[:, PV_FIRM_SELL:].max(axis=1) > 0)
        orders = wanted = self._orders(interval, wish, bid_ev, plan)
        if isinstance(published, Envelope):
            heat_wh = _cap(wish, published, self._hours, plan)
            orders = self._orders(interval, wish, bid_ev, plan, heat_wh)
        elif published is not None and self._bearable is not None:
            feed_in, asks = self._tariff.feed_in_micro, people.battery_ask_micro
            orders = net_of_charges(wanted, published, self._bearable, asks, feed_in)
            charged = (published, None, base[2], base[3], plan)
            return Intent(interval, base[0], -load_var, base[1], recharge, orders, wanted, *charged)
        return Intent(
            interval,
            base[0],
            -load_var,
            base[1],
            recharge,
            orders,
            wanted,
            None,
            None,
            base[2],
            base[3],
            plan,
        )

    def _orders(
        self,
        interval: int,
        wish_wh: FloatArray,
        bid_ev: IntArray,
        plan: HeatPlan | None,
        heat_wh: FloatArray | None = None,
    ) -> Orders:
        """Orders of at least 1 Wh; energy is rounded down, so nobody offers what it does not have."""
        people = self._people
        retail, feed_in = self._tariff.retail_micro(interval * self._interval_s), self._tariff.feed_in_micro
        # bids and asks are whole millionths before they reach the book: floating point never decides money
        if retail not in self._bids:
            self._bids[retail] = retail - (people.house_bid_share * (retail - feed_in)).astype(np.int64)
        orders = empty_orders(people.n * SLOTS)
        bid, ask = self._bids[retail], people.battery_ask_micro
        count = _fill_orders(orders, wish_wh, people.trades, bid, bid_ev, ask, retail, feed_in, interval)
        if plan is None or self._heating is None:
            return orders[:count]
        orders["id"][:count] += interval * people.n * HEAT_SLOTS
        first_id = interval * people.n * (SLOTS + HEAT_SLOTS) + people.n * SLOTS
        heat_wh = plan.wish_wh if heat_wh is None else heat_wh
        return np.concatenate((orders[:count], self._heating.orders(interval, plan, heat_wh, first_id)))

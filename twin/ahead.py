"""What participants hand in for later slots: parts of what they expect to need or have, and stored energy to provide.

A house without battery trades a share of its forecast before the slot, the same part in every interval in which the
slot is open, and asks for the rest when the slot is there. It bids what it bids anyway, but never pays more (or asks
less) than the last published price. A battery that sells commits a share of what it could deliver in a slot, once, when
the slot opens; its stored energy is spread over what is left of its selling window.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from market.ahead import Ahead
from market.orders import BATTERY, BUY, HOUSE, PV, SELL, Orders, empty_orders
from twin.agents import Agents, Intent
from twin.fleet import FleetState
from twin.gate.envelope import Envelope
from twin.network_charges import NetworkCharges
from twin.participants import Participants
from twin.profiles import Forecaster
from twin.rules import in_window
from twin.scenario.ahead_section import AheadSection
from twin.tariff import DAY_S, SupplierTariff

FIRST_ID = 2**40
"""Ids of orders ahead begin here, above all ids of running orders."""
KINDS = 4
HOUSE_BUY, PV_FIRM_SELL, PV_FLEX_SELL, STOCK = range(KINDS)
_SIDE = (BUY, SELL, SELL, SELL)
_DEVICE = (HOUSE, PV, PV, BATTERY)
_FLEXIBLE = (False, False, True, True)


class Planner:
    """Makes the orders and the stock for later slots. Forecasts of a slot do not change as it comes nearer."""

    def __init__(
        self,
        section: AheadSection,
        people: Participants,
        forecaster: Forecaster,
        tariff: SupplierTariff,
        clock: tuple[int, int, int],
    ) -> None:
        """Bind the planner.

        Args:
            section: the scenario's key.
            people: the participant table.
            forecaster: one of its own: it is asked ahead of time.
            tariff: the supplier's prices over time.
            clock: length of an interval in seconds, second of the day at the start, number of intervals.
        """
        self._section = section
        self._people = people
        self._forecaster = forecaster
        self._tariff = tariff
        self._interval_s, self._day_start_s, self._n_intervals = clock
        self._hours = self._interval_s / 3600.0
        self._net_w: dict[int, FloatArray] = {}
        self._next = 1  # first slot without a forecast, and without a pool
        self._mine = people.trades & (people.battery_wh == 0)
        rows = {name: row for row, name in enumerate(people.names)}
        self._leaving = [
            (
                -(-int(leave.at_h * 3600) // self._interval_s),
                rows[leave.provider],
                int(leave.withdrawn_percent * 10_000),
            )
            for leave in section.leaving
        ]
        self._stays = np.ones(people.n)  # part of its commitment that a provider still makes
        self._provides = people.trades & people.battery_sells & (people.battery_p_w > 0)

    def plan(self, interval: int, state: FleetState) -> Ahead:
        """Orders and stock that are handed in during ``interval``, by devices in ``state``."""
        last = min(interval + self._section.horizon_intervals, self._n_intervals - 1)
        leaving = tuple((row, ppm) for at, row, ppm in self._leaving if at == interval)
        for row, ppm in leaving:
            self._stays[row] *= 1 - ppm / 1_000_000
        stock = []
        for slot in range(self._next, last + 1):
            load_w, _, pv_w = self._forecaster.interval(slot)
            self._net_w[slot] = np.where(self._mine, load_w - pv_w, 0.0)
            stock.append(self._stock(interval, slot, state.soc))
        self._next = max(self._next, last + 1)
        self._net_w.pop(interval, None)
        orders = [self._orders(interval, slot) for slot in range(interval + 1, last + 1)]
        none = [empty_orders()]
        return Ahead(np.concatenate(orders or none), np.concatenate(stock or none), leaving)

    def _orders(self, interval: int, slot: int) -> Orders:
        part = self._section.trade_percent / 100 / self._section.horizon_intervals * self._hours
        net, firm = self._net_w[slot], self._people.exportable_w
        surplus = np.maximum(-net, 0.0)
        wishes = (np.maximum(net, 0.0), np.minimum(surplus, firm), np.maximum(surplus - firm, 0.0))
        rows = [
            self._rows(kind, slot, slot - interval - 1, (wish * part).astype(np.int64))
            for kind, wish in enumerate(wishes)
        ]
        return np.concatenate(rows)

    def _stock(self, interval: int, slot: int, soc: FloatArray) -> Orders:
        """What each selling battery commits to a slot in its window."""
        people = self._people
        now, then = ((self._day_start_s + k * self._interval_s) % DAY_S for k in (interval, slot))
        energy = np.zeros(people.n, dtype=np.int64)
        for i in np.flatnonzero(self._provides).tolist():
            begin, end = int(people.sell_from_s[i]), int(people.sell_to_s[i])
            if not in_window(then, begin, end):
                continue
            left_s = (end - (now if in_window(now, begin, end) else begin)) % DAY_S
            stored = max(
                (soc[i] - people.soc_min[i]) * people.battery_wh[i] * people.battery_efficiency[i], 0.0
            )
            power = min(stored / max(left_s / 3600.0, self._hours), people.battery_p_w[i])
            energy[i] = int(power * self._hours * self._section.provide_percent / 100 * self._stays[i])
        return self._rows(STOCK, slot, 0, energy)

    def _rows(self, kind: int, slot: int, part: int, energy_wh: IntArray) -> Orders:
        """One order per participant with at least 1 Wh."""
        people, who = self._people, np.flatnonzero(energy_wh > 0)
        orders = empty_orders(len(who))
        most = self._section.horizon_intervals
        orders["id"] = FIRST_ID + ((slot * people.n + who) * KINDS + kind) * most + part
        orders["participant"], orders["energy_wh"] = who, energy_wh[who]
        orders["side"], orders["device"], orders["flexible"] = _SIDE[kind], _DEVICE[kind], _FLEXIBLE[kind]
        orders["interval"], orders["time"] = slot, (who + slot) % people.n
        retail, feed_in = self._tariff.retail_micro(slot * self._interval_s), self._tariff.feed_in_micro
        if kind == HOUSE_BUY:
            bid = retail - (people.house_bid_share * (retail - feed_in)).astype(np.int64)
            orders["price_micro_per_kwh"] = bid[who]
        elif kind == STOCK:
            orders["price_micro_per_kwh"] = np.maximum(people.battery_ask_micro[who], feed_in)
        else:
            orders["price_micro_per_kwh"] = feed_in
        return orders


def quoted(orders: Orders, index_micro_per_kwh: int) -> Orders:
    """Orders ahead at their limits, but nobody pays more, or asks less, than the last published price."""
    out = orders.copy()
    limit, buys = orders["price_micro_per_kwh"], orders["side"] == BUY
    index = np.int64(index_micro_per_kwh)
    out["price_micro_per_kwh"] = np.where(buys, np.minimum(limit, index), np.maximum(limit, index))
    return out


class PlanningAgents(Agents):
    """Strategies that also hand in something for later slots."""

    def __init__(self, planner: Planner, *arguments: Any) -> None:
        """``arguments`` are those of ``Agents``."""
        super().__init__(*arguments)
        self._planner = planner

    def intend(
        self,
        interval: int,
        state: FleetState,
        load_w: FloatArray,
        load_var: FloatArray,
        pv_w: FloatArray,
        published: Envelope | NetworkCharges | None = None,
    ) -> Intent:
        """As ``Agents``, with what is handed in for later slots."""
        intent = super().intend(interval, state, load_w, load_var, pv_w, published)
        return replace(intent, ahead=self._planner.plan(interval, state))

"""The heat pumps' strategy: the state of their baseline, and what they would buy to store as heat."""

from dataclasses import dataclass, replace

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from market.orders import BUY, HEAT_PUMP, Orders, empty_orders
from rigs.sg_ready import BLOCK_MOST_S, BLOCKED, BOOST, NORMAL
from twin.gate.envelope import Envelope
from twin.heat_demand import HeatForecaster
from twin.heat_pumps import Draws, HeatPoints, HeatPumps, HeatState, draws, state_for, surplus_state
from twin.participants import BoolArray, Participants
from twin.tariff import SupplierTariff

KINDS = 2
NEED, STORE = range(KINDS)
"""Orders of a heat pump: what it needs beyond its firm limit, and what it would store."""


@dataclass(frozen=True)
class HeatPlan:
    """What the heat pumps hand in for an interval; (n,) each, energies in Wh.

    ``base_w`` is the forecast of what they draw in ``base_state``; ``wish_wh`` (2, n) what they ask for beyond it,
    ``bid_micro`` (2, n) at which price.
    """

    pumps: HeatPumps
    base_state: IntArray
    base_w: FloatArray
    can: Draws
    wish_wh: FloatArray
    bid_micro: IntArray
    hours: float

    def points(self, extra_w: FloatArray) -> HeatPoints:
        """Set points for what was accepted beyond the baseline, (n,), in W >= 0."""
        whole_wh_w = KINDS / self.hours  # an order is rounded down to whole Wh
        state = state_for(self.pumps, self.base_state, self.base_w, extra_w, self.can, whole_wh_w)
        return HeatPoints(self.base_state, state, self.base_w, extra_w)

    def without(self, sells: BoolArray) -> "HeatPlan":
        """The plan without what those would store who sell; (n,)."""
        return replace(
            self, wish_wh=np.stack((self.wish_wh[NEED], np.where(sells, 0.0, self.wish_wh[STORE])))
        )

    def capped(self, wish_wh: FloatArray, room_wh: FloatArray) -> FloatArray:
        """Cut wishes to the room that is left of an envelope; (2, n). Whole states, where a pump knows no others."""
        need = np.minimum(wish_wh[NEED], room_wh)
        most = np.minimum(wish_wh[STORE], room_wh - need)
        step = np.maximum(self.can.boost_w - self.base_w, 0.0) * self.hours
        whole = np.where(most >= wish_wh[STORE], wish_wh[STORE], np.where(most >= step, step, 0.0))
        return np.stack((need, np.where(self.pumps.modulates, most, whole)))


class Heating:
    """Plans all heat pumps, deterministically."""

    def __init__(
        self, people: Participants, forecaster: HeatForecaster, tariff: SupplierTariff, interval_s: int
    ) -> None:
        """Bind the strategy; ``people`` have heat pumps."""
        assert people.heat is not None
        self._people, self._pumps = people, people.heat
        self._forecaster, self._tariff = forecaster, tariff
        self._interval_s, self._hours = interval_s, interval_s / 3600.0

    def plan(self, interval: int, state: HeatState, load_w: FloatArray, pv_w: FloatArray) -> HeatPlan:
        """Baseline and wishes for an interval.

        A pump that shifts takes its own roof's surplus before anybody else gets it. It is blocked while a lower price
        of the supplier is still to come before its store is down to ``comfort_min``, for two hours at most; and it
        bids for what its store can still take, below the least price that it will see, so that only neighbours sell.
        """
        people, pumps = self._people, self._pumps
        demand = self._forecaster.interval(interval)
        can = draws(pumps, state.stored_wh, demand, people.firm_import_w, self._hours)
        free = draws(pumps, state.stored_wh, demand, np.inf, self._hours)  # without the firm limit
        time_s = interval * self._interval_s
        now, least, waits = self._waits(time_s, state, demand.heat_w)
        surplus = np.maximum(pv_w - load_w, 0.0)
        base_state = surplus_state(pumps, surplus, can)
        base_state = np.where(waits & (base_state == NORMAL), BLOCKED, base_state)
        stored = np.minimum(np.maximum(can.normal_w, surplus), can.most_w)
        base = np.where(pumps.modulates & (base_state == BOOST), stored, can.of(base_state))
        need = np.where(base_state == NORMAL, np.maximum(free.normal_w - base, 0.0), 0.0)
        store = np.where(pumps.shifts, np.maximum(can.most_w - base - need, 0.0), 0.0)
        bid = least - (people.house_bid_share * (least - self._tariff.feed_in_micro)).astype(np.int64)
        bids = np.stack((np.full(people.n, now, dtype=np.int64), bid))
        return HeatPlan(
            pumps, base_state, base, can, np.stack((need, store)) * self._hours, bids, self._hours
        )

    def _waits(self, time_s: int, state: HeatState, heat_w: FloatArray) -> tuple[int, IntArray, BoolArray]:
        """The price of now, the least that each will see while it could wait, and who waits for it; (n,) each."""
        pumps = self._pumps
        spare_wh = state.stored_wh - pumps.comfort_min * pumps.store_wh
        lasts_s = np.where(heat_w > 0, spare_wh / np.maximum(heat_w, 1e-9) * 3600.0, BLOCK_MOST_S)
        left_s = BLOCK_MOST_S - state.blocked_s
        until_s = time_s + np.maximum(np.minimum(lasts_s, left_s), 0.0).astype(np.int64)
        now = self._tariff.retail_micro(time_s)
        least = self._tariff.least_retail_micro(time_s, until_s + 1)
        lasts = (lasts_s >= self._interval_s) & (left_s >= self._interval_s)
        return now, least, pumps.shifts & (least < now) & lasts

    def orders(self, interval: int, plan: HeatPlan, wish_wh: FloatArray, first_id: int) -> Orders:
        """One flexible order per wish of at least 1 Wh; ids rise from ``first_id``."""
        people, n = self._people, self._people.n
        energy = np.where(people.trades, wish_wh, 0.0).astype(np.int64).T.ravel()
        which = np.flatnonzero(energy > 0)
        who, kind = which // KINDS, which % KINDS
        orders = empty_orders(len(which))
        orders["id"], orders["participant"], orders["energy_wh"] = first_id + which, who, energy[which]
        orders["side"], orders["device"], orders["flexible"] = BUY, HEAT_PUMP, True
        orders["price_micro_per_kwh"] = plan.bid_micro[kind, who]
        orders["interval"], orders["time"] = interval, (who + interval) % n
        return orders


def room_wh(envelope: Envelope, cars_wh: FloatArray, hours: float) -> FloatArray:
    """What an envelope leaves for heat pumps after the cars; (n,)."""
    return np.maximum(envelope.import_w * hours - cars_wh, 0.0)

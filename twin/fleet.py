"""The native fleet: physics of all participants' devices at once, and the one rule from set points to commands."""

from dataclasses import dataclass, replace

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from twin.participants import BoolArray, EvSession, Participants

HOUR_S = 3600.0


@dataclass(frozen=True)
class FleetState:
    """State of all devices at an instant; (n,) each.

    ``soc`` of the stationary batteries (0..1), ``ev_need_wh`` what the plugged car must still charge at its
    battery, ``ev_departure_s`` when it leaves (simulation second; meaningless where not plugged).
    """

    time_s: int
    soc: FloatArray
    ev_plugged: BoolArray
    ev_need_wh: FloatArray
    ev_departure_s: IntArray


@dataclass(frozen=True)
class SetPoints:
    """What the gate hands to the devices for one interval: the baseline wish and the accepted changes, in W; (n,).

    ``ev_base_w`` >= 0 is charging within the firm limit, ``ev_extra_w`` >= 0 charging bought beyond it;
    ``battery_extra_w`` positive sells, negative stores bought energy; ``pv_extra_w`` >= 0 is export beyond the
    firm limit that found a taker. ``battery_idle`` marks batteries that keep their energy (recharge window).
    """

    ev_base_w: FloatArray
    ev_extra_w: FloatArray
    battery_extra_w: FloatArray
    pv_extra_w: FloatArray
    battery_idle: BoolArray

    def without_trades(self) -> "SetPoints":
        """The same with nothing accepted: what flows if no trade happens."""
        zero = np.zeros_like(self.ev_base_w)
        return replace(self, ev_extra_w=zero, battery_extra_w=zero, pv_extra_w=zero)


@dataclass(frozen=True)
class Flows:
    """Mean powers of one step; (n,) each, W. ``p_gen_w`` is at the connection point, positive into the grid."""

    p_gen_w: FloatArray
    q_gen_var: FloatArray
    load_w: FloatArray
    pv_w: FloatArray
    pv_curtailed_w: FloatArray
    battery_w: FloatArray  # + discharges
    ev_w: FloatArray  # >= 0


def battery_bounds_w(people: Participants, soc: FloatArray, step_s: float) -> tuple[FloatArray, FloatArray]:
    """Least (charging, <= 0) and most (discharging) terminal power over a step of ``step_s``; (n,) each."""
    hours = step_s / HOUR_S
    up = (people.soc_max - soc) * people.battery_wh / people.battery_efficiency / hours
    down = (soc - people.soc_min) * people.battery_wh * people.battery_efficiency / hours
    low = -np.clip(up, 0.0, people.battery_p_w)
    high = np.clip(down, 0.0, people.battery_p_w)
    return low, high


def ev_most_w(people: Participants, plugged: BoolArray, need_wh: FloatArray, step_s: float) -> FloatArray:
    """Most a car may draw over a step without exceeding its need; (n,), 0 where none is plugged."""
    wanted = need_wh / people.ev_efficiency / (step_s / HOUR_S)
    return np.where(plugged, np.minimum(people.ev_p_w, wanted), 0.0)


def self_consumption_w(
    net_w: FloatArray, low_w: FloatArray, high_w: FloatArray, idle: BoolArray
) -> FloatArray:
    """Battery power that covers the house first: charges surplus, discharges for a deficit, never for others."""
    wish = -net_w
    return np.where(idle & (wish > 0), 0.0, np.minimum(np.maximum(wish, low_w), high_w))


def dispatch(
    people: Participants,
    state: FleetState,
    points: SetPoints,
    load_w: FloatArray,
    load_var: FloatArray,
    pv_w: FloatArray,
    step_s: int,
) -> Flows:
    """Turn set points at the connection point into device powers, for actual load and sun. The only such rule.

    The battery follows the actual house (so it also takes up forecast errors), then adds what was traded; the
    car draws its firm part and what was accepted; PV is curtailed where export would exceed the firm limit plus
    what was accepted. All arrays (n,).
    """
    most = ev_most_w(people, state.ev_plugged, state.ev_need_wh, step_s)
    ev = np.minimum(most, points.ev_base_w + points.ev_extra_w)
    ev_own = np.minimum(ev, points.ev_base_w)
    low, high = battery_bounds_w(people, state.soc, step_s)
    own = self_consumption_w(pv_w - load_w - ev_own, low, high, points.battery_idle)
    battery = np.minimum(np.maximum(own + points.battery_extra_w, low), high)
    p = pv_w - load_w - ev + battery
    firm = 0.0 if people.curtails else people.firm_export_w
    allowed = firm + points.pv_extra_w + np.maximum(points.battery_extra_w, 0.0)
    curtailed = np.minimum(np.maximum(p - allowed, 0.0), pv_w)
    return Flows(p - curtailed, -load_var, load_w, pv_w - curtailed, curtailed, battery, ev)


def advance(people: Participants, state: FleetState, flows: Flows, step_s: int) -> FleetState:
    """Integrate the devices over a step of ``step_s``; arrivals and departures are made by ``Garage``."""
    hours = step_s / HOUR_S
    eta = people.battery_efficiency
    stored = np.where(flows.battery_w < 0, -flows.battery_w * eta, -flows.battery_w / eta) * hours
    has = people.battery_wh > 0
    soc = np.where(has, state.soc + stored / np.where(has, people.battery_wh, 1.0), state.soc)
    need = np.maximum(0.0, state.ev_need_wh - flows.ev_w * people.ev_efficiency * hours)
    return replace(
        state, time_s=state.time_s + step_s, soc=np.minimum(np.maximum(soc, 0.0), 1.0), ev_need_wh=need
    )


class Garage:
    """Cars coming and going, and the account of those that left short."""

    TOLERANCE_WH = 50.0  # below a minute of charging; rounding of accepted energy to whole Wh stays far below

    def __init__(self, people: Participants) -> None:
        self._arrivals: dict[int, list[EvSession]] = {}
        for session in people.ev_sessions:
            self._arrivals.setdefault(session.arrival_s, []).append(session)
        self._departures: dict[int, list[int]] = {}
        self.left = 0
        self.left_short = 0
        self.short_wh = 0.0

    def initial(self, people: Participants) -> FleetState:
        """The state at second 0, before any car has come."""
        zeros = np.zeros(people.n)
        nobody = np.zeros(people.n, dtype=np.bool_)
        return FleetState(0, people.soc_initial.copy(), nobody, zeros, np.zeros(people.n, dtype=np.int64))

    def update(self, state: FleetState) -> FleetState:
        """Let cars leave and come at ``state.time_s``. Returns the state itself where none does."""
        leaving = self._departures.pop(state.time_s, None)
        coming = self._arrivals.pop(state.time_s, None)
        if leaving is None and coming is None:
            return state
        plugged, need = state.ev_plugged.copy(), state.ev_need_wh.copy()
        departure = state.ev_departure_s.copy()
        for row in leaving or ():
            self.left += 1
            if need[row] > self.TOLERANCE_WH:
                self.left_short += 1
                self.short_wh += float(need[row])
            plugged[row], need[row] = False, 0.0
        for session in coming or ():
            row = session.participant
            plugged[row], need[row], departure[row] = True, session.need_wh, session.departure_s
            self._departures.setdefault(session.departure_s, []).append(row)
        return replace(state, ev_plugged=plugged, ev_need_wh=need, ev_departure_s=departure)

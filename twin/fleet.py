"""The native fleet: physics of all participants' devices at once, and the one rule from set points to commands."""

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from adapters.grid.feeder import FloatArray, IntArray
from twin.heat_pumps import HeatPoints, HeatState
from twin.participants import BoolArray, EvSession, Participants
from twin.rules import battery_bounds_w, ev_most_w, self_consumption_w

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
    heat: HeatState | None = None  # None where nobody has a heat pump


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
    heat: HeatPoints | None = None


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
    heat_pump_w: FloatArray | None = None  # >= 0; None where nobody has a heat pump
    sg_state: IntArray | None = None  # SG Ready state of the heat pumps


@njit(cache=True)
def _dispatch_rows(  # type: ignore[no-untyped-def]
    people,
    soc,
    plugged,
    need_wh,
    load_w,
    pv_w,
    ev_base,
    ev_extra,
    battery_extra,
    pv_extra,
    idle,
    firm_w,
    hours,
):
    """``dispatch`` row by row, with what was accepted and without; (2, 5, n): net, PV, curtailed, battery, car."""
    out = np.empty((2, 5, soc.size))
    for row in range(2):
        traded = 1.0 - row
        for i in range(soc.size):
            p_battery, capacity, eta = people[0, i], people[1, i], people[2, i]
            low_soc, high_soc, p_ev, eta_ev = people[3, i], people[4, i], people[5, i], people[6, i]
            most_ev = ev_most_w(plugged[i], need_wh[i], p_ev, eta_ev, hours)
            ev = min(most_ev, ev_base[i] + traded * ev_extra[i])
            low, high = battery_bounds_w(soc[i], low_soc, high_soc, capacity, p_battery, eta, hours)
            own = self_consumption_w(pv_w[i] - load_w[i] - min(ev, ev_base[i]), low, high, idle[i])
            battery = min(max(own + traded * battery_extra[i], low), high)
            net = pv_w[i] - load_w[i] - ev + battery
            allowed = firm_w + traded * pv_extra[i] + traded * max(battery_extra[i], 0.0)
            curtailed = min(max(net - allowed, 0.0), pv_w[i])
            out[row, 0, i], out[row, 1, i], out[row, 2, i] = net - curtailed, pv_w[i] - curtailed, curtailed
            out[row, 3, i], out[row, 4, i] = battery, ev
    return out


def dispatch(
    people: Participants,
    state: FleetState,
    points: SetPoints,
    load_w: FloatArray,
    load_var: FloatArray,
    pv_w: FloatArray,
    step_s: int,
) -> tuple[Flows, Flows]:
    """Turn set points at the connection point into device powers, for actual load and sun. The only such rule.

    Returns what flows, and what would with nothing accepted. The battery follows the actual house (so it also takes up
    forecast errors), then adds what was traded; the car draws its firm part and what was accepted; PV is curtailed
    where export would exceed the firm limit plus what was accepted. All arrays (n,).
    """
    both = _dispatch_rows(
        people.ratings, state.soc, state.ev_plugged, state.ev_need_wh, load_w, pv_w, points.ev_base_w,
        points.ev_extra_w, points.battery_extra_w, points.pv_extra_w, points.battery_idle,
        people.exportable_w, step_s / HOUR_S,
    )  # fmt: skip
    gen_var = -load_var
    with_, without = (Flows(net, gen_var, load_w, *rest) for net, *rest in both)
    return with_, without


@njit(cache=True)
def _advance_rows(people, soc, need_wh, battery_w, ev_w, hours):  # type: ignore[no-untyped-def]
    """``advance`` row by row; (2, n): state of charge, what cars still need."""
    out = np.empty((2, soc.size))
    for i in range(soc.size):
        capacity, eta, eta_ev = people[1, i], people[2, i], people[6, i]
        stored = -battery_w[i] * (eta if battery_w[i] < 0 else 1 / eta) * hours
        out[0, i] = min(max(soc[i] + stored / capacity, 0.0), 1.0) if capacity > 0 else soc[i]
        out[1, i] = max(0.0, need_wh[i] - ev_w[i] * eta_ev * hours)
    return out


def advance(people: Participants, state: FleetState, flows: Flows, step_s: int) -> FleetState:
    """Integrate the devices over a step of ``step_s``; arrivals and departures are made by ``Garage``."""
    hours = step_s / HOUR_S
    soc, need = _advance_rows(people.ratings, state.soc, state.ev_need_wh, flows.battery_w, flows.ev_w, hours)
    return FleetState(state.time_s + step_s, soc, state.ev_plugged, need, state.ev_departure_s, state.heat)


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
        heat = None if people.heat is None else HeatState.initial(people.heat)
        return FleetState(
            0, people.soc_initial.copy(), nobody, zeros, np.zeros(people.n, dtype=np.int64), heat
        )

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

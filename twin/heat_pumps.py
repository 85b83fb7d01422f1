"""Heat pumps of all participants: nameplates, heat stores, and what each SG Ready state makes them draw.

Electrical powers in W, drawing is positive here (as of cars); heat in Wh and W thermal. A store's energy counts from
the point below which the house would go cold; an interval that ends below ``comfort_min`` of it is a loss of comfort.
"""

from dataclasses import dataclass

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from rigs.sg_ready import BLOCKED, BOOST, BOOST_SHARE, FORCED, NORMAL
from twin.participants import BoolArray


@dataclass(frozen=True)
class HeatPumps:
    """The heat pump of every participant; shape (n,) throughout, zero rated power means none.

    ``p_w`` is rated electrical power, ``store_wh`` the heat that the store holds between cold and full; ``initial``,
    ``comfort_min`` and ``comfort_normal`` are shares of it. Temperatures in degrees Celsius.
    """

    p_w: FloatArray
    store_wh: FloatArray
    initial: FloatArray
    comfort_min: FloatArray
    comfort_normal: FloatArray
    modulates: BoolArray  # follows a power; else it knows SG Ready states only
    shifts: BoolArray
    heat_load_w: FloatArray  # thermal, at ``design_c``
    hot_water_w: FloatArray  # thermal, the mean
    design_c: FloatArray
    heating_limit_c: FloatArray
    outdoor_c: FloatArray
    outdoor_swing_k: FloatArray
    flow_c: FloatArray
    cop: FloatArray  # NaN: by temperature
    profile: IntArray  # row of the profile table that the heat demand follows, -1: it follows the temperature

    @property
    def rows(self) -> IntArray:
        """Participants that have one; (m,)."""
        return np.flatnonzero(self.p_w > 0)


@dataclass(frozen=True)
class HeatState:
    """State of all heat stores at an instant; (n,) each. ``blocked_s``: for how long each pump has been blocked."""

    stored_wh: FloatArray
    blocked_s: FloatArray

    @classmethod
    def initial(cls, pumps: HeatPumps) -> "HeatState":
        """The state at second 0."""
        return cls(pumps.initial * pumps.store_wh, np.zeros(len(pumps.p_w)))


@dataclass(frozen=True)
class HeatDemand:
    """What the houses ask for in a step: heat in W thermal, and the pumps' coefficient of performance; (n,) each."""

    heat_w: FloatArray
    cop: FloatArray


@dataclass(frozen=True)
class Draws:
    """Electrical power of the states 2, 3 and 4 over a step, in W; (n,) each. State 1 draws nothing."""

    normal_w: FloatArray
    boost_w: FloatArray
    most_w: FloatArray

    def of(self, state: IntArray) -> FloatArray:
        """The power of each pump's own state."""
        none = np.zeros(len(state))
        return np.choose(state - BLOCKED, (none, self.normal_w, self.boost_w, self.most_w))


@dataclass(frozen=True)
class HeatPoints:
    """What the heat pumps are told for an interval; (n,) each.

    ``base_state`` is the SG Ready state without any accepted trade, ``state`` with them. A pump that modulates draws
    ``base_w`` in state 3 of its baseline, and ``extra_w`` more than its baseline with what was accepted.
    """

    base_state: IntArray
    state: IntArray
    base_w: FloatArray
    extra_w: FloatArray


def draws(pumps: HeatPumps, stored_wh: FloatArray, demand: HeatDemand, firm_w: float, hours: float) -> Draws:
    """Return what the states draw over ``hours`` from the stores as they are; ``firm_w`` bounds normal operation.

    Normal operation covers the demand and brings the store to its normal level; states 3 and 4 fill it.
    """
    per_w = np.where(pumps.p_w > 0, demand.cop * hours, 1.0)  # Wh of heat per W of electrical power
    asked_wh = demand.heat_w * hours - stored_wh
    normal = np.clip((pumps.comfort_normal * pumps.store_wh + asked_wh) / per_w, 0.0, pumps.p_w)
    most = np.clip((pumps.store_wh + asked_wh) / per_w, 0.0, pumps.p_w)
    normal = np.minimum(normal, firm_w)
    return Draws(normal, np.minimum(np.maximum(normal, BOOST_SHARE * pumps.p_w), most), most)


def drawn(pumps: HeatPumps, points: HeatPoints, can: Draws) -> tuple[FloatArray, FloatArray]:
    """Return what the pumps draw, in W, with what was accepted and without; (n,) each."""
    told = np.where(
        points.base_state == BOOST, np.maximum(can.normal_w, points.base_w), can.of(points.base_state)
    )
    base = np.where(pumps.modulates, np.minimum(told, can.most_w), can.of(points.base_state))
    with_trades = np.where(
        pumps.modulates, np.minimum(base + points.extra_w, can.most_w), can.of(points.state)
    )
    return with_trades, base


def state_for(
    pumps: HeatPumps,
    base_state: IntArray,
    base_w: FloatArray,
    extra_w: FloatArray,
    can: Draws,
    tolerance_w: float,
) -> IntArray:
    """Return the SG Ready state that uses what was accepted beyond the baseline, (n,): never one that draws more.

    What was accepted is less than a state's power where the gate cut, and where orders were rounded to whole Wh; the
    latter is ``tolerance_w``. A pump that modulates uses all of it and shows state 3.
    """
    allowed, some = base_w + extra_w + tolerance_w, extra_w > 0
    forced = some & (can.most_w <= allowed) & (can.most_w > 0)
    boost = some & (pumps.modulates | ((can.boost_w <= allowed) & (can.boost_w > base_w)))
    found: IntArray = np.where(forced, FORCED, np.where(boost, BOOST, base_state))
    return found


def surplus_state(pumps: HeatPumps, surplus_w: FloatArray, can: Draws) -> IntArray:
    """Return the state in which a pump that shifts uses its own roof's surplus, NORMAL where there is too little."""
    forced = (can.most_w > can.normal_w) & (surplus_w >= can.most_w)
    boost = np.where(
        pumps.modulates, surplus_w > can.normal_w, (can.boost_w > can.normal_w) & (surplus_w >= can.boost_w)
    )
    state: IntArray = np.where(pumps.shifts & forced, FORCED, np.where(pumps.shifts & boost, BOOST, NORMAL))
    return state


@dataclass(frozen=True)
class HeatFlows:
    """Heat of a step, in Wh thermal; (n,) each. What was made is what was used, stored and given away."""

    made_wh: FloatArray
    used_wh: FloatArray
    unserved_wh: FloatArray  # asked for beyond what pump and store gave
    excess_wh: FloatArray  # made beyond what the store could take: only by a device that did not stop


def store(
    pumps: HeatPumps, state: HeatState, demand: HeatDemand, p_w: FloatArray, sg_state: IntArray, step_s: int
) -> tuple[HeatState, HeatFlows]:
    """Integrate the heat stores over a step in which the pumps drew ``p_w``."""
    hours = step_s / 3600.0
    made, asked = p_w * demand.cop * hours, demand.heat_w * hours
    level = state.stored_wh + made - asked
    unserved, excess = np.maximum(-level, 0.0), np.maximum(level - pumps.store_wh, 0.0)
    blocked = np.where(sg_state == BLOCKED, state.blocked_s + step_s, 0.0)
    stored = np.clip(level, 0.0, pumps.store_wh)
    return HeatState(stored, blocked), HeatFlows(made, asked - unserved, unserved, excess)

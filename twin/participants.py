"""The participant table: who is connected where, with which assets. Arrays over all participants, row by row."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adapters.grid.feeder import FloatArray, IntArray

if TYPE_CHECKING:
    from twin.heat_pumps import HeatPumps

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EvSession:
    """One stay of a car: from and to simulation second, and what it must charge (at the car's battery)."""

    participant: int
    arrival_s: int
    departure_s: int
    need_wh: float


@dataclass(frozen=True)
class Participants:
    """All participants. Row i is the connection point i of the feeder; shape (n,) throughout.

    Powers in W, energies in Wh, prices in millionths of the currency per kWh, times of day in seconds.
    A participant has at most one asset of each kind; zero rated power means none.
    """

    names: tuple[str, ...]
    trades: BoolArray
    firm_import_w: float
    firm_export_w: float
    curtails: bool
    load_p_rated_w: FloatArray
    load_q_rated_var: FloatArray
    load_profile: IntArray  # row of the profile table
    pv_rated_w: FloatArray
    pv_profile: IntArray
    battery_p_w: FloatArray
    battery_wh: FloatArray
    battery_efficiency: FloatArray  # one way
    soc_initial: FloatArray
    soc_min: FloatArray
    soc_max: FloatArray
    battery_sells: BoolArray
    sell_from_s: IntArray
    sell_to_s: IntArray
    recharge_from_s: IntArray
    recharge_to_s: IntArray
    battery_ask_micro: IntArray
    ev_p_w: FloatArray
    ev_efficiency: FloatArray
    ev_cheap: BoolArray
    ev_sessions: tuple[EvSession, ...]
    house_bid_share: FloatArray  # bid = retail - share * (retail - feed-in)
    heat: "HeatPumps | None" = None  # None where nobody has a heat pump

    @cached_property
    def ratings(self) -> FloatArray:
        """What the compiled rules read, (7, n): battery power, capacity, efficiency, least and most state of charge,
        car power, car efficiency.
        """
        columns = (self.battery_p_w, self.battery_wh, self.battery_efficiency, self.soc_min, self.soc_max)
        return np.array((*columns, self.ev_p_w, self.ev_efficiency), dtype=np.float64)

    @cached_property
    def windows(self) -> IntArray:
        """Seconds of the day, (4, n): selling from and to, recharging from and to."""
        return np.array(
            (self.sell_from_s, self.sell_to_s, self.recharge_from_s, self.recharge_to_s), dtype=np.int64
        )

    @property
    def extra_w(self) -> tuple[FloatArray, FloatArray]:
        """How much more than its baseline every participant could export, and import, at most; (n,) each."""
        return self.pv_rated_w + self.battery_p_w, self.ev_p_w + self.battery_p_w + self.heat_pump_p_w

    @property
    def heat_pump_p_w(self) -> FloatArray:
        """Rated electrical power of everybody's heat pump, 0 without one; (n,)."""
        return np.zeros(self.n) if self.heat is None else self.heat.p_w

    @property
    def exportable_w(self) -> float:
        """Power that may be exported without a trade: none where unsold surplus is curtailed."""
        return 0.0 if self.curtails else float(self.firm_export_w)

    @property
    def n(self) -> int:
        """Number of participants."""
        return len(self.names)

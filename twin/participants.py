"""The participant table: who is connected where, with which assets. Arrays over all participants, row by row."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapters.grid.feeder import FloatArray, IntArray

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

    @property
    def n(self) -> int:
        """Number of participants."""
        return len(self.names)

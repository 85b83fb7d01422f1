"""Who is right behind a connection point: the plant's and the battery's own meters, which certificates rest on.

They have no bus of their own, so no grid log measures them directly. Each has the same three kinds of witness:

* its own meter, hash-chained like any other;
* a model: for the plant what the sun allows (the same irradiance reading as at the connection point, without a load in
  the way), for the battery what its power and its capacity allow. The charge is followed as an interval, from unknown:
  what is said to go in or out must fit between empty and full;
* the balance at the connection point, on which meter, grid log and model have agreed: plant plus battery less the point
  is what the house takes, and that lies between nothing and the most it may take.

What one of them refuses is not certified; nobody's bill depends on it. Where only the balance is broken, the one that
alone could explain it is named; where both could, nobody is.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from adapters.grid.feeder import FloatArray, IntArray
from twin.oracles.output_model import Band
from twin.participants import BoolArray, Participants

STRAY = 0.04  # of what a battery takes or gives: how far its true efficiency may be from its nameplate's
FINE, UNUSABLE, MODEL_SAYS_NO, BALANCE_SAYS_NO, BALANCE_UNCLEAR = range(5)
"""What is wrong with a reading: nothing; not there or not chained, or refused by model or balance."""


@dataclass(frozen=True)
class Seats:
    """What each of k pairs of a plant and a battery may do, in one interval; (k,) each, Wh."""

    battery_p_wh: FloatArray
    capacity_wh: FloatArray
    efficiency: FloatArray  # one way
    most_load_wh: FloatArray


@njit(cache=True)
def _charge(low, high, given_wh, capacity, efficiency, circulated, slack):  # type: ignore[no-untyped-def]
    """The stored energy, as an interval, after a reading; and whether the reading fits."""
    moved = given_wh / efficiency if given_wh > 0 else given_wh * efficiency
    stray = STRAY * abs(moved) + 1.0
    low, high = low - moved - stray - circulated, high - moved + stray
    if low > capacity + slack or high < -slack:
        return 0.0, capacity, False
    return min(max(low, 0.0), capacity), max(min(high, capacity), 0.0), True


@njit(cache=True)
def _judge(  # type: ignore[no-untyped-def]
    energy, usable, point, agreed, doubt, sun, spread, slack, n, rows, charge, loop,
    battery_p, capacity, efficiency, most_load, export, can_be_less, verdict, low, high,
):  # fmt: skip
    m = rows.size
    for k in range(m):
        i, at_pv, at_battery = rows[k], n + k, n + m + k
        pv, battery = energy[at_pv], energy[at_battery]
        width = spread * sun[i]
        least_pv = 0.0 if can_be_less else min(sun[i] - width, export)
        low[k], high[k] = np.floor(least_pv) - slack, np.ceil(sun[i] + width) + slack
        low[m + k], high[m + k] = -np.ceil(battery_p[k]) - slack, np.ceil(battery_p[k]) + slack
        good_pv, good_battery = usable[at_pv], usable[at_battery]
        verdict[k] = FINE if good_pv else UNUSABLE
        verdict[m + k] = FINE if good_battery else UNUSABLE
        if good_pv and not low[k] <= pv <= high[k]:
            verdict[k] = MODEL_SAYS_NO
        if good_battery:
            circulated = loop * max(battery_p[k] - abs(battery), 0.0)
            charge[0, k], charge[1, k], fits = _charge(
                charge[0, k], charge[1, k], battery, capacity[k], efficiency[k], circulated, slack
            )
            if not fits or not low[m + k] <= battery <= high[m + k]:
                verdict[m + k] = MODEL_SAYS_NO
        else:  # it may have done anything meanwhile
            charge[0, k] = max(charge[0, k] - battery_p[k] / efficiency[k], 0.0)
            charge[1, k] = min(charge[1, k] + battery_p[k], capacity[k])
        if verdict[k] != FINE or verdict[m + k] != FINE or not agreed[i]:
            continue
        house, doubted = pv + battery - point[i], slack + 2 + doubt[i]  # three registers round, 1 Wh each
        beyond = house + doubted if house < -doubted else max(house - most_load[k] - doubted, 0.0)
        if beyond == 0.0:
            continue
        by_pv = low[k] <= pv - beyond <= high[k]
        by_battery = low[m + k] <= battery - beyond <= high[m + k]
        if by_pv == by_battery:
            verdict[k] = verdict[m + k] = BALANCE_UNCLEAR
        else:
            verdict[k if by_pv else m + k] = BALANCE_SAYS_NO


class Behind:
    """Judges the meters behind connection points, interval by interval."""

    def __init__(
        self,
        people: Participants,
        rows: IntArray,
        most_load_wh: FloatArray,
        hours: float,
        slack_wh: int,
        spread: float,
        steps: int,
        can_be_less: bool,
    ) -> None:
        """Bind the judge.

        Args:
            people: nameplates.
            rows: participants with a plant's and a battery's meter behind their connection point; (k,).
            most_load_wh: the most that each participant may take in an interval, its battery left out; (n,).
            hours: length of an interval.
            slack_wh: what is no difference.
            spread: half width of what the sun allows, of the estimate.
            steps: steps of the plant in an interval; in several, a battery may have taken and given.
            can_be_less: whether plants may make less than the sun and their export limit allow (volt-watt).
        """
        self._n, self._rows, self._slack, self._spread = people.n, rows, slack_wh, spread
        # energy that went in and out again within an interval loses up to a tenth of it, and the register shows none
        self._loop, self._can_be_less = 0.1 if steps > 1 else 0.0, can_be_less
        seats = Seats(
            people.battery_p_w[rows] * hours, people.battery_wh[rows], people.battery_efficiency[rows],
            most_load_wh[rows],
        )  # fmt: skip
        self._seats, self._export_wh = seats, people.exportable_w * hours  # below it nothing curtails a plant
        self._charge = np.stack((np.zeros(len(rows)), seats.capacity_wh))

    def judge(
        self,
        energy_wh: IntArray,
        usable: BoolArray,
        point_wh: IntArray,
        agreed: BoolArray,
        doubt_wh: IntArray,
        band: Band,
    ) -> tuple[IntArray, IntArray, IntArray]:
        """What is wrong with each reading (``FINE`` ...), and between what it may lie; (2k,) each, plants first.

        Args:
            energy_wh: what all meters say, those at connection points first; (n + 2k,).
            usable: whose reading could be used; (n + 2k,).
            point_wh: energy of every connection point that was agreed on; (n,).
            agreed: where it was; (n,).
            doubt_wh: how uncertain that is; (n,).
            band: the output model's, of every connection point.
        """
        k, seats = len(self._rows), self._seats
        verdict, low, high = np.zeros((3, 2 * k), dtype=np.int64)
        _judge(
            energy_wh, usable, point_wh, agreed, doubt_wh, band.value_wh, self._spread, self._slack, self._n,
            self._rows, self._charge, self._loop, seats.battery_p_wh, seats.capacity_wh, seats.efficiency,
            seats.most_load_wh, self._export_wh, self._can_be_less, verdict, low, high,
        )  # fmt: skip
        return verdict, low, high

"""Which meters there are: one at every connection point, and two more behind it where PV and a battery stand together.

There the connection point's meter cannot tell the sun's energy from what the battery took from the grid, so the plant
and the battery have meters of their own, with keys of their own. What certificates may be claimed for follows from the
three, always to the owner's disadvantage: what the battery gives counts as the first to be exported, what it takes
counts as the first to be imported.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from adapters.chain.options import Device
from adapters.grid.feeder import FloatArray, IntArray
from twin.participants import BoolArray, Participants

PPM = 1_000_000


@njit(cache=True)
def _counted(agreed_wh, agreed, energy_wh, usable, rows, most_pv_wh, most_battery_wh):  # type: ignore[no-untyped-def]
    n, m = agreed_wh.size, rows.size
    exported, imported = np.zeros(n + 2 * m, np.int64), np.zeros(n + 2 * m, np.int64)
    counts = np.zeros(n + 2 * m, np.bool_)
    for i in range(n):
        exported[i], imported[i], counts[i] = max(agreed_wh[i], 0), max(-agreed_wh[i], 0), agreed[i]
    for k in range(m):
        i, at_pv, at_battery = rows[k], n + k, n + m + k
        pv, battery = energy_wh[at_pv], energy_wh[at_battery]
        given, taken = max(battery, 0), max(-battery, 0)
        sun = max(exported[i] - given, 0) + max(taken - imported[i], 0)
        exported[at_pv], exported[at_battery] = min(sun, max(pv, 0)), min(given, exported[i])
        imported[at_battery] = taken
        sure = agreed[i] and usable[at_pv] and usable[at_battery]
        counts[at_pv] = counts[at_battery] = (
            sure and pv <= most_pv_wh[k] and abs(battery) <= most_battery_wh[k]
        )
    return exported, imported, counts


@dataclass(frozen=True)
class Counted:
    """What a batch commits to of an interval, per meter: exported and imported whole Wh, and which count; (k,)."""

    exported_wh: IntArray
    imported_wh: IntArray
    counts: BoolArray


class Metering:
    """The meters of a community: ``names`` are those of the connection points, then all ``.pv``, then all ``.battery``.

    ``rows`` are the participants with meters behind their connection point.
    """

    def __init__(self, people: Participants, hours: float) -> None:
        """Bind the meters; an interval lasts ``hours``."""
        self._people = people
        self.n = people.n
        self.rows = np.flatnonzero((people.pv_rated_w > 0) & (people.battery_wh > 0))
        behind = [people.names[row] for row in self.rows]
        self.names = (
            *people.names, *(f"{name}.pv" for name in behind), *(f"{name}.battery" for name in behind)
        )  # fmt: skip
        self._most_wh = (
            1.25 * people.pv_rated_w[self.rows] * hours + 1,
            people.battery_p_w[self.rows] * hours + 1,
        )

    def energy_wh(
        self, metered_wh: FloatArray, pv_w: FloatArray, battery_w: FloatArray, hours: float
    ) -> FloatArray:
        """What flowed through every meter in a step of ``hours``; a battery that discharges counts up."""
        if not len(self.rows):
            return metered_wh
        return np.concatenate((metered_wh, pv_w[self.rows] * hours, battery_w[self.rows] * hours))

    def counted(
        self, agreed_wh: IntArray, agreed: BoolArray, energy_wh: IntArray, usable: BoolArray
    ) -> Counted:
        """What of an interval may be certified.

        A plant's is what was fed in beyond the battery's, and what went into the battery beyond the import: at most
        what it made. A battery's is what it took, and what it gave of what was fed in.

        Args:
            agreed_wh: energy of every connection point that the sources agreed on; (n,).
            agreed: where they did; (n,).
            energy_wh: what all meters say; (k,).
            usable: whose reading could be used; (k,).
        """
        return Counted(*_counted(agreed_wh, agreed, energy_wh, usable, self.rows, *self._most_wh))

    def devices(self, market_id: str, seed: int) -> tuple[Device, ...]:
        """What the registry is told of every meter. A connection point is a PV plant where only one can feed in."""
        from adapters.chain.device_keys import DeviceKey

        people, made = self._people, []
        most_w = people.load_p_rated_w + people.ev_p_w + people.battery_p_w + people.heat_pump_p_w
        plant = (people.pv_rated_w > 0) & (people.battery_wh <= 0)
        rated_w = np.where(plant, people.pv_rated_w, np.maximum(most_w, people.pv_rated_w))
        kinds = [
            *("pv" if sun else "house" for sun in plant),
            *["pv"] * len(self.rows),
            *["battery"] * len(self.rows),
        ]
        sizes = [*rated_w, *people.pv_rated_w[self.rows], *people.battery_wh[self.rows]]
        one_way = people.battery_efficiency[self.rows]
        rounds = [0] * (self.n + len(self.rows)) + [int(eta**2 * PPM) for eta in one_way.tolist()]
        for name, kind, size, ppm in zip(self.names, kinds, sizes, rounds, strict=True):
            key = DeviceKey(market_id, seed, name).address
            made.append(Device(name, kind, max(1, int(size)), ppm, key))
        return tuple(made)

"""Limits beyond voltage band and loading, assessed where the scenario sets them: unbalance, rise, reverse power."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from adapters.grid.engine import GridState
from adapters.grid.feeder import Feeder, FloatArray, IntArray
from twin.plant import WITH, WITHOUT
from twin.scenario.limits_section import LimitsSection

TOLERANCE = 1e-4
"""A trade that worsens a broken limit by less than this did not cause it: percent, or W."""
UNBALANCE, RISE, REVERSE = "voltage_unbalance", "voltage_rise", "reverse_power"
CLAUSES = {
    UNBALANCE: "negative- over positive-sequence voltage (EN 50160, 2 % in low and medium voltage)",
    RISE: "voltage with trades over that without at the same moment (VDE-AR-N 4105, 3 %)",
    REVERSE: "power that the feeder sends into the upstream grid",
}


@dataclass
class Tally:
    """What was seen of one limit, with trades (broken means: made or worsened by them) or without.

    ``worst`` is NaN until something was seen; ``element`` names the bus of it; steps count those broken.
    """

    name: str
    limit: float
    unit: str
    worst: float = float("nan")
    element: str | None = None
    first_step: int | None = None
    broken_steps: int = 0

    def see(self, step: int, value: float, element: str | None, broken: bool) -> None:
        """Take the worst value of a step; a broken step is worse than any other."""
        if (broken, not value <= self.worst) >= (bool(self.broken_steps), True):
            self.worst, self.element = value, element
        if broken:
            self.broken_steps += 1
            self.first_step = step if self.first_step is None else self.first_step


class FurtherLimits:
    """Follows the limits that a scenario sets beyond band and loading, step by step."""

    def __init__(self, section: LimitsSection, feeder: Feeder) -> None:
        self._names = feeder.bus_names
        self._whole = _whole_buses(feeder)
        wanted = (
            (UNBALANCE, section.voltage_unbalance_percent, "percent"),
            (RISE, section.voltage_rise_percent, "percent"),
            (REVERSE, section.reverse_power_w, "W"),
        )
        self.balanced = feeder.balanced
        self.tallies = {
            name: (Tally(name, limit, unit), Tally(name, limit, unit))
            for name, limit, unit in wanted
            if limit is not None
        }

    def look(self, step: int, state: GridState) -> None:
        """Take one solved step (rows WITH and WITHOUT trades); one that did not converge says nothing here."""
        if not state.converged.all():
            return
        for name, values, rows in self._values(state):
            pair = self.tallies[name]
            limit = pair[WITH].limit
            over = ~(values <= limit)
            # per bus: trades are to blame where the value is beyond the limit and beyond that without them
            blamed = over[WITH] & ~(values[WITH] <= values[WITHOUT] + TOLERANCE)
            for which, broken in ((WITH, blamed), (WITHOUT, over[WITHOUT])):
                shown = np.where(broken, values[which], -np.inf) if broken.any() else values[which]
                at = int(np.argmax(shown))
                element = self._names[rows[at]] if len(rows) else None
                pair[which].see(step, float(values[which, at]), element, bool(broken.any()))

    def _values(self, state: GridState) -> Iterator[tuple[str, FloatArray, IntArray]]:
        """Name, values (2, m) and their bus rows (none: the feeder's head) of every limit that can be seen."""
        nowhere = np.zeros(0, dtype=np.int64)
        if UNBALANCE in self.tallies and state.unbalance_percent is not None and len(self._whole):
            yield UNBALANCE, state.unbalance_percent[:, self._whole], self._whole
        if RISE in self.tallies:
            rise = 100 * (state.v_pu[WITH] / state.v_pu[WITHOUT] - 1)
            yield RISE, np.stack((rise, np.zeros_like(rise))), np.arange(len(self._names))
        if REVERSE in self.tallies:
            yield REVERSE, -state.p_slack_w[:, None], nowhere


def _whole_buses(feeder: Feeder) -> IntArray:
    """The first row of every bus that has all three phases: only there the sequence voltages are defined."""
    _, first, count = np.unique(feeder.site, return_index=True, return_counts=True)
    return np.asarray(first[count == 3], dtype=np.int64)

"""Limits beyond voltage band and loading, followed step by step where a scenario sets them."""

from dataclasses import dataclass

import numpy as np

from adapters.grid.engine import BoolArray, GridState
from adapters.grid.feeder import Feeder, FloatArray
from twin.gate.further import Further
from twin.gate.kinds import scaled, unit_of
from twin.plant import WITH, WITHOUT
from twin.scenario.limits_section import LimitsSection
from twin.violations import NOTHING, WORSE_PU, Snapshot

UNBALANCE, RISE = "voltage_unbalance", "voltage_rise"
KEYS = {
    UNBALANCE: "voltage_unbalance_percent",
    RISE: "voltage_rise_percent",
    "reverse_power": "reverse_power_w",
    "feeder_cap": "feeder_cap_w",
    "feeder_cap_apparent": "feeder_cap_va",
}


@dataclass
class Tally:
    """What was seen of one limit, with trades (broken means: made or worsened by them) or without.

    ``worst`` is NaN until something was seen, ``element`` and ``worst_step`` belong to it. Steps count those that
    were broken, and those that say nothing (no solution, or NaN).
    """

    name: str
    limit: float
    unit: str
    worst: float = float("nan")
    element: str | None = None
    worst_step: int | None = None
    first_step: int | None = None
    broken_steps: int = 0
    unknown_steps: int = 0

    def see(self, step: int, values: FloatArray, broken: BoolArray, elements: tuple[str, ...]) -> None:
        """Take the values of a step, (m,); a broken one is worse than any other."""
        if np.isnan(values).any():
            self.unknown_steps += 1
        if broken.any():
            self.broken_steps += 1
            self.first_step = step if self.first_step is None else self.first_step
            values = np.where(broken, values, np.nan)
        elif self.broken_steps:
            return
        if np.isnan(values).all():
            return
        at = int(np.nanargmax(values))
        if (broken.any() and self.broken_steps == 1) or not values[at] <= self.worst:
            self.worst, self.element, self.worst_step = float(values[at]), elements[at], step


Pair = tuple[Tally, Tally]
"""With trades, and without."""


def see_both(pair: Pair, step: int, values: FloatArray, elements: tuple[str, ...], kind: str) -> BoolArray:
    """Take one step's values (2, m) with and without trades; returns what trades broke, (m,).

    Trades are to blame where the value is beyond the limit, and it was kept or further in without them.
    """
    over = values > pair[WITH].limit
    worsened = ~(values[WITH] <= values[WITHOUT] + scaled(kind, WORSE_PU))
    blamed: BoolArray = over[WITH] & (worsened | ~over[WITHOUT])
    pair[WITH].see(step, values[WITH], blamed, elements)
    pair[WITHOUT].see(step, values[WITHOUT], over[WITHOUT], elements)
    return blamed


class FurtherLimits:
    """Follows the limits that a scenario sets beyond band and loading, step by step."""

    def __init__(self, section: LimitsSection, feeder: Feeder) -> None:
        self._limits = Further.from_section(feeder, section)
        self.balanced = feeder.balanced
        self.tallies: dict[str, Pair] = {}
        for name, key in KEYS.items():
            limit = getattr(section, key)
            if limit is not None:
                self.tallies[name] = (Tally(name, limit, unit_of(name)), Tally(name, limit, unit_of(name)))
        kinds = np.array(() if self._limits is None else self._limits.kinds)
        self._columns = {name: np.flatnonzero(kinds == name) for name in self.tallies}

    def look(self, step: int, state: GridState, snapshot: Snapshot = NOTHING) -> None:
        """Take one solved step (rows WITH and WITHOUT trades); one that did not converge says nothing here."""
        if self._limits is None:
            return
        if not state.converged.all():
            for pair in self.tallies.values():
                for tally in pair:
                    tally.unknown_steps += 1
            return
        values = self._limits.based_on(state.v_pu[WITHOUT]).values(state)
        for name, columns in self._columns.items():
            if len(columns):
                elements = tuple(self._limits.elements[i] for i in columns)
                see_both(self.tallies[name], step, values[:, columns], elements, name)

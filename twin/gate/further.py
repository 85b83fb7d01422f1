"""Limits beyond voltage band and loading as rows of numbers: unbalance, rise by trades, power at the feeder head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from adapters.grid.engine import BoolArray, GridState
from adapters.grid.feeder import Feeder, FloatArray, IntArray
from twin.gate.kinds import HEAD, Kind, scaled, unit_of

if TYPE_CHECKING:
    from twin.scenario.limits_section import LimitsSection

IMPORT, EXPORT, APPARENT = "import", "export", "apparent"


@dataclass(frozen=True)
class Further:
    """m upper limits on quantities of a solved state, in the order of ``values``.

    ``head``: what of the feeder head is limited, one entry each; ``whole`` (rows of buses that have all phases)
    the buses whose unbalance is; ``risen`` (rows) those whose rise is. A rise is measured against ``base_v_pu``
    (n_bus,), the same feeder without trades; as long as there is none its limit is infinite.
    """

    kinds: tuple[Kind, ...]
    rows: IntArray
    elements: tuple[str, ...]
    bounds: FloatArray
    head: tuple[str, ...]
    whole: IntArray
    risen: IntArray
    rise_percent: float = np.inf
    base_v_pu: FloatArray | None = None
    _scale: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Work out what a tolerance of 1 pu is in each entry's unit."""
        object.__setattr__(self, "_scale", np.array([scaled(kind, 1.0) for kind in self.kinds]))

    @classmethod
    def from_section(cls, feeder: Feeder, section: LimitsSection) -> Further | None:
        """What a scenario sets; None where it sets nothing of the kind (and then costs nothing)."""
        heads: list[tuple[str, Kind, float | None]] = [
            (EXPORT, "reverse_power", section.reverse_power_w),
            (IMPORT, "feeder_cap", section.feeder_cap_w),
            (EXPORT, "feeder_cap", section.feeder_cap_w),
            (APPARENT, "feeder_cap_apparent", section.feeder_cap_va),
        ]
        set_heads = [(way, kind, float(limit)) for way, kind, limit in heads if limit is not None]
        none = np.zeros(0, dtype=np.int64)
        unbalance, rise = section.voltage_unbalance_percent, section.voltage_rise_percent
        whole = none if unbalance is None or feeder.balanced else whole_buses(feeder)
        risen = none if rise is None else np.arange(feeder.n_bus)
        if not set_heads and not len(whole) and not len(risen):
            return None
        buses = np.concatenate((whole, risen)).astype(np.int64)
        kinds: list[Kind] = [kind for _, kind, _ in set_heads]
        kinds += ["voltage_unbalance"] * len(whole)
        kinds += ["voltage_rise"] * len(risen)
        return cls(
            kinds=tuple(kinds),
            rows=np.concatenate((np.full(len(set_heads), -1), buses)).astype(np.int64),
            elements=(*(HEAD for _ in set_heads), *(feeder.bus_names[row] for row in buses)),
            bounds=np.array(
                [limit for _, _, limit in set_heads]
                + [unbalance or np.inf] * len(whole)
                + [np.inf] * len(risen)
            ),
            head=tuple(way for way, _, _ in set_heads),
            whole=whole,
            risen=risen,
            rise_percent=np.inf if rise is None else float(rise),
        )

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.kinds)

    def values(self, state: GridState) -> FloatArray:
        """(k, m): W and VA at the head, percent of unbalance, percent of rise."""
        import_w = state.p_slack_w
        ways = {IMPORT: import_w, EXPORT: -import_w}
        if APPARENT in self.head:
            ways[APPARENT] = np.hypot(import_w, state.q_slack_var)
        parts = [ways[way][:, None] for way in self.head]
        if len(self.whole):
            # an engine that knows no phases has no unbalance: unknown, never within
            known = state.unbalance_percent
            parts.append(
                np.full((len(import_w), len(self.whole)), np.nan) if known is None else known[:, self.whole]
            )
        if len(self.risen):
            base = 1.0 if self.base_v_pu is None else self.base_v_pu[self.risen]
            parts.append(100 * (state.v_pu[:, self.risen] / base - 1))
        return np.concatenate(parts, axis=1)

    def based_on(self, v_pu: FloatArray) -> Further:
        """The same limits with the voltages without trades, (n_bus,); whoever has none has no limit of rise."""
        if not len(self.risen):
            return self
        bounds = self.bounds.copy()
        if self.base_v_pu is None:
            bounds[-len(self.risen) :] = np.where(np.isnan(v_pu[self.risen]), np.inf, self.rise_percent)
        return replace(self, bounds=bounds, base_v_pu=v_pu)

    def without_buses(self, dead: Sequence[int]) -> Further:
        """The same limits with some buses not watched."""
        kept = ~np.isin(self.rows, list(dead)) | (self.rows < 0)
        which = np.flatnonzero(kept)
        return replace(
            self,
            kinds=tuple(self.kinds[i] for i in which),
            rows=self.rows[kept],
            elements=tuple(self.elements[i] for i in which),
            bounds=self.bounds[kept],
            whole=np.setdiff1d(self.whole, list(dead)),
            risen=np.setdiff1d(self.risen, list(dead)),
        )

    def tightened(self, v_pu: float, percent: float) -> Further:
        """Less a margin: in pu of voltage for a rise, that share of the limit for everything else."""
        rise = np.array([kind == "voltage_rise" for kind in self.kinds])
        bounds = np.where(rise, np.maximum(self.bounds - 100 * v_pu, 0.0), self.bounds * (1 - percent / 100))
        return replace(self, bounds=bounds, rise_percent=max(self.rise_percent - 100 * v_pu, 0.0))

    def no_worse_than(self, state: GridState, row: int, slack_pu: float) -> Further:
        """Each limit or the state's own value, whichever is worse; rises are measured from the state."""
        based = self.based_on(state.v_pu[row])
        value = based.values(state)[row]
        worse = value > based.bounds
        return replace(based, bounds=np.where(worse, value + slack_pu * self._scale, based.bounds))

    def within(self, state: GridState) -> BoolArray:
        """Which of the k scenarios keep every entry; NaN never does, where there is a limit."""
        inside = (self.values(state) <= self.bounds) | (self.bounds == np.inf)
        kept: BoolArray = inside.all(axis=1)
        return kept

    def unit(self, entry: int) -> str:
        """Unit of an entry."""
        return unit_of(self.kinds[entry])


def whole_buses(feeder: Feeder) -> IntArray:
    """The first row of every bus that has all three phases: only there the sequence voltages are defined."""
    _, first, count = np.unique(feeder.site, return_index=True, return_counts=True)
    return np.asarray(first[count == 3], dtype=np.int64)

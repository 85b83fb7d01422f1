"""What network charges did over a run: their table, their sums, and whether they settled or went up and down."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.grid.feeder import FloatArray
from twin.blocks import Recorded

TURN = 0.1
"""A change of the mean charge by less than this share of its largest is no turn."""


@dataclass
class ChargeTally:
    """Running sums over the intervals of a run with coordination 'price'."""

    names: tuple[str, ...]
    received_micro: int = 0
    highest_micro_per_kwh: float = 0.0
    charged_intervals: int = 0
    reversals: int = 0
    _swing: float = 0.0
    _sum: float = 0.0
    _last: FloatArray | None = None
    _level: float = 0.0
    _rising: bool | None = None

    def columns(self, recorded: list[Recorded]) -> dict[str, Any]:
        """Add intervals; return their rows of charges.parquet, none for an interval without charges in force."""
        rows: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        for r in recorded:
            charges = r.decided.accepted.session.charges
            self._follow(np.zeros(len(self.names)) if charges is None else charges.congestion_micro_per_kwh)
            if charges is None or r.entry.charged_micro is None:
                continue
            self.received_micro += r.entry.network_micro
            rows["interval"] += [r.interval] * len(self.names)
            rows["participant"] += self.names
            for name in _COLUMNS[2:-1]:
                rows[name] += getattr(charges, name).tolist()
            rows["charged_micro"] += r.entry.charged_micro.tolist()
        return rows if rows["interval"] else {}

    def _follow(self, congestion: FloatArray) -> None:
        """Take the congestion charges of the next interval."""
        last = np.zeros_like(congestion) if self._last is None else self._last
        self._swing += float(np.abs(congestion - last).sum())
        self._sum += float(np.abs(congestion).sum() + np.abs(last).sum())
        self._last = congestion
        self.highest_micro_per_kwh = max(
            self.highest_micro_per_kwh, float(np.abs(congestion).max(initial=0.0))
        )
        level = float(np.abs(congestion).mean()) if len(congestion) else 0.0
        self.charged_intervals += level > 0
        if abs(level - self._level) > TURN * max(level, self._level):
            rising = level > self._level
            self.reversals += self._rising is True and not rising
            self._rising = rising
        self._level = level

    def kpis(self) -> dict[str, Any]:
        """KPIs; a swing of 0 % never changes, of 100 % is there in every other interval only."""
        return {
            "network_charges_micro": self.received_micro,
            "congestion_charge_max_micro_per_kwh": self.highest_micro_per_kwh,
            "congestion_charged_intervals_count": self.charged_intervals,
            "congestion_charge_swing_percent": 100 * self._swing / self._sum if self._sum else 0.0,
            "congestion_charge_reversals_count": self.reversals,
        }


_COLUMNS = (
    "interval",
    "participant",
    "sell_micro_per_kwh",
    "buy_micro_per_kwh",
    "congestion_micro_per_kwh",
    "loss_micro_per_kwh",
    "charged_micro",
)
NO_CHARGES: dict[str, Any] = dict.fromkeys(ChargeTally(()).kpis())
"""The same KPIs of a run without network charges."""

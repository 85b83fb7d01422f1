"""Running sums and extremes of a run, from which the KPIs are made."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twin.ledger import Entry
from twin.operator import Decided
from twin.plant import PlantStep


@dataclass
class Totals:
    """Running sums over the run, for the KPIs. Energies in Wh, money in millionths."""

    numbers: dict[str, float] = field(default_factory=dict)
    extremes: dict[str, float] = field(default_factory=dict)
    bills_micro: Any = 0  # (n,) once an interval was added
    saved_micro: Any = 0

    def add(self, name: str, value: float) -> None:
        """Add to a sum."""
        self.numbers[name] = self.numbers.get(name, 0) + value

    def low(self, name: str, value: float) -> None:
        """Keep the least of the values seen; NaN is not one."""
        if value < self.extremes.get(name, np.inf):
            self.extremes[name] = value

    def high(self, name: str, value: float) -> None:
        """Keep the largest."""
        if value > self.extremes.get(name, -np.inf):
            self.extremes[name] = value

    def interval(
        self, row: dict[str, Any], steps: list[PlantStep], decided: Decided, entry: Entry, interval_s: int
    ) -> None:
        """Add an interval: its row of intervals.parquet and what the row does not hold."""
        t, hours = self, interval_s / 3600.0
        for name in ("load_w", "pv_w", "pv_curtailed_w", "ev_w", "loss_w"):
            t.add(name + "h", row[name] * hours)
        t.add("import_wh", max(row["p_slack_w"], 0.0) * hours)
        t.add("export_wh", max(-row["p_slack_w"], 0.0) * hours)
        for name in ("local_cleared_wh", "local_accepted_wh", "supplier_flexible_accepted_wh", "cut_wh"):
            t.add(name, row[name])
        if row["price_micro_per_kwh"] is not None:
            t.add("price_times_wh", row["price_micro_per_kwh"] * row["local_accepted_wh"])
        t.add("delivered_wh", int(entry.delivered_wh.sum()))
        t.add("settled_wh", int(entry.settled_wh.sum()))
        t.add("accepted_wh", int(decided.accepted.accepted_wh.sum()))
        t.add("money_sum_micro", abs(entry.sum_micro))
        t.add("supplier_micro", entry.supplier_micro)
        t.add("pool_micro", entry.pool_micro)
        t.add("wire_samples", int(sum(s.devices.wire.sum() for s in steps)))
        t.add("bad_samples", int(sum(s.devices.bad.sum() for s in steps)))
        intent = decided.accepted.session.intent
        actual = sum(s.devices.base.p_gen_w for s in steps) / len(steps)
        t.add("forecast_error_w", float(np.abs(actual - intent.p_base_w).mean()))
        t.add(f"gate_{row['gate_status']}", 1)
        t.low("v_min_pu", row["v_min_pu"])
        t.high("v_max_pu", row["v_max_pu"])
        t.high("line_loading_max_percent", row["line_loading_max_percent"])
        t.high("transformer_loading_max_percent", row["trafo_loading_max_percent"])
        self.bills_micro = self.bills_micro + entry.bill_micro
        self.saved_micro = self.saved_micro + entry.saved_micro

"""Running sums and extremes of a run, from which the KPIs are made."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twin.blocks import Block, Recorded


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

    def add_block(self, block: Block, rows: dict[str, Any], interval_s: int) -> None:
        """Add a block of intervals: its rows of intervals.parquet and what the rows do not hold."""
        hours, recorded = interval_s / 3600.0, block.recorded
        for name in ("load_w", "pv_w", "pv_curtailed_w", "ev_w", "loss_w"):
            self.add(name + "h", float(rows[name].sum()) * hours)
        # per interval: power that changes sign within one is netted by the meter at the transformer
        self.add("import_wh", float(np.maximum(rows["p_slack_w"], 0.0).sum()) * hours)
        self.add("export_wh", float(np.maximum(-rows["p_slack_w"], 0.0).sum()) * hours)
        for name in ("local_cleared_wh", "local_accepted_wh", "supplier_flexible_accepted_wh", "cut_wh"):
            self.add(name, sum(rows[name]))
        for price, energy_wh in zip(rows["price_micro_per_kwh"], rows["local_accepted_wh"], strict=True):
            if price is not None:
                self.add("price_times_wh", price * energy_wh)
                self.add("priced_wh", energy_wh)
        for worth, best in zip(rows["welfare_micro"], rows["central_welfare_micro"], strict=True):
            if worth is not None and best is not None:
                self.add("welfare_micro", worth)
                self.add("central_welfare_micro", best)
        for name in ("delivered_wh", "settled_wh"):
            self.add(name, int(np.concatenate([getattr(r.entry, name) for r in recorded]).sum()))
        self.add("accepted_wh", int(np.concatenate([r.decided.accepted.accepted_wh for r in recorded]).sum()))
        self.bills_micro = self.bills_micro + np.sum([r.entry.bill_micro for r in recorded], axis=0)
        self.saved_micro = self.saved_micro + np.sum([r.entry.saved_micro for r in recorded], axis=0)
        for r in recorded:
            self._add_entry(r)
            self.add(f"gate_{'off' if r.decided.decision is None else r.decided.decision.status}", 1)
        actual = np.array([s.devices.base.p_gen_w for r in recorded for s in r.steps])
        believed = np.array([r.decided.accepted.session.intent.p_base_w for r in recorded])
        mean = actual.reshape(len(recorded), -1, actual.shape[1]).mean(axis=1)
        self.add("forecast_error_w", float(np.abs(mean - believed).mean(axis=1).sum()))
        for value in rows["v_min_pu"]:
            self.low("v_min_pu", value)
        for key, name in (
            ("v_max_pu", "v_max_pu"),
            ("line_loading_max_percent", "line_loading_max_percent"),
            ("transformer_loading_max_percent", "trafo_loading_max_percent"),
        ):
            for value in rows[name]:
                self.high(key, value)

    def _add_entry(self, r: Recorded) -> None:
        entry = r.entry
        self.add("money_sum_micro", abs(entry.sum_micro))
        self.add("supplier_micro", entry.supplier_micro)
        self.add("pool_micro", entry.pool_micro)
        for step in r.steps:
            self.add("wire_samples", int(np.count_nonzero(step.devices.wire)))
            self.add("bad_samples", int(np.count_nonzero(step.devices.bad)))

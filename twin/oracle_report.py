"""What became of the meters' readings: KPIs, a check, a record for the report, and rows of tables."""

from typing import Any

import numpy as np

from twin.disputes import Disputes
from twin.oracles.findings import Findings
from twin.oracles.panel import Panel
from twin.verdict import Check


def oracle_kpis(disputes: Disputes | None) -> dict[str, Any]:
    """Numbers named ``oracle_...`` and ``imbalance_...``; None where the scenario does not ask for them."""
    none: dict[str, Any] = dict.fromkeys(Findings([]).kpis())
    found = none if disputes is None or disputes.findings is None else disputes.findings.kpis()
    charged = None if disputes is None or disputes.rules is None else disputes.charged_micro
    refused = None
    if disputes is not None and disputes.witness is not None:
        refused = len(disputes.witness.refused)
    return found | {"oracle_signatures_refused_count": refused, "imbalance_charges_micro": charged}


def oracle_check(disputes: Disputes | None) -> list[Check]:
    """Whether all readings were agreed on or decided; beside the verdict, which is about the feeder."""
    if disputes is None or disputes.findings is None:
        return []
    numbers = disputes.findings.kpis()
    still, held = numbers["oracle_open_count"], numbers["oracle_held_count"]
    detail = (
        f"{numbers['oracle_agreed_count']} of {numbers['oracle_readings_count']} readings agreed at once, "
        f"{numbers['oracle_outvoted_count']} with one source outvoted, {held} held"
    )
    detail += f", {still} of them still at the end" if still else ", all of them decided" if held else ""
    behind = numbers["oracle_not_certified_count"]
    detail += f"; {behind} of meters behind a connection point not certified" if behind else ""
    first = next((f.interval for f in disputes.findings.rows if f.status == "held"), None)
    refused = len(disputes.witness.refused) if disputes.witness else 0
    outcome: Any = "fail" if refused else "inconclusive" if still else "pass"
    if refused:
        detail += f"; {refused} batch signatures of devices refused"
    return [
        Check(
            "oracles",
            outcome,
            still,
            0,
            "readings",
            first_interval=first,
            count=still,
            judged=False,
            detail=detail,
        )
    ]


def oracle_record(disputes: Disputes | None) -> dict[str, Any] | None:
    """What the report tells of the oracles; None where there are none."""
    if disputes is None or disputes.findings is None or not isinstance(disputes.readers, Panel):
        return None
    panel, findings = disputes.readers, disputes.findings
    intervals = max(1, findings.readings_count // max(1, len(panel.uncertainty_sum_wh)))
    resolution = panel.uncertainty_sum_wh / intervals
    return {
        "faults": findings.record(),
        "quorum": panel.rule.quorum,
        "tolerance_wh": panel.rule.tolerance_wh,
        "tolerance_percent": panel.rule.tolerance_ppm / 10_000,
        "grid_log_uncertainty_median_wh": float(np.median(resolution)),
        "grid_log_uncertainty_max_wh": float(resolution.max()),
        "shared_places_count": int((np.bincount(panel.grid_log.site_of) > 1).sum()),
        "signatures_count": disputes.witness.signatures if disputes.witness else 0,
    }


def oracle_tables(disputes: Disputes | None, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Columns of oracles.parquet; empty where they are not asked for."""
    if disputes is None or disputes.findings is None:
        return {"oracles": {}}
    every = disputes.readers.metering.names if isinstance(disputes.readers, Panel) else names
    return {"oracles": disputes.findings.columns(every)}

"""What became of the scheduled faults: the rows of faults.parquet and the check in the verdict."""

from collections.abc import Sequence
from typing import Any

from rigs.device import Bench
from rigs.faults import FaultFinding
from twin.verdict import Check


def findings_of(bench: Bench | None) -> tuple[FaultFinding, ...]:
    """Return what a bench found out about its scheduled faults; nothing without a bench."""
    return () if bench is None else bench.findings()


def fault_columns(findings: Sequence[FaultFinding]) -> dict[str, list[Any]]:
    """Rows of faults.parquet as columns; empty without faults."""
    rows = [
        {
            "target": f.fault.role,
            "kind": f.fault.kind,
            "from_s": f.fault.from_s,
            "until_s": f.fault.until_s,
            "noticed_after_s": f.noticed_after_s,
            "notice": f.notice,
            "done": f.done,
            "recovered_after_s": f.recovered_after_s,
            "believed_wrong_samples": f.believed_wrong,
            "handled": f.handled,
            "why": f.why or None,
        }
        for f in findings
    ]
    return {key: [row[key] for row in rows] for key in rows[0]} if rows else {}


def fault_check(findings: Sequence[FaultFinding], interval_s: int) -> list[Check]:
    """One check: every scheduled fault was noticed (or did no harm), no wrong value believed, all well after it."""
    if not findings:
        return []
    wrong = [f for f in findings if not f.handled]
    noticed = sum(f.noticed_after_s is not None for f in findings)
    detail = f"{noticed} of {len(findings)} scheduled faults were noticed, the others did no harm"
    if wrong:
        detail = "; ".join(f"{f.fault.kind} on {f.fault.role}: {f.why}" for f in wrong[:3])
    return [
        Check(
            "fault_handling",
            "fail" if wrong else "pass",
            len(wrong),
            0,
            "faults",
            element=wrong[0].fault.role if wrong else None,
            first_interval=int(wrong[0].fault.from_s // interval_s) if wrong else None,
            count=len(wrong),
            detail=detail,
        )
    ]

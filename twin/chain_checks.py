"""The check and the numbers of a run's batches on their chain."""

from collections import Counter
from typing import Any

from twin.chain_outcome import UNDER_WAY, Pairs
from twin.checks import Check


def chain_checks(pairs: Pairs, on_chain: bool) -> list[Check]:
    """The check ``settlement``: every batch is final, or under way with its window open; a refused one fails."""
    if not on_chain:
        return [Check("settlement", "not_assessed", judged=False, detail="settlement.chain is none")]
    refused = [receipt for _, receipt in pairs if receipt.status == "rejected"]
    waiting = [receipt for _, receipt in pairs if receipt.status in UNDER_WAY]
    if refused:
        detail = f"{len(refused)} of {len(pairs)} batches were refused; the first: {refused[0].reason}"
        return [Check("settlement", "fail", len(refused), 0, "batches", count=len(refused), detail=detail)]
    detail = "1 batch is final" if len(pairs) == 1 else f"{len(pairs)} batches are final"
    if waiting:
        states = Counter(receipt.status.upper() for receipt in waiting)
        told = " and ".join(f"{count} {state}" for state, count in sorted(states.items()))
        detail = (
            f"{told} of {len(pairs)} batches: their window is open by the chain's own clock; "
            "debits are taken, credits follow when they are final"
        )
    dropped = sum(receipt.dropped for _, receipt in pairs)
    if dropped:
        what = "1 transaction was" if dropped == 1 else f"{dropped} transactions were"
        detail += f"; {what} thrown out by a reorganisation and sent again"
    return [Check("settlement", "pass", 0, 0, "batches", 0.0, detail=detail)]


def chain_kpis(pairs: Pairs, simulated: bool) -> dict[str, Any]:
    """How many batches are final, what was sent again, and the longest ways there, where the chain's time is ours."""
    recorded = [r.recorded_s - b.period_end_s for b, r in pairs if r.recorded_s and simulated]
    final = [r.final_s - b.period_end_s for b, r in pairs if r.final_s and simulated]
    return {
        "batches_final_count": sum(receipt.status == "final" for _, receipt in pairs),
        "settlement_recorded_max_s": max(recorded, default=None),
        "settlement_final_max_s": max(final, default=None),
        "settlement_resent_count": sum(receipt.dropped for _, receipt in pairs),
    }

"""The check and the numbers of a run's batches on their chain."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from adapters.chain.port import BatchReceipt
from twin.chain_outcome import UNDER_WAY, Pairs
from twin.checks import Check

BEHIND = "PrevNotFinal"
"""The contract finalises in order: another sender's batch comes first, which is a matter of time."""


def chain_checks(pairs: Pairs, on_chain: bool) -> list[Check]:
    """The check ``settlement``: every batch is final, or under way with its window open; a refused one fails.

    One that is disputed, or that the contract will not finalise, is undecided: inconclusive.
    """
    if not on_chain:
        return [Check("settlement", "not_assessed", judged=False, detail="settlement.chain is none")]
    refused = [receipt for _, receipt in pairs if receipt.status == "rejected"]
    waiting = [receipt for _, receipt in pairs if receipt.status in UNDER_WAY]
    if refused:
        detail = f"{len(refused)} of {len(pairs)} batches were refused; the first: {refused[0].reason}"
        return [Check("settlement", "fail", len(refused), 0, "batches", count=len(refused), detail=detail)]
    detail = "1 batch is final" if len(pairs) == 1 else f"{len(pairs)} batches are final"
    behind = any(receipt.reason.startswith(BEHIND) for receipt in waiting)
    undecided = [
        receipt
        for receipt in waiting
        if receipt.status == "disputed" or (receipt.reason and not receipt.reason.startswith(BEHIND))
    ]
    if waiting:
        states = Counter(receipt.status.upper() for receipt in waiting)
        told = " and ".join(f"{count} {state}" for state, count in sorted(states.items()))
        window = "an earlier batch of another sender" if behind else "their window"
        why = _why(undecided) or f"{window} is open by the chain's own clock"
        detail = (
            f"{told} of {len(pairs)} batches: {why}; debits are taken, credits follow when they are final"
        )
    dropped = sum(receipt.dropped for _, receipt in pairs)
    if dropped:
        what = "1 transaction was" if dropped == 1 else f"{dropped} transactions were"
        detail += f"; {what} thrown out by a reorganisation and sent again"
    if undecided:
        count = len(undecided)
        return [Check("settlement", "inconclusive", count, 0, "batches", count=count, detail=detail)]
    return [Check("settlement", "pass", 0, 0, "batches", 0.0, detail=detail)]


def _why(undecided: Sequence[BatchReceipt]) -> str:
    """What stands between batches and their end; empty where it is nothing but time."""
    words = ["an arbiter must decide the dispute"] if any(r.status == "disputed" for r in undecided) else []
    refusal = next((r.reason for r in undecided if r.status != "disputed"), "")
    if refusal:
        words.append(f"the contract does not finalise them ({refusal})")
    return " and ".join(words)


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

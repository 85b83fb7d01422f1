"""What became of a run's batches on their chain: rows, and whether ledger and chain agree."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.chain.port import BatchReceipt, SettlementBatch

Pairs = Sequence[tuple[SettlementBatch, BatchReceipt]]
UNDER_WAY = ("proposed", "disputed")


def pair(batches: Sequence[SettlementBatch], receipts: Sequence[BatchReceipt]) -> Pairs:
    """Each receipt with its batch, in the order of submission."""
    by_digest = {batch.digest: batch for batch in batches}
    return [(by_digest[receipt.digest], receipt) for receipt in receipts]


def agrees(pairs: Pairs, books_micro: Mapping[str, int], chain_micro: Mapping[str, int]) -> bool:
    """Whether the chain holds what the books say, per account and to the last unit.

    A batch that is not final yet has taken its debits and not given its credits; one that was refused counts
    for nothing, and then the books must not hold it either.
    """
    booked: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for batch, receipt in pairs:
        if receipt.status not in ("final", *UNDER_WAY):
            continue
        for name, delta in zip(batch.accounts, batch.deltas_micro, strict=True):
            booked[name] += delta
            held[name] += delta if receipt.status == "final" else min(delta, 0)
    return _nonzero(booked) == _nonzero(books_micro) and _nonzero(held) == _nonzero(chain_micro)


def _nonzero(amounts: Mapping[str, int]) -> dict[str, int]:
    return {name: int(amount) for name, amount in amounts.items() if amount}


def settlement_row(batch: SettlementBatch, receipt: BatchReceipt) -> dict[str, Any]:
    """One row of settlement.parquet."""
    return {
        "period_start_s": batch.period_start_s,
        "period_end_s": batch.period_end_s,
        "digest": batch.digest.hex(),
        "root": batch.root.hex(),
        "transaction": receipt.transaction,
        "block_number": receipt.block_number,
        "gas": receipt.gas,
        "status": receipt.status,
        "reason": receipt.reason or None,
        "positions": len(batch.accounts),
        "gross_energy_wh": batch.gross_energy_wh,
        "recorded_s": receipt.recorded_s or None,
        "final_s": receipt.final_s or None,
        "resent": receipt.dropped,
    }

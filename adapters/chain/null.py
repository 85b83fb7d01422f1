"""No chain: batches are taken and nothing is settled, and every receipt says so."""

from typing import Any

from adapters.chain.checks import check_batch
from adapters.chain.port import BatchReceipt, SettlementBatch

REASON = "settlement.chain is 'none': nothing was settled"


class NullChain:
    """Keeps no money. Its balances are empty, its receipts 'rejected' with the reason."""

    name = "none"

    def __init__(self, market_id: str) -> None:
        self._market_id = market_id
        self._receipts: list[BatchReceipt] = []

    def submit(self, batch: SettlementBatch) -> None:
        """Check the batch and drop it. Raises ChainInputError for one that no chain would take."""
        check_batch(batch, self._market_id)
        self._receipts.append(BatchReceipt(batch.digest, "", 0, 0, "rejected", REASON))

    def drain(self) -> list[BatchReceipt]:
        """One receipt per batch, each saying that nothing was settled."""
        return list(self._receipts)

    def balances_micro(self) -> dict[str, int]:
        """Nothing is kept."""
        return {}

    def money_sum_micro(self) -> int:
        """Nothing is kept."""
        return 0

    def history(self) -> dict[str, Any]:
        """There is none."""
        return {"kind": "none"}

    def close(self) -> None:
        """Nothing to release."""

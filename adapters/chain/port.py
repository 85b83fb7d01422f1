"""The contract of a settlement chain: submit, confirm, read. No web3 type crosses it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class SettlementBatch:
    """One netted batch, as ``market.netting`` makes it.

    ``accounts`` are account ids (text; participants, ``supplier``, ``network``, ``pool``), ``deltas_micro`` what
    each gains (their sum is exactly zero), ``root`` and ``digest`` 32 bytes that commit to the fills and to the
    whole batch. ``batch_id`` is made from ``market_id`` and ``period_start_s``, so that a second try is seen.
    """

    market_id: str
    period_start_s: int
    period_end_s: int
    accounts: tuple[str, ...]
    deltas_micro: tuple[int, ...]
    gross_energy_wh: int
    root: bytes
    digest: bytes


@dataclass(frozen=True)
class BatchReceipt:
    """What the chain says of one batch. ``status`` is 'final', 'proposed' or 'rejected' (with ``reason``)."""

    digest: bytes
    transaction: str
    block_number: int
    gas: int
    status: str
    reason: str = ""


class SettlementChain(Protocol):
    """A chain with our settlement contract deployed on it."""

    name: str

    def submit(self, batch: SettlementBatch) -> None:
        """Queue a batch. Never waits for a block, so a simulation step may call it."""
        ...

    def drain(self) -> list[BatchReceipt]:
        """Wait until every queued batch is settled or refused; receipts in order of submission."""
        ...

    def balances_micro(self) -> dict[str, int]:
        """Read every account's balance from the contract, account id to signed millionths."""
        ...

    def close(self) -> None:
        """Release the chain. Safe to call twice."""
        ...

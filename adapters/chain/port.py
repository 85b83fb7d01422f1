"""The contract of a settlement chain: submit, confirm, read. No web3 type crosses it."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class SettlementBatch:
    """One netted batch, as ``market.netting`` makes it.

    ``accounts`` are account ids (text; participants, ``supplier``, ``network``, ``pool``), ``deltas_micro``
    what each gains (their sum is exactly zero), ``root`` and ``digest`` 32 bytes that commit to the fills and
    to the whole batch. A period is settled once, so that a second try is seen.
    """

    market_id: str
    period_start_s: int
    period_end_s: int
    accounts: tuple[str, ...]
    deltas_micro: tuple[int, ...]
    gross_energy_wh: int
    root: bytes
    digest: bytes
    readings_root: bytes = bytes(32)  # commits to the meter readings, for certificates


@dataclass(frozen=True)
class BatchReceipt:
    """What the chain says of one batch. ``status`` is 'final', 'proposed' or 'rejected' (with ``reason``).

    ``transaction`` and ``block_number`` are those that recorded it, ``gas`` is what recording it cost,
    ``gas_finalise`` what giving its credits cost, ``gas_setup`` the accounts and deposits it needed first.
    ``batch_id`` is the contract's id, 32 bytes as text. ``recorded_s`` and ``final_s`` are the times of the blocks
    that recorded it and made it final, on the chain's own clock (0: not yet). ``dropped`` counts its transactions
    that a reorganisation threw out and that were sent again.
    """

    digest: bytes
    transaction: str
    block_number: int
    gas: int
    status: str
    reason: str = ""
    batch_id: str = ""
    gas_finalise: int = 0
    gas_setup: int = 0
    recorded_s: int = 0
    final_s: int = 0
    dropped: int = 0


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

    def money_sum_micro(self) -> int:
        """Read the contract's own sum over all accounts and all money on its way: zero, always."""
        ...

    def history(self) -> dict[str, Any]:
        """What is needed to read this chain again; plain JSON. A run keeps it as ``chain.json``."""
        ...

    def close(self) -> None:
        """Release the chain. Safe to call twice."""
        ...

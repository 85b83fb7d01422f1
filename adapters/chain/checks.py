"""What a batch must be before anything is sent. Light to import: the simulation calls it."""

from adapters.chain.errors import ChainInputError
from adapters.chain.port import SettlementBatch

INT64_MAX = 2**63 - 1
MOST_ACCOUNTS = 1_500
"""Accounts in one batch: more would pass what one transaction may spend (EIP-7825: 16,777,216 gas)."""


def check_batch(batch: SettlementBatch, market_id: str) -> None:
    """Raise ChainInputError, naming every fault of a batch, before anything is sent."""
    faults = []
    if batch.market_id != market_id:
        faults.append(f"market_id is {batch.market_id!r}, this chain settles {market_id!r}")
    if len(batch.accounts) != len(batch.deltas_micro):
        faults.append(f"{len(batch.accounts)} accounts but {len(batch.deltas_micro)} deltas")
    if len(batch.accounts) > MOST_ACCOUNTS:
        faults.append(f"{len(batch.accounts)} accounts, at most {MOST_ACCOUNTS} fit in one transaction")
    if len(set(batch.accounts)) != len(batch.accounts) or "" in batch.accounts:
        faults.append("account ids must be unique and not empty")
    if not 0 <= batch.period_start_s < batch.period_end_s <= INT64_MAX:
        faults.append(f"period {batch.period_start_s}..{batch.period_end_s} s is not a rising pair >= 0")
    if not 0 <= batch.gross_energy_wh <= INT64_MAX:
        faults.append(f"gross_energy_wh {batch.gross_energy_wh} is outside 0..2^63-1")
    # -2^63 is left out: its magnitude is no int64
    if any(not -INT64_MAX <= delta <= INT64_MAX for delta in batch.deltas_micro):
        faults.append("a delta is outside int64")
    if sum(batch.deltas_micro) != 0:
        faults.append(f"the deltas sum to {sum(batch.deltas_micro)} micro, not to zero")
    for name in ("root", "digest", "readings_root"):
        if len(getattr(batch, name)) != 32:
            faults.append(f"{name} has {len(getattr(batch, name))} bytes, not 32")
    if faults:
        period = f"batch of {batch.period_start_s}..{batch.period_end_s} s"
        raise ChainInputError(f"{period}: {'; '.join(faults)}")

"""What an outbox knows of a batch: its transactions, their gas, and when the chain recorded and finalised it."""

from typing import Any

from adapters.chain.errors import ChainUnavailableError
from adapters.chain.node import Node
from adapters.chain.outbox import Outbox
from adapters.chain.port import BatchReceipt


def receipt_of(outbox: Outbox, node: Node, seq: int) -> BatchReceipt:
    """Receipt of a stored batch, by its number. Times are 0 where the node does not say them."""
    (row,) = outbox.db.execute("SELECT * FROM batches WHERE seq = ?", (seq,))
    spent = {
        kind: [r for r in outbox.rows(seq, kind) if r["gas_used"] is not None]
        for kind in ("open", "mint", "deposit", "propose", "finalise")
    }
    gas = {kind: sum(r["gas_used"] for r in rows) for kind, rows in spent.items()}
    done = [r for r in spent["propose"] if r["status"] in ("mined", "confirmed")]
    status = {"finalising": "proposed", "proposing": "proposed"}.get(row["status"], row["status"])
    return BatchReceipt(
        digest=bytes.fromhex(row["digest"]),
        transaction=done[-1]["hash"] if done else "",
        block_number=done[-1]["block_number"] if done else 0,
        gas=gas["propose"],
        status=status,
        reason=row["reason"],
        batch_id=row["batch_id"],
        gas_finalise=gas["finalise"],
        gas_setup=gas["open"] + gas["mint"] + gas["deposit"],
        recorded_s=_time_of(node, done),
        final_s=_time_of(node, [r for r in spent["finalise"] if r["status"] == "confirmed"]),
        dropped=outbox.drops(seq),
    )


def _time_of(node: Node, rows: list[Any]) -> int:
    if not rows:
        return 0
    try:
        return int(node.block(rows[-1]["block_number"])["timestamp"], 16)
    except ChainUnavailableError:
        return 0

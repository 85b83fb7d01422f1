"""Who used up a nonce: found by the account's count of transactions at past blocks, in a few dozen requests at most."""

from dataclasses import dataclass

from adapters.chain.errors import NodeRefusedError
from adapters.chain.node import Node

LAG_BLOCKS = 32
"""So deep below the newest block every node has counted what the others count, and shows its receipt."""


@dataclass(frozen=True)
class Taker:
    """A transaction that is ``confirmations`` deep; ``hash`` is empty where the node no longer says which it was."""

    hash: str
    block_number: int


def taker_of(node: Node, address: str, nonce: int, top: int, height: int) -> Taker | None:
    """Who used the nonce of an address up to block ``top``; None where nobody did, or no block shows it yet.

    A refusal ("nonce too low") alone proves nothing: nodes count a nonce before they show the receipt, and behind one
    address there may be several nodes, of which some lag.
    """
    count = _count(node, address, top)
    if count is None or count <= nonce:
        return None
    used, free, back = top, -1, 1  # used: lowest block known to count it; free: highest known not to
    # Away from the newest block in growing steps: a pruned node has the newest states only.
    while used > 0 and free < 0:
        probe = max(0, top - back)
        count = _count(node, address, probe)
        if count is None:
            return Taker("", used) if height - used >= LAG_BLOCKS else None
        if count > nonce:
            used, back = probe, 2 * back
        else:
            free = probe
    while used - free > 1:
        probe = (used + free) // 2
        count = _count(node, address, probe)
        if count is None:
            return None  # a node that lags answered
        used, free = (probe, free) if count > nonce else (used, probe)
    for tx in node.transactions(used):
        if tx.nonce == nonce and tx.sender == address.lower():
            return Taker(tx.hash, used)
    return None


def _count(node: Node, address: str, block: int) -> int | None:
    """Transactions of an address up to a block; None where the node does not have that state."""
    if block < 0:
        return None
    try:
        return node.nonce(address, block)
    except NodeRefusedError:
        return None

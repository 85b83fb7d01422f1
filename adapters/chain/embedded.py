"""The embedded chain: settlement in this process, with pip packages alone and no server."""

from collections.abc import Sequence
from typing import Any

from adapters.chain.deploy import Terms, deploy_all, deploy_registry
from adapters.chain.errors import ChainInputError
from adapters.chain.evm import Evm, TransactionRefusedError
from adapters.chain.keys import embedded_keys
from adapters.chain.ledger import LedgerChain
from adapters.chain.node import Node
from adapters.chain.options import Device
from adapters.chain.outbox import Outbox
from adapters.chain.provider import RpcNode
from adapters.chain.settlement import Settlement

CHAIN_ID = 413_117
"""Private use; not registered to any public network."""
LEAD_S = 600
"""Simulated seconds before the start in which the contracts are deployed."""


def replay(history: dict[str, Any]) -> Evm:
    """Execute a recorded chain again, transaction by transaction, in a fresh machine.

    Raises ChainInputError where it does not end in the recorded block: then something in it was changed.
    """
    operator = embedded_keys().operator.canonical_address
    evm = Evm(int(history["chain_id"]), int(history["genesis_time_s"]), (operator,), auto_mine=False)
    extend(evm, history)
    return evm


def extend(evm: Evm, history: dict[str, Any]) -> None:
    """Execute further recorded blocks (``blocks``), which must end in the recorded ``head``."""
    try:
        for block in history["blocks"]:
            for raw in block["transactions"]:
                evm.send_raw(bytes.fromhex(raw[2:]))
            evm.set_next_time(int(block["time_s"]))
            evm.mine(bytes.fromhex(block.get("branch", "")))
    except (TransactionRefusedError, ValueError, KeyError, TypeError) as error:
        raise ChainInputError(f"the recorded chain was changed: {error}") from error
    if "0x" + evm.head.hash.hex() != history["head"]:
        raise ChainInputError(
            f"the recorded chain was changed: replayed, it ends in block 0x{evm.head.hash.hex()}, "
            f"recorded is {history['head']}"
        )


def blocks_of(evm: Evm, after: int = 0) -> list[dict[str, Any]]:
    """The blocks after a height, as ``extend`` takes them."""
    return [
        {
            "time_s": int(block.header.timestamp),
            "branch": bytes(block.header.extra_data).hex(),
            "transactions": ["0x" + bytes(entry.transaction.encode()).hex() for entry in block.transactions],
        }
        for block in evm.blocks[after + 1 :]
    ]


class EmbeddedChain(LedgerChain):
    """A chain of one node in memory whose blocks carry simulated time; it settles at ``submit``."""

    def __init__(
        self, market_id: str, start_s: int, terms: Terms | None = None, devices: Sequence[Device] = ()
    ) -> None:
        keys = embedded_keys()
        genesis_s = max(0, start_s - LEAD_S - len(devices))
        self.evm = Evm(CHAIN_ID, genesis_s, (keys.operator.canonical_address,))
        node = Node(RpcNode(self.evm))
        outbox = Outbox(":memory:", node, keys.operator)
        deployment = deploy_all(node, keys, outbox, terms or Terms(market_id))
        registry = deploy_registry(node, keys, outbox, devices) if devices else ""
        settlement = Settlement(
            node,
            keys,
            outbox,
            deployment.settlement,
            deployment.currency,
            clock=self._set_time,
            preflight=False,
        )
        super().__init__(
            "embedded", market_id, settlement, immediate=True, time_control=True, registry=registry
        )  # fmt: skip

    def history(self) -> dict[str, Any]:
        """Everything that is needed to make this chain again: ``replay`` reads it."""
        first = self.evm.blocks[0].header
        return {
            "kind": "embedded",
            "chain_id": self.evm.chain_id,
            "genesis_time_s": int(first.timestamp),
            "market_id": self._market_id,
            "contracts": self.contracts(),
            "blocks": blocks_of(self.evm),
            "head": "0x" + self.evm.head.hash.hex(),
        }

    def _set_time(self, time_s: int) -> None:
        """Give the next block this time, unless time is already past it."""
        if time_s > self.evm.head.header.timestamp:
            self.evm.set_next_time(time_s)

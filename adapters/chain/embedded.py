"""The embedded chain: settlement in this process, with pip packages alone and no server."""

from adapters.chain.deploy import Terms, deploy_all
from adapters.chain.evm import Evm
from adapters.chain.keys import embedded_keys
from adapters.chain.ledger import LedgerChain
from adapters.chain.node import Node
from adapters.chain.outbox import Outbox
from adapters.chain.provider import RpcNode
from adapters.chain.settlement import Settlement

CHAIN_ID = 413_117
"""Private use; not registered to any public network."""
LEAD_S = 600
"""Simulated seconds before the start in which the contracts are deployed."""


class EmbeddedChain(LedgerChain):
    """A chain of one node in memory whose blocks carry simulated time; it settles at ``submit``."""

    def __init__(self, market_id: str, start_s: int, terms: Terms | None = None) -> None:
        keys = embedded_keys()
        self.evm = Evm(CHAIN_ID, max(0, start_s - LEAD_S), (keys.operator.canonical_address,))
        node = Node(RpcNode(self.evm))
        outbox = Outbox(":memory:", node, keys.operator)
        deployment = deploy_all(node, keys, outbox, terms or Terms(market_id))
        settlement = Settlement(
            node,
            keys,
            outbox,
            deployment.settlement,
            deployment.currency,
            clock=self._set_time,
            preflight=False,
        )
        super().__init__("embedded", market_id, settlement, immediate=True, time_control=True)

    def _set_time(self, time_s: int) -> None:
        """Give the next block this time, unless time is already past it."""
        if time_s > self.evm.head.header.timestamp:
            self.evm.set_next_time(time_s)

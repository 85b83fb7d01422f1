"""The embedded chain: settlement in this process, with pip packages alone and no server."""

from typing import Any

from adapters.chain.checks import check_batch
from adapters.chain.evm import Evm
from adapters.chain.keys import embedded_keys
from adapters.chain.port import BatchReceipt, SettlementBatch
from adapters.chain.provider import RpcNode, provider_for
from adapters.chain.settlement import Settlement, Terms, deploy_settlement

CHAIN_ID = 413_117
"""Private use; not registered to any public network."""
LEAD_S = 600
"""Simulated seconds before the start in which the contracts are deployed."""


class EmbeddedChain:
    """A chain of one node in memory whose blocks carry simulated time. Executes at ``submit``."""

    name = "embedded"

    def __init__(self, market_id: str, start_s: int, terms: Terms | None = None) -> None:
        from web3 import Web3

        self._market_id = market_id
        keys = embedded_keys()
        self.evm = Evm(CHAIN_ID, max(0, start_s - LEAD_S), (keys.operator.canonical_address,))
        self.node = RpcNode(self.evm)
        w3: Any = Web3(provider_for(self.node))
        self.settlement: Settlement = deploy_settlement(
            w3, keys, terms or Terms(market_id), clock=self._set_time
        )
        self._closed = False

    def submit(self, batch: SettlementBatch) -> None:
        """Settle a batch now. Raises ChainInputError, naming every fault, before anything is sent."""
        check_batch(batch, self._market_id)
        self.settlement.process(batch)

    def drain(self) -> list[BatchReceipt]:
        """Move the chain's time past the last window, finalise, return all receipts so far."""
        return self.settlement.finish()

    def balances_micro(self) -> dict[str, int]:
        """Read what every account gained by batches."""
        return self.settlement.nets_micro()

    def money_sum_micro(self) -> int:
        """Read the contract's own sum of all money."""
        return self.settlement.money_sum_micro()

    def close(self) -> None:
        """Forget the chain."""
        self._closed = True

    def _set_time(self, time_s: int) -> None:
        if time_s > self.evm.head.header.timestamp:
            self.evm.set_next_time(time_s)
            self.evm.mine()

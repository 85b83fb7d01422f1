"""The chain that a simulation sees, over any node: the same for the embedded one and for a real one."""

import time
from collections.abc import Callable
from typing import Any

from adapters.chain.checks import check_batch
from adapters.chain.errors import ChainError, ChainUnavailableError
from adapters.chain.node import Node
from adapters.chain.port import BatchReceipt, SettlementBatch
from adapters.chain.settlement import Settlement

MOST_IDLE = 10
"""Looks without a change after which a chain that settles at once is stuck: nothing comes from outside."""


class LedgerChain:
    """Queues batches into a ``Settlement`` and pumps it. ``immediate`` chains settle within ``submit``.

    With ``time_control`` the node's clock follows simulated time (``offset_s`` ahead of it, where the node's
    clock was ahead already); without, batches stay 'proposed' until the node's own time passes their window.
    """

    def __init__(
        self,
        name: str,
        market_id: str,
        settlement: Settlement,
        immediate: bool,
        time_control: bool,
        patience_s: float = 120.0,
        poll_s: float = 0.2,
        registry: str = "",
    ) -> None:
        self._registry = registry
        self.name, self._market_id, self.settlement = name, market_id, settlement
        self._immediate, self._time_control = immediate, time_control
        self._patience_s, self.poll_s = patience_s, poll_s
        self.idle_s = None if immediate else poll_s
        self._submitted: list[int] = []
        self.outages, self._away = 0, ""  # how often the node was, and why it is now
        self.on_wait: Callable[[], None] = lambda: None  # told at every look of a wait, which may be long
        self._closed = False

    @property
    def node(self) -> Node:
        """The node behind it."""
        return self.settlement.node

    def submit(self, batch: SettlementBatch) -> None:
        """Store a batch and start on it. Raises ChainInputError, naming every fault, before anything is sent."""
        if self._closed:
            raise ChainError("the chain is closed")
        check_batch(batch, self._market_id)
        known = None if self._immediate else self.settlement.batches.find(batch)
        self._submitted.append(self.settlement.batches.add(batch) if known is None else known)
        if self._immediate:
            self._pump_until_recorded()
        else:
            self.pump()

    def pump(self) -> bool:
        """Do what can be done without waiting. Returns whether anything changed. Outlives an outage."""
        try:
            changed = self.settlement.pump()
        except ChainUnavailableError as error:
            self.outages += 1
            self._away = str(error)
            return False
        self._away = ""
        return changed

    def drain(self) -> list[BatchReceipt]:
        """Wait until every batch is recorded or refused, and final where time can be moved."""
        self._pump_until_recorded()
        self.settlement.refresh_disputed()
        deadline_s = self.settlement.open_deadline_s()
        if deadline_s is not None and self._time_control and deadline_s > self.node.now_s():
            self.node.mine_at(deadline_s)
        self._pump_until(lambda: not self.settlement.due())
        return [self.settlement.receipt(seq) for seq in self._submitted]

    def balances_micro(self) -> dict[str, int]:
        """Read what every account gained by this chain's batches, others of the same contract left out."""
        return self.settlement.nets_of(self._submitted)

    def money_sum_micro(self) -> int:
        """Read the contract's own sum of all money."""
        return self.settlement.holdings.money_sum_micro()

    def history(self) -> dict[str, Any]:
        """Where this chain can be read again: its id and our contracts on it."""
        chain_id = self.settlement.outbox.chain_id
        names = {"kind": self.name, "chain_id": chain_id, "market_id": self._market_id}
        names |= {"first_block": self.node.first_block}
        return names | {"contracts": self.contracts()}

    def contracts(self) -> dict[str, str]:
        """Addresses of our contracts: settlement and currency, and the registry of metering devices if there is one."""
        found = {
            "settlement": self.settlement.contract.address,
            "currency": self.settlement.currency.address,
        }
        return found | ({"registry": self._registry} if self._registry else {})

    def close(self) -> None:
        """Close outbox and connection. What is not settled stays in the outbox."""
        if not self._closed:
            self._closed = True
            self.settlement.outbox.close()
            self.node.close()

    def _pump_until_recorded(self) -> None:
        self._pump_until(lambda: not self.settlement.pending())

    @staticmethod
    def _is(done: Callable[[], bool]) -> bool:
        try:
            return done()
        except ChainUnavailableError:
            return False

    def _pump_until(self, done: Callable[[], bool]) -> None:
        """Pump until ``done``. Raises ChainUnavailableError where nothing has come further for the patience."""
        give_up, best, idle = time.monotonic() + self._patience_s, (-1, 0, 0), 0
        while True:
            changed = self.pump()
            if self._is(done):
                return
            self.on_wait()
            idle = 0 if changed else idle + 1
            now = self._progress()
            if now > best:
                best, give_up = now, time.monotonic() + self._patience_s
            elif time.monotonic() > give_up or (self._immediate and idle > MOST_IDLE):
                raise ChainUnavailableError(self._stuck())
            if not changed and not self._immediate and not self._mined_one():
                time.sleep(self.poll_s)

    def _progress(self) -> tuple[int, int, int]:
        try:
            return self.settlement.batches.progress()
        except ChainUnavailableError:
            return (-1, 0, 0)

    def _stuck(self) -> str:
        pending = len(self.settlement.pending())
        why = self._away or self.settlement.batches.waits_because()
        patience = "" if self._immediate else f" for {self._patience_s:g} s"
        return (
            f"nothing moved on the chain{patience}{f' ({why})' if why else ''}; {pending} batches wait in the outbox "
            "and will be sent by the next run"
        )

    def _mined_one(self) -> bool:
        """Make a block where time is ours: a development node makes none on top of what it has, for confirmations."""
        if not self._time_control or self.settlement.outbox.is_idle():
            return False
        try:
            self.node.request("evm_mine")
        except ChainUnavailableError:
            return False
        return True

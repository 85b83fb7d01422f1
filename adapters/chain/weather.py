"""The embedded chain under outages and reorganisations: what a scenario's ``settlement.outages`` does to it.

Time is simulated. Blocks come every ``block_s`` while something is on its way and are left out otherwise. While the
node is away nothing reaches it; when it is back, its newest blocks are another branch, without what was in them.
"""

from collections.abc import Sequence
from typing import Any

from adapters.chain.checks import check_batch
from adapters.chain.deploy import Terms
from adapters.chain.embedded import EmbeddedChain
from adapters.chain.errors import ChainError, ChainUnavailableError
from adapters.chain.node import Transport
from adapters.chain.options import Device, Outage, Weather
from adapters.chain.port import BatchReceipt, SettlementBatch

MOST_BLOCKS = 20_000
"""Moments between two batches: nearly three days of blocks of 12 s with something on its way all the time."""


class _Wire:
    """The way to the node, which is sometimes cut."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.away = False

    def request(self, method: str, params: Any) -> dict[str, Any]:
        """Ask the node. Raises ChainUnavailableError while it is away."""
        if self.away:
            raise ChainUnavailableError("the node is away (settlement.outages)")
        return self._inner.request(method, params)

    def close(self) -> None:
        """Release the node."""
        self._inner.close()


class WeatheredChain(EmbeddedChain):
    """An embedded chain that is used like a real one: through the outbox, with confirmations, past outages."""

    def __init__(
        self,
        market_id: str,
        start_s: int,
        weather: Weather,
        terms: Terms | None = None,
        devices: Sequence[Device] = (),
    ) -> None:
        super().__init__(market_id, start_s, terms, devices)
        self._weather = weather
        self._wire = _Wire(self.node.transport)
        self.node.transport = self._wire
        self.settlement.outbox.confirmations = weather.confirmations
        self.settlement.preflight = True
        self.evm.auto_mine = False
        self._floor = self.evm.head.number  # what is deployed stays
        self._now_s = max(start_s, int(self.evm.head.header.timestamp))
        self.reorganised = 0

    def submit(self, batch: SettlementBatch) -> None:
        """Let time pass until the batch's period is over, and store it. Raises ChainInputError for its faults."""
        if self._closed:
            raise ChainError("the chain is closed")
        check_batch(batch, self._market_id)
        self._live(batch.period_end_s)
        self._submitted.append(self.settlement.batches.add(batch))

    def drain(self) -> list[BatchReceipt]:
        """Let time pass until nothing is on its way."""
        self._live(None)
        self.settlement.refresh_disputed()
        return [self.settlement.receipt(seq) for seq in self._submitted]

    def history(self) -> dict[str, Any]:
        """The chain as it is now, with what befell it."""
        return super().history() | {"outages": self.outages, "reorganised_blocks": self.reorganised}

    def _set_time(self, time_s: int) -> None:
        """Time passes by ``_live`` alone once the contracts are there."""

    def _live(self, until_s: int | None) -> None:
        """Let simulated time pass until a moment, or until nothing is left to do."""
        for _ in range(MOST_BLOCKS):
            self.on_wait()
            if until_s is not None and self._now_s >= until_s:
                return
            outage = self._outage()
            if outage is not None:
                self._sit_out(outage, until_s)
                continue
            self.pump()
            step_s = self._step_s()
            moments = [m for m in (step_s, until_s, self._next_outage_s()) if m is not None]
            if step_s is None and until_s is None:
                return
            self._now_s = min(moments)
            if self._now_s == step_s and self._outage() is None:
                self._mine()
        why = self.settlement.batches.waits_because()
        raise ChainUnavailableError(
            f"a batch is not settled after {MOST_BLOCKS} blocks{f' ({why})' if why else ''}"
        )

    def _step_s(self) -> int | None:
        """When the next block is wanted: soon where something is on its way, else at a batch's deadline."""
        busy = self.settlement.pending() or not self.settlement.outbox.is_idle()
        if busy:
            return self._now_s + self._weather.block_s
        return self.settlement.next_deadline_s(self._now_s)

    def _mine(self) -> None:
        if self._now_s > self.evm.head.header.timestamp:
            self.evm.set_next_time(self._now_s)
        self.evm.mine()

    def _outage(self) -> Outage | None:
        return next((o for o in self._weather.outages if o.from_s <= self._now_s < o.until_s), None)

    def _next_outage_s(self) -> int | None:
        return min((o.from_s for o in self._weather.outages if o.from_s > self._now_s), default=None)

    def _sit_out(self, outage: Outage, until_s: int | None) -> None:
        """The node is away: try once, let time pass, and come back on another branch."""
        if not self._wire.away:
            self._wire.away = True
            self.outages += 1
        self._now_s = outage.until_s if until_s is None else min(outage.until_s, until_s)
        if self._now_s < outage.until_s or self._outage() is not None:
            return
        self._wire.away = False
        self.evm.pending.clear()  # a node that was away has forgotten what was sent to it
        depth = min(outage.reorg_blocks, self.evm.head.number - self._floor)
        if depth:
            self.reorganised += depth
            self.evm.reorganise(depth, keep=False)
        self._mine()

"""Settlement: the ledger's entries of a period become one netted batch on a chain."""

from dataclasses import dataclass, field

import numpy as np

from adapters.chain.port import BatchReceipt, SettlementBatch, SettlementChain
from adapters.grid.feeder import IntArray
from market.mechanism import Payment
from market.netting import ENTRY_DTYPE, OTHER, ROUNDING, SUPPLY, TRADE, Entries, net
from market.orders import POOL, SUPPLIER
from twin.ledger import Entry
from twin.participants import Participants
from twin.trading import Session

SUPPLIER_ACCOUNT = "supplier"
POOL_ACCOUNT = "pool"


@dataclass
class _Period:
    """What was booked since the last batch; the entries are made of it when the batch is closed."""

    start_s: int
    supplied_wh: IntArray
    supplied_micro: IntArray
    booked: list[tuple[Session, IntArray, Entry]] = field(default_factory=list)
    supplier_micro: int = 0
    pool_micro: int = 0

    def trades(self, pool_account: int) -> Entries:
        """One entry per accepted local fill, two balancing ones per payment besides."""
        fills = np.concatenate([session.fills for session, _, _ in self.booked])
        accepted_wh = np.concatenate([wh for _, wh, _ in self.booked])
        money_micro = np.concatenate([entry.money_micro for _, _, entry in self.booked])
        mine = np.flatnonzero((fills["counterparty"] != SUPPLIER) & (accepted_wh > 0))
        rows = np.zeros(len(mine), dtype=ENTRY_DTYPE)
        rows["account"] = fills["participant"][mine]
        rows["kind"] = TRADE
        rows["interval"] = fills["interval"][mine]
        rows["reference"] = fills["order_id"][mine]
        rows["energy_wh"] = (accepted_wh * fills["side"])[mine]
        rows["money_micro"] = money_micro[mine]
        payments = [
            _payment_entries(session.intent.interval, entry.payments, pool_account)
            for session, _, entry in self.booked
            if entry.payments
        ]
        return np.concatenate((rows, *payments))


def _payment_entries(interval: int, payments: tuple[Payment, ...], pool_account: int) -> Entries:
    """Two balancing entries for every payment besides the fills."""
    rows = np.zeros(2 * len(payments), dtype=ENTRY_DTYPE)
    for i, payment in enumerate(payments):
        parties = [pool_account if who == POOL else who for who in (payment.payer, payment.payee)]
        rows["account"][2 * i : 2 * i + 2] = parties
        rows["money_micro"][2 * i : 2 * i + 2] = -payment.money_micro, payment.money_micro
    rows["kind"] = OTHER
    rows["interval"] = interval
    return rows


def _paid_to_pool_micro(payments: tuple[Payment, ...]) -> int:
    """What the pool's account gains by payments, which have entries of their own."""
    return sum(((p.payee == POOL) - (p.payer == POOL)) * p.money_micro for p in payments)


class Settlement:
    """Collects the ledger's entries and hands one batch per period to the chain.

    Local trades are entries of their own; energy with the supplier is one entry per participant and period.
    """

    def __init__(
        self, people: Participants, chain: SettlementChain, market_id: str, batch_s: int, start_s: int
    ) -> None:
        self._accounts = (*people.names, SUPPLIER_ACCOUNT, POOL_ACCOUNT)
        self._n = people.n
        self._chain = chain
        self._market_id = market_id
        self._batch_s = batch_s
        self._period = self._new(start_s)
        self._start_s = start_s
        self.balances_micro = np.zeros(people.n + 2, dtype=np.int64)
        self.batches: list[SettlementBatch] = []

    def _new(self, start_s: int) -> _Period:
        zeros = np.zeros(self._n, dtype=np.int64)
        return _Period(start_s, zeros, zeros.copy())

    def book(self, session: Session, accepted_wh: IntArray, entry: Entry, end_s: int) -> None:
        """Add an interval that ends at simulation second ``end_s``; closes the period where it is over."""
        end_s += self._start_s
        period = self._period
        period.booked.append((session, accepted_wh, entry))
        period.supplied_wh += entry.supplied_wh
        period.supplied_micro += entry.supplied_micro
        period.supplier_micro += entry.supplier_micro
        period.pool_micro += entry.pool_micro - _paid_to_pool_micro(entry.payments)
        self.balances_micro[: self._n] -= entry.bill_micro
        self.balances_micro[self._n] += entry.supplier_micro
        self.balances_micro[self._n + 1] += entry.pool_micro
        if end_s - period.start_s >= self._batch_s:
            self.close(end_s)

    def close(self, end_s: int) -> None:
        """Net what was booked and submit it; nothing where nothing was booked."""
        period, n = self._period, self._n
        self._period = self._new(end_s)
        if not period.booked:
            return
        rest = np.zeros(n + 2, dtype=ENTRY_DTYPE)
        rest["account"] = np.arange(n + 2)
        rest["kind"][:n] = SUPPLY
        rest["energy_wh"][:n] = period.supplied_wh
        rest["money_micro"][:n] = period.supplied_micro
        rest["kind"][n:] = SUPPLY, ROUNDING
        rest["money_micro"][n:] = period.supplier_micro, period.pool_micro
        entries = np.concatenate((period.trades(n + 1), rest))
        made = net(self._accounts, entries, self._market_id, period.start_s, end_s)
        batch = SettlementBatch(**vars(made))
        self.batches.append(batch)
        self._chain.submit(batch)

    def finish(self, end_s: int) -> tuple[list[BatchReceipt], bool]:
        """Close the last period, wait for the chain, and compare its balances with the books.

        Returns:
            The receipts in order, and whether the chain's balances equal the ledger's to the last unit.
        """
        if end_s > self._period.start_s:
            self.close(end_s)
        receipts = self._chain.drain()
        chain = self._chain.balances_micro()
        books = {a: int(b) for a, b in zip(self._accounts, self.balances_micro, strict=True) if b}
        return receipts, {a: b for a, b in chain.items() if b} == books

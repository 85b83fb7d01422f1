"""Settlement: the ledger's entries of a period become one netted batch on a chain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from adapters.chain.port import BatchReceipt, SettlementBatch, SettlementChain
from adapters.grid.feeder import IntArray
from market.fills import joined
from market.mechanism import Payment
from market.netting import ENTRY_DTYPE, IMBALANCE, NETWORK, OTHER, ROUNDING, SUPPLY, TRADE, Entries, net
from market.orders import POOL, SELL, SUPPLIER
from twin.chain_outcome import agrees, pair
from twin.ledger import Entry
from twin.network_charges import NETWORK_ACCOUNT
from twin.participants import BoolArray, Participants
from twin.trading import Session

SUPPLIER_ACCOUNT = "supplier"
POOL_ACCOUNT = "pool"
ACCOUNTS = (SUPPLIER_ACCOUNT, POOL_ACCOUNT, NETWORK_ACCOUNT)
"""Accounts besides those of the participants."""


@dataclass
class _Period:
    """What was booked since the last batch; the entries are made of it when the batch is closed."""

    start_s: int
    booked: list[tuple[Session, IntArray, Entry]] = field(default_factory=list)
    charged_micro: list[IntArray] = field(default_factory=list)  # network charges, (n,) each
    late: list[Entries] = field(default_factory=list)  # trades that were held before
    imbalance_micro: IntArray | None = None

    def rest(self, n: int) -> Entries:
        """One entry per participant for its energy with the supplier, one of the supplier and one of the pool."""
        entries = [entry for _, _, entry in self.booked]
        rows = np.zeros(n + 2, dtype=ENTRY_DTYPE)
        rows["account"] = np.arange(n + 2)
        rows["kind"][:n] = SUPPLY
        rows["energy_wh"][:n] = np.sum([entry.supplied_wh for entry in entries], axis=0)
        rows["money_micro"][:n] = np.sum([entry.supplied_micro for entry in entries], axis=0)
        rows["kind"][n:] = SUPPLY, ROUNDING
        pool_micro = sum(entry.pool_micro - _paid_to_pool_micro(entry.payments) for entry in entries)
        rows["money_micro"][n:] = sum(entry.supplier_micro for entry in entries), pool_micro
        return rows

    def trades(self, pool_account: int) -> Entries:
        """One entry per accepted local fill, two balancing ones per payment besides."""
        fills = joined([session.fills for session, _, _ in self.booked])
        accepted_wh = np.concatenate([wh for _, wh, _ in self.booked])
        money_micro = np.concatenate([entry.money_micro for _, _, entry in self.booked])
        taken = (fills["counterparty"] != SUPPLIER) & (accepted_wh > 0)
        if any(entry.held is not None for _, _, entry in self.booked):
            taken &= ~np.concatenate([_waits(session, entry) for session, _, entry in self.booked])
        mine = np.flatnonzero(taken)
        rows = np.zeros(len(mine), dtype=ENTRY_DTYPE)
        rows["account"] = fills["participant"][mine]
        rows["kind"] = TRADE
        rows["interval"] = fills["interval"][mine]
        rows["reference"] = fills["order_id"][mine]
        rows["energy_wh"] = (accepted_wh * fills["side"])[mine]
        rows["money_micro"] = money_micro[mine]
        payments = [
            _payment_entries(session.intent.interval, entry, pool_account)
            for session, _, entry in self.booked
            if entry.payments
        ]
        return np.concatenate((rows, *payments, *self.late))

    def imbalance(self) -> Entries:
        """One entry per participant that was charged."""
        if self.imbalance_micro is None:
            return np.zeros(0, dtype=ENTRY_DTYPE)
        who = np.flatnonzero(self.imbalance_micro)
        rows = np.zeros(len(who), dtype=ENTRY_DTYPE)
        rows["account"], rows["kind"], rows["money_micro"] = who, IMBALANCE, -self.imbalance_micro[who]
        return rows


def _waits(session: Session, entry: Entry) -> BoolArray:
    """Which fills are sales of participants whose reading is held."""
    fills = session.fills
    if entry.held is None:
        return np.zeros(len(fills), dtype=np.bool_)
    return np.asarray(entry.held[fills["participant"]] & (fills["side"] == SELL))


def _payment_entries(interval: int, entry: Entry, pool_account: int) -> Entries:
    """Two balancing entries for every payment besides the fills; what a held payee is owed stays with the pool."""
    payments, held = entry.payments, entry.held
    rows = np.zeros(2 * len(payments), dtype=ENTRY_DTYPE)
    for i, payment in enumerate(payments):
        parties = [pool_account if who == POOL else who for who in (payment.payer, payment.payee)]
        rows["account"][2 * i : 2 * i + 2] = parties
        rows["money_micro"][2 * i : 2 * i + 2] = -payment.money_micro, payment.money_micro
    rows["kind"] = OTHER
    rows["interval"] = interval
    if held is None:
        return rows
    waits = np.array([p.payee != POOL and bool(held[p.payee]) for p in payments])
    return np.asarray(rows[np.stack((np.ones_like(waits), ~waits), axis=1).ravel()])


def _charge_entries(charged_micro: IntArray) -> Entries:
    """One entry per participant and one of the network, which gets what they pay."""
    n = len(charged_micro)
    rows = np.zeros(n + 1, dtype=ENTRY_DTYPE)
    rows["account"][:n], rows["account"][n] = np.arange(n), n + ACCOUNTS.index(NETWORK_ACCOUNT)
    rows["kind"] = NETWORK
    rows["money_micro"][:n], rows["money_micro"][n] = -charged_micro, charged_micro.sum()
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
        self.accounts = (*people.names, *ACCOUNTS)
        self._n = people.n
        self._chain = chain
        self._market_id = market_id
        self._batch_s = batch_s
        self._period = _Period(start_s)
        self._start_s = start_s
        self._balances_micro = np.zeros(people.n + len(ACCOUNTS), dtype=np.int64)
        self._unsummed: list[Entry] = []
        self.batches: list[SettlementBatch] = []
        self.keeps_entries = False
        self.keep: Callable[[bytes, Entries], None] = lambda digest, entries: (
            None
        )  # takes them, batch by batch
        self.readings_root_of: Callable[[int, int], bytes] | None = None

    @property
    def balances_micro(self) -> IntArray:
        """What every account gained since the start, in the order of ``accounts``; summed up when it is asked for."""
        if self._unsummed:
            entries, self._unsummed = self._unsummed, []
            self._balances_micro[: self._n] -= np.sum([entry.bill_micro for entry in entries], axis=0)
            for entry in entries:
                gained = (entry.supplier_micro, entry.pool_micro, entry.network_micro)
                self._balances_micro[self._n :] += gained
        return self._balances_micro

    def book(
        self, session: Session, accepted_wh: IntArray, entry: Entry, end_s: int, late: Sequence[Entries] = ()
    ) -> None:
        """Add an interval that ends at simulation second ``end_s``; closes the period where it is over.

        ``late`` are entries of trades that were held before; their money is part of ``entry``.
        """
        end_s += self._start_s
        period = self._period
        period.booked.append((session, accepted_wh, entry))
        self._unsummed.append(entry)
        if late:
            period.late.extend(late)
        if entry.imbalance_micro is not None:
            before = period.imbalance_micro
            period.imbalance_micro = entry.imbalance_micro + (0 if before is None else before)
        if entry.charged_micro is not None:
            period.charged_micro.append(entry.charged_micro)
        if end_s - period.start_s >= self._batch_s:
            self.close(end_s)

    def close(self, end_s: int) -> None:
        """Net what was booked and submit it; nothing where nothing was booked."""
        period, n = self._period, self._n
        self._period = _Period(end_s)
        if not period.booked:
            return
        entries = np.concatenate((period.trades(n + 1), period.imbalance(), period.rest(n)))
        if period.charged_micro:
            entries = np.concatenate((entries, _charge_entries(np.sum(period.charged_micro, axis=0))))
        made = net(self.accounts, entries, self._market_id, period.start_s, end_s)
        batch = SettlementBatch(**vars(made))
        if self.readings_root_of is not None:
            batch = replace(batch, readings_root=self.readings_root_of(period.start_s, end_s))
        if self.keeps_entries:
            self.keep(batch.digest, entries)
        self.batches.append(batch)
        self._chain.submit(batch)

    def gained_micro(self) -> IntArray:
        """What every participant gained since the start; what is held for it is not part of it; (n,)."""
        return self.balances_micro[: self._n].copy()

    def finish(self, end_s: int) -> tuple[list[BatchReceipt], bool]:
        """Close the last period, wait for the chain, and compare its balances with the books.

        Returns:
            The receipts in order, and whether the chain's balances equal the ledger's to the last unit.
        """
        if end_s > self._period.start_s:
            self.close(end_s)
        receipts = self._chain.drain()
        chain = self._chain.balances_micro()
        books = {a: int(b) for a, b in zip(self.accounts, self.balances_micro, strict=True) if b}
        return receipts, agrees(pair(self.batches, receipts), books, chain)

"""Trades that wait, because too few sources agree on what was metered, and how they are decided.

What a held participant owes for its purchases is taken at once; what it is owed for its sales stays with the pool,
and its account with the supplier stays open. So nobody is ever credited with what nobody was debited.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from adapters.grid.feeder import IntArray
from market.mechanism import Tariff
from market.money import WH_PER_KWH
from market.netting import ENTRY_DTYPE, OTHER, TRADE, Entries
from market.orders import SELL, SUPPLIER
from twin.billing import BillBook, Booked
from twin.imbalance import ImbalanceRules, LocalTrades, charged, local_trades
from twin.ledger import Entry
from twin.oracles.findings import Finding
from twin.trading import Session

BY_RULE, BY_ARBITER = "rule", "arbiter"


@dataclass(frozen=True)
class Hold:
    """One participant's trades of one interval that wait. ``entries`` are those of its sales and income."""

    finding: Finding
    start_s: int
    end_s: int
    tariff: Tariff
    traded_wh: int
    received_micro: int
    trades: LocalTrades
    entries: Entries


@dataclass(frozen=True)
class Ruling:
    """What an arbiter decides at ``at_s`` for the trades of ``row`` that are held then."""

    at_s: float
    row: int
    take: str  # grid_log | meter | trades


@dataclass(frozen=True)
class Released:
    """A hold that was decided, with the energy that stands."""

    hold: Hold
    energy_wh: int


class Docket:
    """Keeps what is held and decides it in time."""

    def __init__(
        self,
        n: int,
        rulings: Sequence[Ruling],
        resolve_after_s: float | None,
        rules: ImbalanceRules | None = None,
        bills: BillBook | None = None,
    ) -> None:
        """Bind the docket.

        Args:
            n: participants.
            rulings: what an arbiter decides.
            resolve_after_s: when the grid log's value stands without one; None: never.
            rules: of imbalance; None where there are none.
            bills: what is told of decided trades.
        """
        self._n = n
        self._rulings = sorted(rulings, key=lambda r: r.at_s)
        self._after_s = resolve_after_s
        self._rules = rules
        self._bills = bills
        self.open: list[Hold] = []

    def hold(
        self,
        findings: Sequence[Finding],
        session: Session,
        accepted_wh: IntArray,
        entry: Entry,
        span_s: tuple[int, int],
    ) -> None:
        """Keep the trades of everybody whose reading is held. ``findings`` are those of the interval."""
        if entry.held is None or entry.withheld is None:
            return
        trades = local_trades(session.fills, accepted_wh, self._n)
        for finding in findings:
            if finding.status != "held":
                continue
            row = finding.row
            received = int(entry.withheld.received_micro[row])
            finding.withheld_micro = received
            traded, income = int(entry.withheld.traded_wh[row]), _income(session, accepted_wh, entry, row)
            self.open.append(Hold(finding, *span_s, session.tariff, traded, received, trades, income))

    def decide(self, now_s: int) -> list[Released]:
        """What is decided by simulation second ``now_s``; it leaves the docket."""
        taken: dict[int, tuple[str, str]] = {}
        while self._rulings and self._rulings[0].at_s <= now_s:
            ruling = self._rulings.pop(0)
            taken[ruling.row] = (ruling.take, BY_ARBITER)
        done, still = [], []
        for hold in self.open:
            take = taken.get(hold.finding.row)
            if take is None and self._after_s is not None and now_s - hold.end_s >= self._after_s:
                take = ("grid_log", BY_RULE)
            value = None if take is None else _value(hold, take[0])
            if take is None or value is None:
                still.append(hold)
            else:
                done.append(Released(hold, value))
                hold.finding.resolved_by = f"{take[1]}: {take[0].replace('_', ' ')}"
                hold.finding.value_wh = value
        self.open = still
        return done

    def book(self, entry: Entry, released: Sequence[Released], interval: int) -> Entry:
        """The interval's entry with what was decided in it."""
        for each in released:
            hold, row = each.hold, each.hold.finding.row
            supplied = each.energy_wh - hold.traded_wh
            rest, alone = _supplier_micro(supplied, hold.tariff), _supplier_micro(each.energy_wh, hold.tariff)
            hold.finding.resolved_interval, hold.finding.rest_micro = interval, rest
            got = hold.received_micro + rest
            one = np.zeros(self._n, dtype=np.int64)
            one[row] = 1
            entry = replace(
                entry,
                supplied_wh=entry.supplied_wh + one * supplied,
                supplied_micro=entry.supplied_micro + one * rest,
                saved_micro=entry.saved_micro + one * (got - alone),
                bill_micro=entry.bill_micro - one * got,
                supplier_micro=entry.supplier_micro - rest,
                pool_micro=entry.pool_micro - hold.received_micro,
            )
            self._tell(each, one, supplied, rest, alone)
            if self._rules is not None:
                only = LocalTrades(hold.trades.sold_wh * one, hold.trades.bought_wh * one)
                charges = self._rules.charges_micro(only, one * each.energy_wh, hold.tariff)
                entry = charged(entry, charges)
                if self._bills is not None:
                    self._bills.add_charges(charges)
        return entry

    def _tell(self, each: Released, one: IntArray, supplied: int, rest: int, alone: int) -> None:
        if self._bills is not None:
            nothing = np.zeros_like(one)
            income = one * each.hold.received_micro
            booked = (one * each.energy_wh, one * each.hold.traded_wh, nothing, income)
            self._bills.add(Booked(*booked, one * supplied, one * rest, one * alone), intervals=0)


def _value(hold: Hold, take: str) -> int | None:
    finding = hold.finding
    if take == "trades":
        return hold.traded_wh
    if take == "meter":
        return finding.meter_wh
    return finding.log_wh if finding.log_admitted else None


def _supplier_micro(energy_wh: int, tariff: Tariff) -> int:
    """Money with the supplier, + received, rounded down as the ledger does it."""
    price = tariff.retail_micro_per_kwh if energy_wh < 0 else tariff.feed_in_micro_per_kwh
    return energy_wh * price // WH_PER_KWH


def _income(session: Session, accepted_wh: IntArray, entry: Entry, row: int) -> Entries:
    """Ledger entries of a participant's local sales and of payments to it."""
    fills = session.fills
    mine = np.flatnonzero(
        (fills["participant"] == row)
        & (fills["side"] == SELL)
        & (fills["counterparty"] != SUPPLIER)
        & (accepted_wh > 0)
    )
    payments = [p for p in entry.payments if p.payee == row]
    rows = np.zeros(len(mine) + len(payments), dtype=ENTRY_DTYPE)
    sales = rows[: len(mine)]
    sales["kind"], sales["interval"], sales["reference"] = (
        TRADE,
        fills["interval"][mine],
        fills["order_id"][mine],
    )
    sales["energy_wh"], sales["money_micro"] = accepted_wh[mine], entry.money_micro[mine]
    for place, payment in zip(rows[len(mine) :], payments, strict=True):
        place["kind"], place["interval"], place["money_micro"] = (
            OTHER,
            session.intent.interval,
            payment.money_micro,
        )
    rows["account"] = row
    return rows

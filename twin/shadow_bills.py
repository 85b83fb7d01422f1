"""Whole bills under every mechanism: what each participant would have paid, had a shadow's trades flowed instead.

A shadow's trades are those of its own clearing, before the gate, with the supplier for what found no neighbour. Its
meter is the recorded one, less the flexible energy that was accepted from the settling mechanism, plus the flexible
energy that the shadow cleared; so each mechanism has its own meter, and its own bill with the supplier only to be
compared with.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.grid.feeder import IntArray
from market.bills import Bill
from market.indices import gini, jain
from market.mechanism import Clearing, Payment, Tariff
from market.money import WH_PER_KWH, fills_money_micro
from market.orders import BUY, SUPPLIER, Fills, Orders
from market.tariffs import SupplyTariff
from twin.billing import LINES, SETTLED, SUPPLIER_ONLY, BillBook, Booked
from twin.ledger import Entry
from twin.trading import Accepted, supplier_fills


class ShadowBills:
    """The books of all shadows of a run."""

    def __init__(self, n: int, interval_s: int) -> None:
        """For ``n`` participants."""
        self._n = n
        self._interval_s = interval_s
        self._waiting: dict[int, list[tuple[str, Fills, Sequence[Payment]]]] = {}
        self.books: dict[str, BillBook] = {}

    def cleared(self, name: str, clearing: Clearing, orders: Orders, tariff: Tariff, interval: int) -> None:
        """Keep a shadow's fills of an interval, those with the supplier included, until the meters are read."""
        taken = np.zeros(len(orders), dtype=np.int64)
        by_id = np.argsort(orders["id"], kind="stable")
        rows = by_id[np.searchsorted(orders["id"], clearing.fills["order_id"], sorter=by_id)]
        np.add.at(taken, rows, clearing.fills["energy_wh"])
        upstream, _ = supplier_fills(orders, orders["energy_wh"] - taken, tariff)
        self.flowed(name, np.concatenate((clearing.fills, upstream)), (), interval)

    def flowed(self, name: str, fills: Fills, payments: Sequence[Payment], interval: int) -> None:
        """Keep all fills of a shadow, the supplier's included, and what its pool pays besides."""
        self._waiting.setdefault(interval, []).append((name, fills, payments))

    def settle(self, accepted: Accepted, entry: Entry) -> None:
        """Book an interval for every shadow."""
        session = accepted.session
        flowed = self._position(session.fills, accepted.accepted_wh, session.fills["flexible"])
        tariff = session.tariff
        for name, fills, payments in self._waiting.pop(session.intent.interval, ()):
            energy = fills["energy_wh"]
            metered = entry.metered_wh - flowed + self._position(fills, energy, fills["flexible"])
            book = self.books.setdefault(name, BillBook(self._n, self._interval_s))
            booked = self._booked(fills, metered, tariff)
            for payment in payments:
                if payment.payee >= 0:
                    booked.local_received_micro[payment.payee] += payment.money_micro
                if payment.payer >= 0:
                    booked.local_paid_micro[payment.payer] += payment.money_micro
            book.add(booked)

    def _booked(self, fills: Fills, metered_wh: IntArray, tariff: Tariff) -> Booked:
        local, money = fills["counterparty"] != SUPPLIER, fills_money_micro(fills)
        bought = fills["side"] == BUY
        traded = self._position(fills, fills["energy_wh"], local)
        rest = metered_wh - traded
        return Booked(
            metered_wh,
            traded,
            -self._sums(fills["participant"], money, local & bought),
            self._sums(fills["participant"], money, local & ~bought),
            rest,
            _with_supplier(rest, tariff),
            _with_supplier(metered_wh, tariff),
        )

    def _position(self, fills: Fills, energy_wh: IntArray, mask: Any) -> IntArray:
        return self._sums(fills["participant"], energy_wh * fills["side"], mask)

    def _sums(self, rows: IntArray, amounts: IntArray, mask: Any) -> IntArray:
        sums = np.zeros(self._n, dtype=np.int64)
        np.add.at(sums, rows[mask], amounts[mask])
        return sums


def _with_supplier(energy_wh: IntArray, tariff: Tariff) -> IntArray:
    """Money for energy at the supplier's prices; (n,), + received, rounded down as the participant sees it."""
    price = np.where(energy_wh < 0, tariff.retail_micro_per_kwh, tariff.feed_in_micro_per_kwh)
    return np.asarray(energy_wh * price // WH_PER_KWH)


Pair = tuple[list[Bill], list[Bill]]


def bills_by_mechanism(
    settling: str, settled: BillBook, shadows: ShadowBills | None, tariff: SupplyTariff
) -> dict[str, Pair]:
    """Mechanism to everybody's bill under it, and with the supplier only for the same meter; the settling one first."""
    books = {settling: settled} | ({} if shadows is None else shadows.books)
    return {
        name: (book.bills(tariff, SETTLED), book.bills(tariff, SUPPLIER_ONLY)) for name, book in books.items()
    }


def mechanism_bill_columns(pairs: dict[str, Pair], names: tuple[str, ...], settling: str) -> dict[str, Any]:
    """Columns of mechanism_bills.parquet; empty where no shadow was cleared."""
    if len(pairs) < 2:
        return {}
    own = [bill for bills, _ in pairs.values() for bill in bills]
    alone = [bill.total_micro for _, bills in pairs.values() for bill in bills]
    columns: dict[str, Any] = {
        "participant": list(names) * len(pairs),
        "mechanism": [name for name, (bills, _) in pairs.items() for _ in bills],
        "settles": [name == settling for name, (bills, _) in pairs.items() for _ in bills],
    }
    for line in LINES:
        columns[f"{line}_micro"] = [getattr(bill, line) for bill in own]
    columns["total_micro"] = [bill.total_micro for bill in own]
    columns["supplier_only_micro"] = alone
    columns["saved_micro"] = [a - bill.total_micro for a, bill in zip(alone, own, strict=True)]
    return columns


def whole_bill_records(pairs: dict[str, Pair]) -> list[dict[str, Any]]:
    """One record per mechanism: sums of whole bills, who pays more than with the supplier only, how even gains are."""
    records = []
    for name, (own, alone) in pairs.items():
        saved = [a.total_micro - bill.total_micro for a, bill in zip(alone, own, strict=True)]
        gained = [amount for amount in saved if amount > 0]
        records.append(
            {
                "mechanism": name,
                "total_micro": sum(bill.total_micro for bill in own),
                "supplier_only_micro": sum(bill.total_micro for bill in alone),
                "saved_micro": sum(saved),
                "worse_off_count": sum(amount < 0 for amount in saved),
                "jain": jain(gained) if gained else None,
                "gini": gini(gained) if gained else None,
            }
        )
    return records

"""From the ledger's entries to batches: periods, sums, and what is compared with the chain."""

from types import SimpleNamespace

import numpy as np
import pytest

from market.mechanism import Payment, Tariff
from market.orders import BUY, POOL, SELL, SUPPLIER, empty_fills
from twin.ledger import Ledger
from twin.settlement import Settlement
from twin.trading import Session

START = 1_480_000_000


class Chain:
    """Keeps what it is given and adds it up: the slow, obvious chain."""

    def __init__(self):
        self.batches, self.off = [], 0

    def submit(self, batch):
        self.batches.append(batch)

    def drain(self):
        return [SimpleNamespace(digest=b.digest, status="final") for b in self.batches]

    def balances_micro(self):
        sums = {}
        for batch in self.batches:
            for account, delta in zip(batch.accounts, batch.deltas_micro, strict=True):
                sums[account] = sums.get(account, 0) + delta
        first = min(sums, default=None)
        if first:
            sums[first] += self.off
        return sums


def fills(interval, energy=1000):
    made = empty_fills(3)
    rows = [
        (0, SELL, POOL, energy, 200_003),
        (1, BUY, POOL, energy, 200_003),
        (2, BUY, SUPPLIER, 500, 320_000),
    ]
    for i, (person, side, party, wh, price) in enumerate(rows):
        f = made[i]
        f["participant"], f["side"], f["counterparty"], f["energy_wh"], f["price_micro_per_kwh"] = (
            person,
            side,
            party,
            wh,
            price,
        )
        f["order_id"], f["interval"] = 10 * interval + i, interval
    return made


def settle(make_people, intervals, batch_s=3600, energies=None):
    people = make_people(3)
    chain, ledger = Chain(), Ledger(3)
    settlement = Settlement(people, chain, "street/main", batch_s, START)
    entries = []
    for k in range(intervals):
        owed = (Payment(1, 0, 12_345, "take or pay"),) if k == 3 else ()
        session = Session(
            SimpleNamespace(interval=k), fills(k), None, Tariff(320_000, 80_000), 0, np.arange(3), owed
        )
        accepted = np.array([1000, 1000, 500]) - 7 * k
        metered = np.array([1000.0, -1500.25, -500.0])
        entry = ledger.book(session, accepted, metered, metered)
        settlement.book(session, accepted, entry, (k + 1) * 900)
        entries.append(entry)
    return settlement, chain, entries


def test_one_batch_per_period(make_people):
    settlement, chain, entries = settle(make_people, 10)
    assert [(b.period_start_s - START, b.period_end_s - START) for b in chain.batches] == [
        (0, 3600),
        (3600, 7200),
    ]
    receipts, agrees = settlement.finish(START + 9000)
    assert [(b.period_start_s - START, b.period_end_s - START) for b in chain.batches][2:] == [(7200, 9000)]
    assert (len(receipts), agrees) == (3, True)
    assert len({b.digest for b in chain.batches}) == 3
    bills = -np.sum([e.bill_micro for e in entries], axis=0)
    balances = chain.balances_micro()
    assert [balances[name] for name in ("h0", "h1", "h2")] == bills.tolist()
    assert balances["supplier"] == sum(e.supplier_micro for e in entries)
    assert balances.get("pool", 0) == sum(e.pool_micro for e in entries)
    assert sum(balances.values()) == 0
    for batch in chain.batches:
        assert sum(batch.deltas_micro) == 0 and batch.market_id == "street/main"


def test_a_run_that_ends_with_a_period_has_no_empty_batch(make_people):
    settlement, chain, _ = settle(make_people, 8)
    receipts, agrees = settlement.finish(START + 7200)
    assert (len(receipts), len(chain.batches), agrees) == (2, 2, True)


@pytest.mark.parametrize("off", [1, -1])
def test_one_millionth_is_noticed(make_people, off):
    settlement, chain, _ = settle(make_people, 4)
    chain.off = off
    assert settlement.finish(START + 3600)[1] is False


def test_a_batch_that_was_lost_is_noticed(make_people):
    settlement, chain, _ = settle(make_people, 8)
    del chain.batches[0]
    assert settlement.finish(START + 7200)[1] is False

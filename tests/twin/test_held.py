"""Trades that wait: what is held and decided comes to the same in the end as what was agreed at once."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.mechanism import Payment, Tariff
from market.netting import ENTRY_DTYPE
from market.orders import BUY, POOL, SELL, SUPPLIER, empty_fills
from twin.billing import BillBook
from twin.disputes import Disputes
from twin.held import Docket, Ruling
from twin.imbalance import ImbalanceRules
from twin.ledger import Ledger
from twin.oracles.consensus import AGREED, DIFFER, HELD, METER, NOBODY, Agreement
from twin.oracles.findings import Finding, Findings
from twin.scenario.oracles_section import ImbalanceSection
from twin.settlement import Settlement
from twin.trading import Accepted, Session

START, STEP = 1_480_000_200, 900
TARIFF = Tariff(320_001, 79_999)


class Chain:
    """Adds up what it is given, and refuses a batch whose money is not zero."""

    def __init__(self):
        self.batches, self.sums = [], {}

    def submit(self, batch):
        assert sum(batch.deltas_micro) == 0
        self.batches.append(batch)
        for account, delta in zip(batch.accounts, batch.deltas_micro, strict=True):
            self.sums[account] = self.sums.get(account, 0) + delta

    def drain(self):
        return []

    def balances_micro(self):
        return self.sums


def session_of(interval, rows, payments=()):
    """Rows of (participant, side, counterparty, energy, price)."""
    fills = empty_fills(len(rows))
    for i, (person, side, party, energy, price) in enumerate(rows):
        f = fills[i]
        f["participant"], f["side"], f["counterparty"], f["energy_wh"] = person, side, party, energy
        f["price_micro_per_kwh"], f["order_id"], f["interval"] = price, 100 * interval + i, interval
    intent = SimpleNamespace(interval=interval, charges=None)
    return Session(intent, fills, None, TARIFF, 0, np.arange(len(fills)), tuple(payments))


def agreement(metered, held):
    held = np.array(held, dtype=bool)
    value = np.where(held, 0, metered)
    made = (np.where(held, x, y) for x, y in ((HELD, AGREED), (METER, NOBODY), (DIFFER, 0)))
    return Agreement(value, *made, np.array(metered), np.ones(len(held), bool), np.ones(len(held), bool))


class Readers:
    """Says what it is told to."""

    def __init__(self, findings, told):
        self.findings, self.told = findings, told

    def step(self, *_):
        pass

    def close(self, interval, end_s):
        metered, held = self.told[interval]
        for row in np.flatnonzero(held).tolist():
            log = int(metered[row])
            self.findings.rows.append(
                Finding(interval, row, "held", "meter", "lying", "", log + 7, log, 0, 0, None, None, True)
            )
        return agreement(metered, held)


def books(people, told, rulings=(), after_s=1800.0, rules=None, batch_s=3600):
    chain, bills = Chain(), BillBook(people.n, STEP)
    ledger = Ledger(people.n, None, bills)
    settlement = Settlement(people, chain, "street/main", batch_s, START)
    settlement.keeps_entries, settlement.entries = True, []
    settlement.keep = lambda digest, entries: settlement.entries.append((digest, entries))
    findings = Findings([])
    docket = Docket(people.n, rulings, after_s, rules, bills)
    made = Disputes(
        ledger, settlement, START, STEP, Readers(findings, told), findings, docket, None, rules, bills
    )
    return made, chain, bills


def run(people, sessions, told, **keys):
    """Book all intervals; returns the books, the chain, the bills and every entry."""
    made, chain, bills = books(people, told, **keys)
    entries = []
    for k, session in enumerate(sessions):
        accepted = Accepted(session, session.fills["energy_wh"].copy(), None)
        flowed = told[k][0].astype(float)
        entries.append(made.book(accepted, flowed, flowed, (k + 1) * STEP))
        assert entries[-1].sum_micro == 0
    made.settlement.finish(START + len(sessions) * STEP)
    return made, chain, bills, entries


SALE = ((0, SELL, POOL, 1000, 200_003), (1, BUY, POOL, 1000, 200_003), (2, BUY, SUPPLIER, 500, 320_001))
METERED = np.array([990, -1500, -500])
NONE_HELD = np.zeros(3, dtype=bool)


def held(*rows):
    return np.isin(np.arange(3), rows)


def test_a_held_sale_worked_out_by_hand(make_people):
    """0 sold 1000 Wh for 200003 and delivers 990; nobody agrees on it until two intervals later."""
    sessions = [session_of(k, SALE if k == 0 else ()) for k in range(4)]
    quiet = np.zeros(3, dtype=np.int64)
    told = [(METERED, held(0)), (quiet, NONE_HELD), (quiet, NONE_HELD), (quiet, NONE_HELD)]
    made, chain, _, entries = run(make_people(3), sessions, told, batch_s=900)
    first, second, third, _ = entries
    assert first.bill_micro.tolist() == [0, 200_003 + 160_001, 160_001], "the buyer paid, the seller waits"
    assert first.pool_micro == 200_003, "its money waits with the pool"
    assert second.bill_micro.tolist() == [0, 0, 0] and second.pool_micro == 0
    short = -(-10 * 320_001 // 1000)  # ten Wh that did not flow, bought from the supplier: rounded up
    assert third.bill_micro.tolist() == [-(200_003 - short), 0, 0] and third.pool_micro == -200_003
    assert chain.sums == {
        "h0": 200_003 - short,
        "h1": -360_004,
        "h2": -160_001,
        "supplier": 320_002 + short,
        "pool": 0,
    }
    (finding,) = made.findings.rows
    assert (finding.resolved_interval, finding.resolved_by, finding.value_wh) == (2, "rule: grid log", 990)
    assert (finding.withheld_micro, finding.rest_micro) == (200_003, -short)
    # the trade is in the batch of its decision, with its own interval, and in no other
    sold = [rows[(rows["kind"] == 0) & (rows["energy_wh"] > 0)] for _, rows in made.settlement.entries]
    assert [len(rows) for rows in sold] == [0, 0, 1, 0] and sold[2]["interval"] == sold[2]["reference"] == 0


def test_what_a_held_buyer_owes_is_taken_and_its_account_with_the_supplier_waits(make_people):
    sessions = [session_of(k, SALE if k == 0 else ()) for k in range(3)]
    quiet = np.zeros(3, dtype=np.int64)
    told = [(METERED, held(1)), (quiet, NONE_HELD), (quiet, NONE_HELD)]
    _, _, _, entries = run(make_people(3), sessions, told)
    assert entries[0].bill_micro[1] == 200_003 and entries[0].pool_micro == 0
    assert entries[2].bill_micro[1] == 160_001


@pytest.mark.parametrize(("take", "value"), [("grid_log", 990), ("meter", 997), ("trades", 1000)])
def test_an_arbiter_decides_before_the_rule_does(make_people, take, value):
    sessions = [session_of(k, SALE if k == 0 else ()) for k in range(3)]
    quiet = np.zeros(3, dtype=np.int64)
    told = [(METERED, held(0)), (quiet, NONE_HELD), (quiet, NONE_HELD)]
    made, *_ = run(make_people(3), sessions, told, rulings=[Ruling(1800, 0, take), Ruling(900, 2, "meter")])
    (finding,) = made.findings.rows
    assert (finding.resolved_interval, finding.value_wh) == (1, value)
    assert finding.resolved_by == f"arbiter: {take.replace('_', ' ')}" and not made.docket.open


def test_what_nobody_decides_stays_with_the_pool(make_people):
    made, chain, *_ = run(make_people(3), [session_of(0, SALE)], [(METERED, held(0))], after_s=None)
    assert len(made.docket.open) == 1 and chain.sums["pool"] == 200_003 and "h0" not in chain.sums


def test_a_value_that_the_model_refuses_never_stands_by_rule(make_people):
    sessions = [session_of(k, SALE if k == 0 else ()) for k in range(4)]
    told = [(METERED, held(0))] + [(np.zeros(3, dtype=np.int64), NONE_HELD)] * 3
    made, *_ = books(make_people(3), told)
    for k, session in enumerate(sessions):
        made.book(
            Accepted(session, session.fills["energy_wh"].copy(), None),
            *[told[k][0] * 1.0] * 2,
            (k + 1) * STEP,
        )
        if k == 0:
            made.findings.rows[0].log_admitted = False
    assert len(made.docket.open) == 1


person, energy = st.integers(0, 2), st.integers(0, 3000)
trade = st.tuples(person, person, energy, st.integers(-100_000, 400_000))
interval = st.tuples(
    st.lists(trade, max_size=3),
    st.lists(st.tuples(person, person, st.integers(0, 10**6)), max_size=2),
    st.lists(st.integers(-4000, 4000), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(interval, min_size=1, max_size=6), st.booleans())
def test_held_and_decided_is_the_same_as_agreed_at_once(make_people, intervals, charged):
    """The same trades and meters, once with holds that are decided at the true value, once without any."""
    people, quiet = make_people(3), np.zeros(3, dtype=np.int64)
    sessions, told = [], []
    for k, (trades, payments, metered, who) in enumerate(intervals):
        rows = [r for s, b, e, p in trades for r in ((s, SELL, POOL, e, p), (b, BUY, POOL, e, p))]
        owed = [Payment(a, b, m, "take or pay") for a, b, m in payments if a != b]
        sessions.append(session_of(k, rows, owed))
        told.append((np.array(metered, dtype=np.int64), np.array(who)))
    sessions += [session_of(len(sessions) + k, ()) for k in range(3)]
    told += [(quiet, NONE_HELD)] * 3
    section = ImbalanceSection(shortfall_surcharge_percent=10, surplus_deduction_percent=20, tolerance_wh=3)
    rules = ImbalanceRules(section) if charged else None
    made, chain, bills, entries = run(people, sessions, told, rules=rules)
    plain, other, plain_bills, plain_entries = run(
        people, sessions, [(metered, NONE_HELD) for metered, _ in told], rules=rules
    )
    assert not made.docket.open
    assert {k: v for k, v in chain.sums.items() if v} == {k: v for k, v in other.sums.items() if v}
    assert (made.settlement.balances_micro == plain.settlement.balances_micro).all()
    for name in ("bill_micro", "saved_micro", "supplied_wh", "supplied_micro"):
        sums = [sum(getattr(e, name) for e in of) for of in (entries, plain_entries)]
        assert sums[0].tolist() == sums[1].tolist(), name
    assert (bills._sums == plain_bills._sums).all()

    def lines(books):
        rows = np.concatenate([rows for _, rows in books.settlement.entries] or [np.zeros(0, ENTRY_DTYPE)])
        return sorted(rows[np.isin(rows["kind"], (0, 5))].tolist())  # trades and payments, each once

    assert [x for x in lines(made) if x[0] < 3] == [x for x in lines(plain) if x[0] < 3]

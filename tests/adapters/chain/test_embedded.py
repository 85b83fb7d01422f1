"""The embedded chain through the seam that the simulation uses."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from adapters.chain import accounts
from adapters.chain.checks import MOST_ACCOUNTS
from adapters.chain.embedded import EmbeddedChain
from adapters.chain.errors import ChainInputError
from adapters.chain.evm import TX_GAS_CAP
from adapters.chain.factory import open_chain
from adapters.chain.settlement import GAS_PER_BYTE

START_S = 1_453_114_800


@pytest.fixture
def chain():
    opened = open_chain("embedded", market_id="street", start_s=START_S, in_process=True)
    assert isinstance(opened, EmbeddedChain)
    yield opened
    opened.close()


def totals(batches):
    sums: Counter[str] = Counter()
    for batch in batches:
        for name, delta in zip(batch.accounts, batch.deltas_micro, strict=True):
            sums[name] += delta
    return dict(sums)


def test_balances_are_the_sums_of_the_batches_and_money_is_zero(chain, make_batch):
    batches = [make_batch(day) for day in range(4)]
    for batch in batches:
        chain.submit(batch)
        assert chain.money_sum_micro() == 0
    receipts = chain.drain()
    assert [r.status for r in receipts] == ["final"] * 4
    assert [r.digest for r in receipts] == [b.digest for b in batches]
    assert chain.balances_micro() == totals(batches)
    assert sum(chain.balances_micro().values()) == 0
    assert chain.money_sum_micro() == 0
    assert all(r.gas > 21_000 and r.gas_finalise > 21_000 for r in receipts)


def test_the_contract_keeps_digest_and_root_in_its_event(chain, make_batch):
    batch = make_batch(0, readings_root=b"\x07" * 32)
    chain.submit(batch)
    (event,) = chain.settlement.contract.history("BatchProposed")
    _, start_s, end_s, _, gross_wh, root, readings_root, digest = event["batch"]
    assert (start_s, end_s, gross_wh) == (batch.period_start_s, batch.period_end_s, batch.gross_energy_wh)
    assert (root, readings_root, digest) == (batch.root, b"\x07" * 32, batch.digest)
    assert "0x" + event["id"].hex() == chain.drain()[0].batch_id


def test_a_replayed_batch_is_refused_and_the_next_one_settles(chain, make_batch):
    first, second = make_batch(0), make_batch(1)
    for batch in (first, first, second):
        chain.submit(batch)
    receipts = chain.drain()
    assert [r.status for r in receipts] == ["final", "rejected", "final"]
    assert "BadPeriod" in receipts[1].reason
    assert chain.balances_micro() == totals([first, second])


def test_another_batch_of_the_same_period_is_refused(chain, make_batch):
    chain.submit(make_batch(0))
    chain.submit(make_batch(0, seed=1, digest=b"\x01" * 32))
    assert [r.status for r in chain.drain()] == ["final", "rejected"]


def test_a_day_without_money_is_settled_too(chain, make_batch):
    chain.submit(make_batch(0, deltas_micro=(0,) * 6))
    assert chain.drain()[0].status == "final"
    assert set(chain.balances_micro().values()) == {0}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"deltas_micro": (1, 0, 0, 0, 0, 0)}, "sum to 1 micro"),
        ({"deltas_micro": (2**63, -(2**63), 0, 0, 0, 0)}, "outside int64"),
        ({"deltas_micro": (0,)}, "6 accounts but 1 deltas"),
        ({"accounts": ("a", "a", "b", "c", "d", "e")}, "unique"),
        ({"market_id": "other"}, "settles 'street'"),
        ({"period_end_s": START_S}, "not a rising pair"),
        ({"digest": b"short"}, "digest has 5 bytes"),
        ({"gross_energy_wh": -1}, "gross_energy_wh"),
    ],
)
def test_a_wrong_batch_is_named_and_nothing_is_sent(chain, make_batch, changes, said):
    height = chain.evm.head.number
    with pytest.raises(ChainInputError, match=said):
        chain.submit(make_batch(0, **changes))
    assert chain.evm.head.number == height


def test_more_accounts_than_one_transaction_can_pay_are_refused(chain, make_batch):
    with pytest.raises(ChainInputError, match="1501 accounts, at most 1500 fit in one transaction"):
        chain.submit(make_batch(0, n=1501))


def test_all_faults_of_a_batch_are_named_at_once(chain, make_batch):
    with pytest.raises(ChainInputError) as caught:
        chain.submit(make_batch(0, digest=b"", root=b"", market_id="x"))
    assert all(word in str(caught.value) for word in ("digest has", "root has", "market_id"))


def test_extreme_amounts_settle_exactly(chain, make_batch):
    big = 2**63 - 1
    chain.submit(make_batch(0, accounts=("a", "b"), deltas_micro=(big, -big)))
    chain.submit(make_batch(1, accounts=("a", "b"), deltas_micro=(-big, big)))
    assert [r.status for r in chain.drain()] == ["final", "final"]
    assert chain.balances_micro() == {"a": 0, "b": 0}


def test_accounts_are_opened_and_funded_in_parts_that_fit_a_transaction(chain, make_batch, monkeypatch):
    monkeypatch.setattr(accounts, "AT_ONCE", 3)
    batch = make_batch(0, n=8)
    chain.submit(batch)
    outbox = chain.settlement.outbox
    assert [len(outbox.rows(1, kind)) for kind in ("open", "mint", "deposit", "propose")] == [3, 1, 3, 1]
    assert [r.status for r in chain.drain()] == ["final"]
    assert chain.balances_micro() == totals([batch])


def test_the_gas_allowed_is_enough_for_the_most_accounts_at_their_dearest(chain, make_batch):
    """All but one are debtors, or creditors: what one more of them costs, times the most there may be."""
    spent = {}
    for day, n in enumerate((21, 61, 21, 61)):
        sign = 1 if day < 2 else -1
        names = tuple(f"house_{i:02d}" for i in range(n))
        changes = {"accounts": names, "deltas_micro": (sign * (n - 1), *([-sign] * (n - 1)))}
        chain.submit(make_batch(day, **changes))
    for i, receipt in enumerate(chain.drain()):
        spent[i] = receipt
    for few, many in ((spent[0], spent[1]), (spent[2], spent[3])):
        each = [(getattr(many, key) - getattr(few, key)) / 40 for key in ("gas", "gas_finalise")]
        assert max(each) < 0.9 * 40 * GAS_PER_BYTE
    assert 250_000 + MOST_ACCOUNTS * 40 * GAS_PER_BYTE + 5 * 40_000 < TX_GAS_CAP


def test_block_time_is_simulated_time(chain, make_batch):
    chain.submit(make_batch(0))
    block = chain.evm.blocks[chain.settlement.receipt(1).block_number]
    assert 0 <= block.header.timestamp - (START_S + 86_400) < 60


def test_none_settles_nothing_and_says_so(make_batch):
    none = open_chain("none", market_id="street", start_s=0)
    none.submit(make_batch(0))
    (receipt,) = none.drain()
    assert receipt.status == "rejected"
    assert "nothing was settled" in receipt.reason
    assert none.balances_micro() == {}
    with pytest.raises(ChainInputError, match="sum to 5"):
        none.submit(make_batch(1, accounts=("a",), deltas_micro=(5,)))


@pytest.mark.parametrize(
    ("kind", "market", "start_s", "said"),
    [("mainnet", "m", 0, "allowed: embedded"), ("none", "", 0, "empty"), ("none", "m", -1, "start_s")],
)
def test_the_factory_refuses_what_it_cannot_open(kind, market, start_s, said):
    with pytest.raises(ChainInputError, match=said):
        open_chain(kind, market_id=market, start_s=start_s)


SCRIPT = """
import hashlib
from adapters.chain.factory import open_chain
from adapters.chain.port import SettlementBatch
chain = open_chain("embedded", market_id="m", start_s=1000, in_process=True)
for day in range(2):
    names = tuple(sorted({f"h{i}" for i in range(9)}))
    chain.submit(SettlementBatch("m", 1000 + day * 900, 1900 + day * 900, names, (5, -5, 7, -7, 1, 1, 1, 1, -4), 1,
                 bytes(32), hashlib.sha256(b"%d" % day).digest()))
print([(r.transaction, r.gas, r.gas_finalise, r.block_number, r.batch_id) for r in chain.drain()])
print(chain.evm.head.hash.hex(), sorted(chain.balances_micro().items()))
"""


def test_two_processes_give_the_same_transactions_blocks_and_gas():
    outputs = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert "0x" in outputs.pop()

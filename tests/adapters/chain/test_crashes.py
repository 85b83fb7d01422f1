"""Crashes, reorganisations, lost transactions, a stranger's nonce and outages: the ledger is exact each time."""

import random
from collections import Counter

import pytest

from adapters.chain.deploy import Terms, deploy_all
from adapters.chain.errors import ChainInputError, ChainUnavailableError, NodeRefusedError
from adapters.chain.evm import Evm
from adapters.chain.keys import embedded_keys
from adapters.chain.node import Node
from adapters.chain.outbox import Outbox, Post
from adapters.chain.provider import RpcNode
from adapters.chain.settlement import Settlement

START_S = 1_453_114_800
CONFIRMATIONS = 3


class Crash(Exception):
    """The process is gone."""


class UnreliableWire:
    """A node that is sometimes away."""

    def __init__(self, inner, rng):
        self.inner, self.rng, self.away = inner, rng, 0.0

    def request(self, method, params):
        if self.rng.random() < self.away:
            raise ChainUnavailableError("away")
        return self.inner.request(method, params)

    def close(self):
        """Nothing."""


class World:
    """One operator whose process crashes, on one chain that reorganises."""

    def __init__(self, seed, path, crash=0.06, away=0.01):
        self.rng = random.Random(seed)
        self.path, self.crash_rate, self.away_rate = str(path), crash, away
        self.keys = embedded_keys()
        self.evm = Evm(413_117, START_S, (self.keys.operator.canonical_address,))
        self.wire = UnreliableWire(RpcNode(self.evm), self.rng)
        self.node = Node(self.wire)
        with_memory = Outbox(":memory:", self.node, self.keys.operator)
        self.deployment = deploy_all(self.node, self.keys, with_memory, Terms("street", 5, 10))
        self.floor = self.evm.head.number  # the deployment is not reorganised away
        self.evm.auto_mine = False
        self.seen: Counter[str] = Counter()
        self.settlement = None
        self.boot()

    def boot(self):
        """Start the process, from the file."""
        self.calm = True
        outbox = Outbox(self.path, self.node, self.keys.operator, CONFIRMATIONS, 8, crash=self.maybe_crash)
        self.settlement = Settlement(
            self.node, self.keys, outbox, self.deployment.settlement, self.deployment.currency,
            clock=lambda time_s: None, preflight=True,
        )  # fmt: skip
        self.calm = False
        self.wire.away = self.away_rate

    def maybe_crash(self, point):
        if not self.calm and self.rng.random() < self.crash_rate:
            self.seen[f"crash: {point}"] += 1
            raise Crash(point)

    def attempt(self, action):
        """Do something; after a crash the process starts again."""
        try:
            return action()
        except Crash:
            self.settlement.outbox.close()
            self.wire.away = 0.0
            self.boot()
        except ChainUnavailableError:
            self.seen["outage"] += 1
        return None

    def disturb(self):
        """What the world does between two looks of the process."""
        dice = self.rng.random()
        depth = self.rng.randint(1, CONFIRMATIONS - 1)
        if dice < 0.55:
            self.evm.mine()
        elif dice < 0.65 and self.evm.head.number - depth > self.floor:
            mined = sum(len(block.transactions) for block in self.evm.blocks[-depth:])
            self.seen["reorg"] += 1
            self.seen["dropped by reorg"] += mined
            self.evm.reorganise(depth, keep=self.rng.random() < 0.5)
        elif dice < 0.70 and self.evm.pending:
            self.seen["lost from the pool"] += 1
            self.evm.pending.popitem()
        elif dice < 0.72:
            self.steal_nonce()

    def steal_nonce(self):
        """Somebody else sends with the operator's key."""
        operator = self.keys.operator
        fields = {
            "chainId": 413_117,
            "nonce": self.evm.state().get_nonce(operator.canonical_address),
            "gas": 21_000,
            "maxFeePerGas": 10**12,
            "maxPriorityFeePerGas": 10**9,
            "value": 0,
            "data": b"",
            "to": operator.address,
        }
        try:
            self.evm.send_raw(operator.sign_transaction(fields)[0])
            self.seen["stolen nonce"] += 1
        except Exception as error:
            assert "already known" in str(error) or "underpriced" in str(error)

    def run(self, batches):
        """Submit everything and go on until all is final."""
        todo = list(batches)
        for _ in range(4000):
            if todo and self.rng.random() < 0.3:
                batch = todo[0]
                known = self.settlement.batches.find(batch)
                done = (
                    known
                    if known is not None
                    else self.attempt(lambda b=batch: self.settlement.batches.add(b))
                )
                if done is not None:
                    todo.pop(0)
            self.attempt(self.settlement.pump)
            self.disturb()
            if not todo and self.rng.random() < 0.2 and self.finished():
                return
        raise AssertionError(f"did not finish: {self.statuses()}")

    def statuses(self):
        rows = self.settlement.outbox.db.execute("SELECT status FROM batches ORDER BY seq").fetchall()
        return [row[0] for row in rows]

    def finished(self):
        return set(self.statuses()) == {"final"} and self.settlement.outbox.is_idle()


def check_ledger(world, batches):
    world.wire.away = 0.0
    expected: Counter[str] = Counter()
    for batch in batches:
        for name, delta in zip(batch.accounts, batch.deltas_micro, strict=True):
            expected[name] += delta
    assert world.settlement.holdings.nets_micro() == dict(expected)
    assert world.settlement.holdings.money_sum_micro() == 0
    final = world.settlement.contract.history("BatchFinal")
    proposed = world.settlement.contract.history("BatchProposed")
    assert len({e["id"] for e in final}) == len(final) == len(batches)
    assert [e["batch"][7] for e in proposed] == [b.digest for b in batches]
    receipts = [world.settlement.receipt(i + 1) for i in range(len(batches))]
    assert ["0x" + e["id"].hex() for e in proposed] == [r.batch_id for r in receipts]
    for receipt in receipts:
        assert world.node.receipt(receipt.transaction).block_number == receipt.block_number


QUICK = range(5)
LONG = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 45)]


@pytest.mark.parametrize("seed", [*QUICK, *LONG])
def test_the_ledger_is_exact_after_crashes_and_reorganisations(seed, tmp_path, make_batch):
    world = World(seed, tmp_path / "outbox.sqlite")
    batches = [make_batch(day, n=5) for day in range(5)]
    world.run(batches)
    check_ledger(world, batches)
    world.settlement.outbox.close()


@pytest.mark.slow
def test_the_simulation_meets_every_kind_of_trouble(tmp_path, make_batch):
    seen: Counter[str] = Counter()
    for seed in range(100, 108):
        world = World(seed, tmp_path / f"{seed}.sqlite", crash=0.1)
        world.run([make_batch(day, n=5) for day in range(4)])
        world.settlement.outbox.close()
        seen += world.seen
    points = [
        "batch stored",
        "signed, not stored",
        "stored, not sent",
        "sent, not noted",
        "mined, not noted",
        "noted",
    ]
    for kind in [
        *(f"crash: {point}" for point in points),
        "reorg", "dropped by reorg", "lost from the pool", "stolen nonce", "outage",
    ]:  # fmt: skip
        assert seen[kind] > 0, (kind, seen)


@pytest.fixture
def calm(tmp_path):
    world = World(0, tmp_path / "outbox.sqlite", crash=0.0, away=0.0)
    yield world
    world.settlement.outbox.close()


def test_what_is_sent_again_is_the_same_bytes(calm, make_batch):
    sent = []
    plain = calm.node.send_raw
    calm.node.send_raw = lambda raw: sent.append(raw) or plain(raw)
    calm.settlement.batches.add(make_batch(0, n=5))
    calm.settlement.pump()  # signs the opening of accounts
    calm.settlement.pump()  # sends it
    calm.evm.pending.clear()
    calm.settlement.pump()
    assert len(sent) >= 2
    assert len(set(sent)) == 1


def test_a_stuck_transaction_is_replaced_with_the_same_nonce_and_a_tenth_more(calm):
    outbox, node = calm.settlement.outbox, calm.node
    outbox.post(Post(0, "probe", calm.keys.operator.address, b"", 21_000))
    outbox.pump()
    (first,) = calm.evm.pending.values()
    calm.evm.pending.clear()  # the pool forgets it, and everybody mines around it
    for _ in range(9):
        calm.evm.mine()
    outbox.pump()
    (second,) = calm.evm.pending.values()
    assert second.nonce == first.nonce
    assert second.max_fee_per_gas * 10 >= first.max_fee_per_gas * 11
    calm.evm.mine()
    for _ in range(CONFIRMATIONS):
        calm.evm.mine()
    outbox.pump()
    assert outbox.is_idle()
    assert [row["status"] for row in outbox.rows(0, "probe")] == ["replaced", "confirmed"]
    assert node.nonce(calm.keys.operator.address) == first.nonce + 1


def test_a_batch_is_not_final_before_its_confirmations(calm, make_batch):
    calm.settlement.batches.add(make_batch(0, n=5))
    while not calm.settlement.contract.history("BatchProposed"):
        calm.settlement.pump()
        calm.evm.mine()
    calm.settlement.pump()
    assert calm.statuses() == ["proposing"]
    for _ in range(CONFIRMATIONS):
        calm.evm.mine()
    calm.settlement.pump()
    assert calm.statuses() == ["proposed"]


def test_an_account_that_cannot_pay_stops_the_batch_where_there_is_no_play_money(calm, make_batch):
    from dataclasses import replace

    calm.settlement.keys = replace(calm.keys, public=False)
    calm.settlement.batches.add(make_batch(0, n=5))
    calm.settlement.batches.add(make_batch(1, n=5))
    for _ in range(40):
        calm.settlement.pump()
        calm.evm.mine()
    first, second = calm.settlement.receipt(1), calm.settlement.receipt(2)
    assert (first.status, second.status) == ("rejected", "rejected")
    assert "deposit first" in first.reason
    assert "not sent: an earlier batch was refused" in second.reason
    assert calm.settlement.contract.history("BatchProposed") == []


def test_an_operator_without_money_for_gas_is_told(calm):
    state = calm.evm.state()
    poor = embedded_keys().oracles[0]
    assert state.get_balance(poor.canonical_address) == 0
    outbox = Outbox(":memory:", calm.node, poor)
    outbox.post(Post(0, "probe", poor.address, b"", 21_000))
    with pytest.raises(NodeRefusedError, match="insufficient funds"):
        outbox.pump()
    outbox.close()


def test_an_outbox_belongs_to_one_chain_and_sender(calm, tmp_path):
    path = str(tmp_path / "outbox.sqlite")
    with pytest.raises(ChainInputError, match="sender"):
        Outbox(path, calm.node, embedded_keys().oracles[0])
    other = Node(RpcNode(Evm(1, START_S, ())))
    with pytest.raises(ChainInputError, match="chain_id 413117, this is 1"):
        Outbox(path, other, calm.keys.operator)

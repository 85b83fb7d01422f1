"""The outbox on nodes that prune, lag, price and answer in their own way: each wait ends, and no fee rises for ever."""

from collections import Counter
from itertools import pairwise

import pytest

from adapters.chain.errors import NodeRefusedError, RevertedError
from adapters.chain.evm import Evm, TransactionRefusedError
from adapters.chain.keys import embedded_keys
from adapters.chain.node import Node
from adapters.chain.outbox import MOST_BUMPS, Outbox, Post
from adapters.chain.provider import RpcNode
from adapters.chain.taker import LAG_BLOCKS, taker_of
from tests.adapters.chain.test_crashes import CONFIRMATIONS, START_S, World


class Bare:
    """An outbox on a chain of its own, without any contract."""

    def __init__(self):
        self.keys = embedded_keys()
        self.evm = Evm(413_117, START_S, (self.keys.operator.canonical_address,), auto_mine=False)
        self.node = Node(RpcNode(self.evm))
        self.outbox = Outbox(":memory:", self.node, self.keys.operator, CONFIRMATIONS, stuck_blocks=8)
        self.seen = Counter()

    steal_nonce = World.steal_nonce


@pytest.fixture
def bare():
    world = Bare()
    yield world
    world.outbox.close()


def probe(bare):
    bare.outbox.post(Post(0, "probe", bare.keys.operator.address, b"", 21_000))
    return lambda: bare.outbox.rows(0, "probe")


def go_on(bare, looks=8 * CONFIRMATIONS):
    for _ in range(looks):
        bare.outbox.pump()
        bare.evm.mine()
    bare.outbox.pump()


class Pruned:
    """A node that keeps the states of its newest blocks only, and the receipts of so many."""

    def __init__(self, inner, evm, states, receipts=10**9):
        self.inner, self.evm, self.states, self.receipts = inner, evm, states, receipts
        self.asked = 0

    def request(self, method, params):
        self.asked += 1
        head = self.evm.head.number
        old = method == "eth_getTransactionCount" and params[1] != "latest"
        if old and int(params[1], 16) <= head - self.states:
            return {"error": {"code": -32000, "message": "missing trie node"}}
        body = self.inner.request(method, params)
        found = body.get("result")
        mined = method == "eth_getTransactionReceipt" and found
        if mined and int(found["blockNumber"], 16) <= head - self.receipts:
            return {"result": None}
        return body

    def close(self):
        """Nothing."""


def test_who_used_a_nonce_long_ago_is_found_in_a_few_requests(bare):
    rows = probe(bare)
    bare.steal_nonce()
    for _ in range(300):
        bare.evm.mine()
    wire = bare.node.transport = Pruned(bare.node.transport, bare.evm, 10**9)
    bare.outbox.pump()
    assert wire.asked < 60
    assert [row["status"] for row in rows()] == [
        "replaced",
        "replaced",
        "signed",
    ]  # a bump, and another nonce
    go_on(bare)
    assert [row["status"] for row in rows()] == ["replaced", "replaced", "confirmed"]


def test_a_pruned_node_that_no_longer_says_who_it_was_stops_nobody(bare):
    rows = probe(bare)
    bare.steal_nonce()
    for _ in range(LAG_BLOCKS + 20):
        bare.evm.mine()
    bare.node.transport = Pruned(bare.node.transport, bare.evm, LAG_BLOCKS + 10)
    go_on(bare)
    assert [row["status"] for row in rows()] == ["replaced", "replaced", "confirmed"]


def test_as_long_as_it_may_be_lag_a_pruned_node_is_waited_for(bare):
    rows = probe(bare)
    bare.steal_nonce()
    for _ in range(LAG_BLOCKS // 2):
        bare.evm.mine()
    bare.node.transport = Pruned(bare.node.transport, bare.evm, LAG_BLOCKS // 4)
    bare.outbox.pump()
    assert {row["status"] for row in rows()} == {"signed"}


def test_a_receipt_that_the_node_no_longer_has_is_told(bare):
    probe(bare)
    bare.outbox.pump()
    for _ in range(LAG_BLOCKS + CONFIRMATIONS + 2):
        bare.evm.mine()
    bare.node.transport = Pruned(bare.node.transport, bare.evm, 10**9, receipts=3)
    with pytest.raises(
        NodeRefusedError, match="no longer has its receipt: name a node that keeps old receipts"
    ):
        bare.outbox.pump()


@pytest.mark.parametrize("blocks", [0, 1, 2, 7, 40])
def test_the_taker_is_the_transaction_with_that_nonce(bare, blocks):
    me = bare.keys.operator
    for _ in range(3):
        bare.steal_nonce()
        bare.evm.mine()
    nonce = bare.node.nonce(me.address) - 2
    for _ in range(blocks):
        bare.evm.mine()
    head = bare.evm.head.number
    found = taker_of(bare.node, me.address, nonce, head, head)
    (block,) = [b for b in bare.evm.blocks for entry in b.transactions if entry.transaction.nonce == nonce]
    assert found.block_number == block.number
    assert found.hash == "0x" + block.transactions[0].hash.hex()
    assert taker_of(bare.node, me.address, nonce + 2, head, head) is None
    assert taker_of(bare.node, me.address, nonce, block.number - 1, head) is None
    assert taker_of(bare.node, me.address, nonce, -1, head) is None


class Lagging:
    """One address with two nodes behind it; the one that lags answers when ``lags``."""

    def __init__(self, inner, evm):
        self.inner, self.evm, self.lags = inner, evm, False

    def request(self, method, params):
        if self.lags:
            if method == "eth_getTransactionReceipt":
                return {"result": None}
            if method == "eth_getBlockByNumber" and params[0] != "latest":
                return {"result": None}
        return self.inner.request(method, params)

    def close(self):
        """Nothing."""


def test_a_node_that_lags_behind_reorganises_nothing(bare):
    rows = probe(bare)
    bare.outbox.pump()
    bare.evm.mine()
    bare.outbox.pump()
    (row,) = rows()
    assert row["status"] == "mined"
    wire = bare.node.transport = Lagging(bare.node.transport, bare.evm)
    wire.lags = True
    bare.outbox.pump()
    (row,) = rows()
    assert (row["status"], bare.outbox.drops(0)) == ("mined", 0)
    wire.lags = False
    bare.evm.reorganise(1, keep=False)
    bare.outbox.pump()
    (row,) = rows()
    assert (row["status"], bare.outbox.drops(0)) == ("signed", 1)


def test_fees_do_not_rise_for_ever_and_the_tip_rises_too(bare):
    rows = probe(bare)
    bare.evm.send_raw = lambda raw: bytes(32)  # accepted, and never mined
    for _ in range((MOST_BUMPS + 5) * 8):
        bare.evm.mine()
        bare.outbox.pump()
    fees = [row["max_fee_wei"] for row in rows()]
    assert len(fees) == MOST_BUMPS + 1
    assert fees[-1] < 10 * fees[0]
    tips = [bare.evm._decode(row["raw"]).max_priority_fee_per_gas for row in rows()]
    assert all(later * 10 >= before * 11 for before, later in pairwise(tips))


def test_a_fee_below_the_blocks_is_raised_at_once(bare):
    rows = probe(bare)
    plain, refusals = bare.evm.send_raw, ["max fee per gas less than block base fee"]

    def send_raw(raw):
        if refusals:
            raise TransactionRefusedError(refusals.pop())
        return plain(raw)

    bare.evm.send_raw = send_raw
    go_on(bare)
    assert [row["status"] for row in rows()] == ["replaced", "confirmed"]


@pytest.mark.parametrize(
    ("text", "fatal"),
    [("unknown account", True), ("known transaction: 0x1", False), ("Nonce too high. Expected 5", False)],
)
def test_words_of_nodes(bare, text, fatal):
    rows = probe(bare)
    plain = bare.evm.send_raw

    def refuse(raw):
        raise TransactionRefusedError(text)

    bare.evm.send_raw = refuse
    if fatal:
        with pytest.raises(NodeRefusedError, match=text):
            bare.outbox.pump()
    else:
        bare.outbox.pump()
    bare.evm.send_raw = plain
    go_on(bare)
    assert rows()[-1]["status"] == "confirmed"


def test_a_node_that_answers_a_mined_failure_with_the_failure(bare):
    rows = probe(bare)
    plain = bare.node.send_raw

    def send_raw(raw):
        plain(raw)
        raise RevertedError(b"", "VM Exception while processing transaction: reverted")

    bare.node.send_raw = send_raw
    bare.outbox.pump()
    go_on(bare)
    assert rows()[-1]["status"] == "confirmed"


class Metered:
    """A provider that gives the events of so many blocks at a time, or of none at all."""

    def __init__(self, inner, most):
        self.inner, self.most, self.asked = inner, most, []

    def request(self, method, params):
        if method == "eth_getLogs":
            query, head = params[0], int(self.inner.request("eth_blockNumber", [])["result"], 16)
            last = head if query["toBlock"] == "latest" else int(query["toBlock"], 16)
            self.asked.append((int(query["fromBlock"], 16), last))
            if last - int(query["fromBlock"], 16) >= self.most:
                return {"error": {"code": -32005, "message": "query exceeds max block range"}}
        return self.inner.request(method, params)

    def close(self):
        """Nothing."""


def test_a_provider_that_limits_the_range_of_a_query_is_asked_in_parts(bench):
    for i in range(4):
        bench.open(**{f"house_{i}": 5})
    whole = bench.settlement.history("AccountOpened")
    assert [event["name"] for event in whole] == [f"house_{i}" for i in range(4)]
    wire = bench.node.transport = Metered(bench.node.transport, 3)
    assert bench.settlement.history("AccountOpened") == whole
    tiles = [span for span in wire.asked if span[1] - span[0] < 3]
    assert tiles[0][0] == bench.deployment.block > 0, "nothing is asked of blocks before the contract"
    assert all(one[1] + 1 == other[0] for one, other in pairwise(tiles))
    wire.most = 0
    with pytest.raises(NodeRefusedError, match="exceeds max block range"):
        bench.settlement.history("AccountOpened")
    bench.node.transport = wire.inner

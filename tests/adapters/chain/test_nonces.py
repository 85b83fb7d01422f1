"""Who used a nonce: a stranger with the operator's key, or this very transaction, on a node that is slow to say so."""

import pytest

from adapters.chain.outbox import Post
from tests.adapters.chain.test_crashes import CONFIRMATIONS, World


@pytest.fixture
def calm(tmp_path):
    world = World(0, tmp_path / "outbox.sqlite", crash=0.0, away=0.0)
    yield world
    world.settlement.outbox.close()


def probes(calm, count):
    me = calm.keys.operator.address
    calm.settlement.outbox.post(*(Post(i, "probe", me, b"", 21_000) for i in range(count)))
    return lambda owner: calm.settlement.outbox.rows(owner, "probe")


def go_on(calm, looks=8 * CONFIRMATIONS):
    for _ in range(looks):
        calm.settlement.pump()
        calm.evm.mine()
    calm.settlement.pump()


class Slow:
    """A node that counts the newest block's nonces and shows neither the block nor its receipts, as anvil in a moment."""

    def __init__(self, inner, evm):
        self.inner, self.evm, self.hides, self.refused = inner, evm, False, 0

    def request(self, method, params):
        if self.hides and method == "eth_sendRawTransaction":
            self.refused += 1
            return {"error": {"code": -32003, "message": "nonce too low"}}
        if self.hides and method == "eth_getTransactionCount" and params[1] == hex(self.evm.head.number - 1):
            params = [params[0], "latest"]  # the state is ahead of the newest block that is shown
        body = self.inner.request(method, params)
        if not self.hides:
            return body
        head, found = self.evm.head.number, body.get("result")
        if method == "eth_getTransactionReceipt" and found and int(found["blockNumber"], 16) == head:
            return {"result": None}
        if method == "eth_blockNumber":
            return {"result": hex(head - 1)}
        if method == "eth_getBlockByNumber" and found and int(found["number"], 16) == head:
            return {"result": None} if params[0] != "latest" else body
        return body

    def close(self):
        """Nothing."""


@pytest.mark.parametrize("confirmations", [0, CONFIRMATIONS])
def test_a_nonce_that_is_counted_before_its_receipt_is_shown_is_not_signed_anew(calm, confirmations):
    calm.settlement.outbox.confirmations = confirmations
    rows = probes(calm, 1)
    calm.settlement.pump()
    slow = calm.node.transport = Slow(calm.node.transport, calm.evm)
    slow.hides = True
    calm.evm.mine()
    for _ in range(3):
        calm.settlement.pump()
    assert slow.refused == 3
    assert len(rows(0)) == 1
    slow.hides = False
    go_on(calm, CONFIRMATIONS + 1)
    (row,) = rows(0)
    assert row["status"] == "confirmed"


def test_two_that_wait_are_both_signed_anew_where_a_stranger_took_their_nonces(calm):
    rows = probes(calm, 2)
    for _ in range(2):
        calm.steal_nonce()
        calm.evm.mine()
    go_on(calm)
    assert calm.settlement.outbox.is_idle()
    for owner in (0, 1):
        assert [row["status"] for row in rows(owner)] == ["replaced", "confirmed"]


def test_a_stranger_is_waited_for_until_a_reorganisation_cannot_drop_him(calm):
    rows = probes(calm, 1)
    calm.steal_nonce()
    for _ in range(CONFIRMATIONS):
        calm.evm.mine()
        calm.settlement.pump()
        assert len(rows(0)) == 1
    calm.evm.reorganise(CONFIRMATIONS, keep=False)
    go_on(calm)
    (row,) = rows(0)
    assert row["status"] == "confirmed"


def test_those_behind_a_taken_nonce_keep_theirs(calm):
    rows = probes(calm, 3)
    calm.steal_nonce()
    calm.settlement.pump()  # the first is refused as underpriced, the others are queued behind the stranger's
    go_on(calm)
    assert calm.settlement.outbox.is_idle()
    assert [len(rows(owner)) for owner in range(3)] == [2, 1, 1]
    assert [rows(owner)[-1]["status"] for owner in range(3)] == ["confirmed"] * 3
    assert rows(0)[-1]["nonce"] == rows(2)[-1]["nonce"] + 1


def test_a_batch_that_another_transaction_brought_is_recorded_all_the_same(calm, make_batch):
    outbox = calm.settlement.outbox
    calm.settlement.batches.add(make_batch(0, n=5))
    while not outbox.rows(1, "propose"):
        calm.settlement.pump()
        calm.evm.mine()
    (row,) = outbox.rows(1, "propose")
    fields = {
        "chainId": 413_117,
        "nonce": row["nonce"],
        "gas": row["gas"] + 1,
        "value": 0,
        "data": row["data"],
    }
    fields |= {"to": row["to_address"], "maxFeePerGas": 10**12, "maxPriorityFeePerGas": 10**9}
    calm.evm.pending.clear()
    calm.evm.send_raw(calm.keys.operator.sign_transaction(fields)[0])
    go_on(calm)
    calm.settlement.batches.add(make_batch(1, n=5))
    go_on(calm)
    assert [row["status"] for row in outbox.rows(1, "propose")] == ["replaced", "failed"]
    assert calm.statuses() == ["final", "final"]
    assert calm.settlement.holdings.money_sum_micro() == 0


def test_a_refused_ending_is_tried_as_a_call_and_costs_no_gas(calm, make_batch):
    outbox, contract = calm.settlement.outbox, calm.settlement.contract
    calm.settlement.batches.add(make_batch(0, n=5))
    while calm.statuses() != ["proposed"]:
        calm.settlement.pump()
        calm.evm.mine()
    outbox.post(Post(0, "pause", contract.address, contract.data("pause"), 100_000))
    calm.settlement.pump()
    calm.evm.mine()
    go_on(calm)
    assert outbox.rows(1, "finalise") == []
    receipt = calm.settlement.receipt(1)
    assert receipt.status == "proposed" and receipt.reason.startswith("EnforcedPause")
    assert not calm.settlement.due()
    outbox.post(Post(0, "unpause", contract.address, contract.data("unpause"), 100_000))
    go_on(calm)
    receipt = calm.settlement.receipt(1)
    assert (receipt.status, receipt.reason, len(outbox.rows(1, "finalise"))) == ("final", "", 1)

"""What could go on for ever, costing gas or hanging a run, comes to an end that says why."""

from dataclasses import replace

import pytest

from adapters.chain.errors import ChainUnavailableError
from adapters.chain.ledger import MOST_IDLE, LedgerChain
from adapters.chain.outbox import Post
from adapters.chain.settlement import MOST_TRIES
from tests.adapters.chain.test_crashes import CONFIRMATIONS, World


@pytest.fixture
def calm(tmp_path):
    world = World(0, tmp_path / "outbox.sqlite", crash=0.0, away=0.0)
    yield world
    world.settlement.outbox.close()


def settle_on(calm, looks=8 * CONFIRMATIONS):
    for _ in range(looks):
        calm.settlement.pump()
        calm.evm.mine()
    calm.settlement.pump()


def transact(calm, name, *args):
    """The operator calls the settlement by hand."""
    contract = calm.settlement.contract
    calm.settlement.outbox.post(Post(0, name, contract.address, contract.data(name, *args), 200_000))
    settle_on(calm)
    assert calm.settlement.outbox.rows(0, name)[-1]["status"] == "confirmed"


def test_an_operator_who_may_not_open_accounts_pays_for_no_failure(calm, make_batch):
    outbox, contract = calm.settlement.outbox, calm.settlement.contract
    transact(calm, "revokeRole", bytes(contract.read("REGISTRAR_ROLE")), calm.keys.operator.address)
    calm.settlement.batches.add(make_batch(0, n=5))
    settle_on(calm)
    assert outbox.rows(1, "open") == []
    receipt = calm.settlement.receipt(1)
    assert receipt.status == "rejected"
    assert receipt.reason.startswith("its accounts cannot be opened: AccessControlUnauthorizedAccount(")


def test_what_fails_again_and_again_is_given_up(calm, make_batch):
    outbox, contract = calm.settlement.outbox, calm.settlement.contract
    calm.settlement.preflight = False  # as on a chain that is not asked before
    transact(calm, "revokeRole", bytes(contract.read("REGISTRAR_ROLE")), calm.keys.operator.address)
    calm.settlement.batches.add(make_batch(0, n=5))
    settle_on(calm, 60)
    assert [row["status"] for row in outbox.rows(1, "open")] == ["failed"] * MOST_TRIES
    receipt = calm.settlement.receipt(1)
    assert receipt.status == "rejected"
    assert receipt.reason.startswith(f"open failed {MOST_TRIES} times, the last time: AccessControl")


def test_finalising_that_fails_again_and_again_is_given_up(calm, make_batch, monkeypatch):
    outbox = calm.settlement.outbox
    calm.settlement.batches.add(make_batch(0, n=5))
    while calm.statuses() != ["proposed"]:
        calm.settlement.pump()
        calm.evm.mine()
    post = outbox.post
    monkeypatch.setattr(outbox, "post", lambda item, **more: post(replace(item, gas=40_000), **more))
    settle_on(calm, 60)
    assert [row["status"] for row in outbox.rows(1, "finalise")] == ["failed"] * MOST_TRIES
    receipt = calm.settlement.receipt(1)
    assert receipt.status == "proposed"
    assert receipt.reason.startswith(f"finalise failed {MOST_TRIES} times, the last time: reverted, but")
    assert not calm.settlement.due()


def test_a_batch_waits_while_the_contract_is_paused(calm, make_batch):
    transact(calm, "pause")
    calm.settlement.batches.add(make_batch(0, n=5))
    settle_on(calm)
    assert calm.settlement.outbox.rows(1, "deposit") == []
    receipt = calm.settlement.receipt(1)
    assert (receipt.status, receipt.reason) == ("new", "EnforcedPause")
    transact(calm, "unpause")
    settle_on(calm)
    receipt = calm.settlement.receipt(1)
    assert (receipt.status, receipt.reason) == ("final", "")


def test_a_refused_batch_that_is_given_again_stops_nobody(calm, make_batch):
    plain = calm.settlement.keys
    calm.settlement.keys = replace(plain, public=False)
    one, two = make_batch(0, n=5), make_batch(1, n=5)
    calm.settlement.batches.add(one)
    calm.settlement.batches.add(two)
    settle_on(calm)
    assert calm.statuses() == ["rejected", "rejected"]
    calm.settlement.keys = plain  # who was short has paid
    calm.settlement.batches.add(one)
    calm.settlement.batches.add(two)
    settle_on(calm)
    assert calm.statuses() == ["rejected", "rejected", "final", "final"]


def chain_on(calm, patience_s, immediate=False):
    return LedgerChain("rpc", "street", calm.settlement, immediate, False, patience_s=patience_s, poll_s=0.01)


def test_a_wait_ends_while_fees_rise_and_blocks_pass(calm, make_batch):
    calm.evm.send_raw = lambda raw: bytes(32)
    chain = chain_on(calm, 0.5)
    chain.on_wait = calm.evm.mine  # a block at each look: a bump every eighth
    chain.submit(make_batch(0, n=5))
    with pytest.raises(ChainUnavailableError, match="1 batches wait in the outbox"):
        chain.drain()


def test_confirmations_are_progress(calm, make_batch):
    calm.settlement.outbox.confirmations = 40
    chain = chain_on(calm, 1e9)
    chain.submit(make_batch(0, n=5))
    best, rises = calm.settlement.batches.progress(), 0
    for _ in range(60):
        chain.pump()
        calm.evm.mine()
        now = calm.settlement.batches.progress()
        rises += now > best
        best = max(best, now)
    assert rises >= 40


def test_a_paused_contract_is_named_when_a_run_ends(calm, make_batch):
    transact(calm, "pause")
    chain = chain_on(calm, 0.5)
    chain.on_wait = calm.evm.mine
    chain.submit(make_batch(0, n=5))
    with pytest.raises(
        ChainUnavailableError, match=r"nothing moved on the chain for 0\.5 s \(EnforcedPause\)"
    ):
        chain.drain()


def test_a_chain_of_ones_own_does_not_wait_for_what_cannot_come(calm, make_batch):
    transact(calm, "pause")
    looks = []
    chain = chain_on(calm, 1e9, immediate=True)
    chain.on_wait = lambda: looks.append(calm.evm.mine())
    with pytest.raises(ChainUnavailableError, match=r"nothing moved on the chain \(EnforcedPause\)"):
        chain.submit(make_batch(0, n=5))
    assert MOST_IDLE < len(looks) < 10 * MOST_IDLE


def proposed_on(calm, make_batch):
    """A batch that is recorded, and the arguments with which the contract finalises it."""
    calm.settlement.batches.add(make_batch(0, n=5))
    while calm.statuses() != ["proposed"]:
        calm.settlement.pump()
        calm.evm.mine()
    (event,) = calm.settlement.contract.history("BatchProposed")
    data = calm.node.sent_data(event["transaction"])
    header, positions, _ = calm.settlement.contract.arguments("propose", data)
    return event["id"], (header, positions)


def by_hand(calm, name, *args):
    """The operator calls the contract past the outbox, in the next block."""
    contract, operator = calm.settlement.contract, calm.keys.operator
    fields = {"chainId": 413_117, "nonce": calm.node.nonce(operator.address), "gas": 2_000_000, "value": 0}
    fields |= {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9, "to": contract.address}
    calm.evm.send_raw(operator.sign_transaction(fields | {"data": contract.data(name, *args)})[0])
    calm.evm.mine()
    assert calm.evm.blocks[-1].transactions


def test_a_batch_that_somebody_else_finalised_is_final(calm, make_batch):
    _, arguments = proposed_on(calm, make_batch)
    calm.node.mine_at(calm.node.now_s() + 5)
    by_hand(calm, "finalise", *arguments)
    settle_on(calm)
    assert calm.settlement.outbox.rows(1, "finalise") == []
    receipt = calm.settlement.receipt(1)
    assert (receipt.status, receipt.reason) == ("final", "")


def test_a_dispute_that_the_outbox_did_not_make_is_seen_and_its_end_too(calm, make_batch):
    calm.settlement.batches.add(make_batch(0, n=5))
    while not calm.settlement.contract.history("BatchProposed"):
        calm.settlement.pump()
        calm.evm.mine()
    (event,) = calm.settlement.contract.history("BatchProposed")
    batch_id = event["id"]
    by_hand(
        calm, "dispute", batch_id, "the meter of house 3 lies"
    )  # within its window, before it is confirmed
    settle_on(calm)
    assert calm.settlement.receipt(1).status == "disputed"
    by_hand(calm, "dismiss", batch_id, "it does not")
    calm.settlement.refresh_disputed()
    settle_on(calm)
    receipt = calm.settlement.receipt(1)
    assert (receipt.status, receipt.reason) == ("final", "")


def test_a_node_that_does_not_know_a_batch_yet_loses_none(calm, make_batch, monkeypatch):
    proposed_on(calm, make_batch)
    read = calm.settlement.contract.read
    none = lambda name, *args, **more: (0, 0, 0) if name == "recordOf" else read(name, *args, **more)  # noqa: E731
    monkeypatch.setattr(calm.settlement.contract, "read", none)
    calm.settlement.refresh(calm.settlement.batches.having("proposed")[0])
    assert calm.statuses() == ["proposed"]

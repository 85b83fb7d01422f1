"""A node over a socket: the same chain, and every way in which a node can be the wrong one."""

import hashlib
import json
from collections import Counter

import pytest

from adapters.chain.errors import ArtefactError, ChainInputError, ChainUnavailableError
from adapters.chain.factory import open_chain
from adapters.chain.keys import Signer, embedded_keys, keys_from_environment, load_keystore
from adapters.chain.options import RpcOptions
from adapters.chain.rpc import connect, open_rpc, shown

START_S = 1_453_114_800


@pytest.fixture
def options(served, tmp_path):
    def make(**changes):
        fields = {
            "url": served.url,
            "outbox": str(tmp_path / "outbox.sqlite"),
            "deployment": str(tmp_path / "deployment.json"),
            "confirmations": 0,
            "development": True,
            "patience_s": 60.0,
        }
        return RpcOptions(**(fields | changes))

    return make


def totals(batches):
    sums: Counter[str] = Counter()
    for batch in batches:
        for name, delta in zip(batch.accounts, batch.deltas_micro, strict=True):
            sums[name] += delta
    return dict(sums)


def settle_three_days(chain, make_batch):
    batches = [make_batch(day, n=5) for day in range(3)]
    for batch in batches:
        chain.submit(batch)
    receipts = chain.drain()
    assert [r.status for r in receipts] == ["final"] * 3
    assert chain.balances_micro() == totals(batches)
    assert chain.money_sum_micro() == 0
    chain.close()
    return receipts


def test_a_chain_behind_a_socket_settles_like_the_embedded_one(options, make_batch):
    over_http = settle_three_days(open_rpc("street", START_S, options()), make_batch)
    here = open_chain("embedded", market_id="street", start_s=START_S, in_process=True)
    inside = settle_three_days(here, make_batch)
    # the gas differs by zero bytes of calldata only (signatures over another address)
    for one, other in zip(over_http, inside, strict=True):
        assert abs(one.gas - other.gas) < 200
        assert one.gas_finalise == other.gas_finalise


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["url", "ws_url"])
def test_anvil_settles_like_the_embedded_one(anvil, scheme, tmp_path, make_batch):
    options = RpcOptions(
        getattr(anvil, scheme), str(tmp_path / "outbox.sqlite"), confirmations=0, development=True
    )
    over_wire = settle_three_days(open_rpc("street", START_S, options), make_batch)
    here = open_chain("embedded", market_id="street", start_s=START_S, in_process=True)
    for one, other in zip(over_wire, settle_three_days(here, make_batch), strict=True):
        assert abs(one.gas - other.gas) < 200
        assert one.gas_finalise == other.gas_finalise


def test_a_process_of_its_own_serves_a_node_too(options, make_batch):
    chain = open_chain("rpc", market_id="street", start_s=START_S, rpc=options())
    settle_three_days(chain, make_batch)


def test_a_restarted_run_does_not_settle_twice(options, make_batch):
    batches = [make_batch(day, n=5) for day in range(3)]
    first = open_rpc("street", START_S, options())
    for batch in batches[:2]:
        first.submit(batch)
    first.close()  # before anything was confirmed to the caller
    second = open_rpc("street", START_S, options())
    for batch in batches:
        second.submit(batch)
    receipts = second.drain()
    assert [r.status for r in receipts] == ["final"] * 3
    assert second.balances_micro() == totals(batches)
    assert len(second.settlement.contract.history("BatchFinal")) == 3
    second.close()


def test_an_outage_loses_nothing(served, options, make_batch):
    chain = open_rpc("street", START_S, options())
    batches = [make_batch(day, n=5) for day in range(4)]
    chain.submit(batches[0])
    served.down()
    for batch in batches[1:]:
        chain.submit(batch)  # nothing waits, nothing fails
    assert chain.outages >= 3
    served.up()
    assert [r.status for r in chain.drain()] == ["final"] * 4
    assert chain.balances_micro() == totals(batches)
    chain.close()


def test_a_node_that_stays_away_is_named_and_the_batches_are_kept(served, options, make_batch):
    chain = open_rpc("street", START_S, options(patience_s=0.3))
    served.down()
    chain.submit(make_batch(0, n=5))
    with pytest.raises(ChainUnavailableError, match="1 batches wait in the outbox"):
        chain.drain()
    chain.close()


def test_a_node_without_time_control_leaves_batches_proposed(served, options, make_batch):
    served.node._methods["web3_clientVersion"] = lambda: "Geth/v1.16"
    chain = open_rpc("street", START_S, options())
    chain.poll_s = 0.01
    chain.submit(make_batch(0, n=5))
    (receipt,) = chain.drain()
    assert receipt.status == "proposed"
    assert chain.money_sum_micro() == 0
    chain.close()
    node = connect(served.url)  # the node's own time passes
    node.mine_at(node.now_s() + 21_600)
    node.close()
    again = open_rpc("street", START_S, options())
    again.submit(make_batch(0, n=5))
    (receipt,) = again.drain()
    assert receipt.status == "final"
    assert again.balances_micro() == totals([make_batch(0, n=5)])
    again.close()


def test_a_node_that_is_not_there(served, options):
    served.down()
    with pytest.raises(ChainInputError, match=rf"no answer from http://127\.0\.0\.1:{served.port}"):
        open_rpc("street", START_S, options())


def test_a_node_of_another_chain(options):
    with pytest.raises(ChainInputError, match="is of chain 413117, expected 1"):
        open_rpc("street", START_S, options(chain_id=1))


def test_a_deployment_of_another_chain_and_a_damaged_one(options, tmp_path):
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps({"chain_id": 5, "settlement": "0x0", "currency": "0x0"}))
    with pytest.raises(ChainInputError, match="is of chain 5"):
        open_rpc("street", START_S, options())
    path.write_text("{")
    with pytest.raises(ChainInputError, match=r"deployment\.json is no deployment file"):
        open_rpc("street", START_S, options())


def test_an_address_without_our_contract_and_with_another(options, tmp_path):
    open_rpc("street", START_S, options()).close()
    path = tmp_path / "deployment.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"settlement": "0x" + "12" * 20}))
    with pytest.raises(ArtefactError, match="no contract at 0x1212"):
        open_rpc("street", START_S, options(outbox=str(tmp_path / "2.sqlite")))
    path.write_text(json.dumps(found | {"settlement": found["currency"]}))
    with pytest.raises(ArtefactError, match="is not EnergySettlement as shipped"):
        open_rpc("street", START_S, options(outbox=str(tmp_path / "3.sqlite")))


def test_a_contract_of_another_market(options):
    open_rpc("street", START_S, options()).close()
    with pytest.raises(ChainInputError, match="does not settle market 'village'"):
        open_rpc("village", START_S, options())


def test_an_operator_without_funds(served, options, monkeypatch, tmp_path):
    poor = make_keystore(tmp_path / "poor.json", b"\x21" * 32, "secret")
    monkeypatch.setenv("TWIN_CHAIN_KEYSTORE", str(poor))
    monkeypatch.setenv("TWIN_CHAIN_PASSWORD", "secret")
    monkeypatch.setenv("TWIN_CHAIN_ORACLES", str(poor))
    with pytest.raises(ChainInputError, match=r"operator 0x\w+ has no funds"):
        open_rpc("street", START_S, options(development=False))


def make_keystore(path, secret, password):
    from eth_account import Account

    path.write_text(json.dumps(Account.encrypt(secret, password, kdf="pbkdf2", iterations=1000)))
    return path


def test_keys_come_from_keystores_and_a_wrong_password_is_said(tmp_path):
    secret = hashlib.sha256(b"operator").digest()
    path = make_keystore(tmp_path / "operator.json", secret, "right")
    assert load_keystore(path, "right").address == Signer(secret).address
    with pytest.raises(ChainInputError, match=r"operator\.json cannot be opened: wrong password") as caught:
        load_keystore(path, "wrong")
    assert "right" not in str(caught.value) and secret.hex() not in str(caught.value)
    with pytest.raises(ChainInputError, match="cannot be opened"):
        load_keystore(tmp_path / "nothing.json", "right")
    (tmp_path / "rubbish.json").write_text("[]")
    with pytest.raises(ChainInputError, match="cannot be opened"):
        load_keystore(tmp_path / "rubbish.json", "right")


def test_the_environment_names_every_key(tmp_path):
    paths = [str(make_keystore(tmp_path / f"{i}.json", bytes([i + 1]) * 32, "pw")) for i in range(4)]
    environment = {
        "TWIN_CHAIN_KEYSTORE": paths[0],
        "TWIN_CHAIN_PASSWORD": "pw",
        "TWIN_CHAIN_ORACLES": ":".join(paths[1:]),
    }
    ring = keys_from_environment(environment)
    assert (len(ring.oracles), ring.threshold, ring.public) == (3, 2, False)
    with pytest.raises(ChainInputError, match="set TWIN_CHAIN_PASSWORD, TWIN_CHAIN_ORACLES"):
        keys_from_environment({"TWIN_CHAIN_KEYSTORE": paths[0]})
    with pytest.raises(ChainInputError, match="a majority of 3 oracles"):
        keys_from_environment(environment | {"TWIN_CHAIN_THRESHOLD": "1"})


def test_a_key_never_shows_itself():
    signer = Signer(b"\x07" * 32)
    assert "07" * 8 not in repr(signer) + str(vars(embedded_keys()))
    with pytest.raises(TypeError, match="not pickled"):
        signer.__reduce__()


def test_an_address_is_shown_without_its_password():
    assert shown("https://user:hush@node.example:8545/v3/accesskey") == "https://node.example:8545"
    with pytest.raises(ChainInputError, match="must begin with http"):
        connect("ftp://node.example")


def test_kind_rpc_needs_to_know_its_node():
    with pytest.raises(ChainInputError, match="address of the node"):
        open_chain("rpc", market_id="street", start_s=0)


def test_a_contract_that_lives_longer_than_a_run(options, make_batch, tmp_path):
    first = open_rpc("street", START_S, options())
    first.submit(make_batch(0, n=5))
    first.drain()
    first.close()
    for day, changes in ((1, {}), (2, {"outbox": str(tmp_path / "2.sqlite")})):
        chain = open_rpc("street", START_S, options(**changes))
        chain.submit(make_batch(day, n=5))
        assert [r.status for r in chain.drain()] == ["final"]
        assert chain.balances_micro() == totals([make_batch(day, n=5)])  # what was there before is left out
        chain.close()


def test_two_outboxes_of_one_contract_do_not_count_each_other(options, make_batch, tmp_path):
    one = open_rpc("street", START_S, options())
    other = open_rpc("street", START_S, options(outbox=str(tmp_path / "2.sqlite")))
    mine, theirs = [make_batch(0, n=5), make_batch(2, n=5)], [make_batch(1, n=5), make_batch(3, n=5)]
    for chain, batch in ((one, mine[0]), (other, theirs[0]), (one, mine[1]), (other, theirs[1])):
        chain.submit(batch)
        while chain.settlement.pending():
            chain.pump()
    assert [r.status for r in one.drain()] == ["final"] * 2  # theirs, between and after, are under way
    assert one.balances_micro() == totals(mine)
    assert [r.status for r in other.drain()] == ["final"] * 2
    assert (one.balances_micro(), other.balances_micro()) == (totals(mine), totals(theirs))
    one.close()
    other.close()


def test_a_batch_that_was_overtaken_is_made_again(options, make_batch, tmp_path):
    one = open_rpc("street", START_S, options())
    other = open_rpc("street", START_S, options(outbox=str(tmp_path / "2.sqlite")))
    one.submit(make_batch(0, n=5))
    one.drain()
    late, send = make_batch(2, n=5), one.node.send_raw
    one.node.send_raw = lambda raw: ""  # signed and stored on top of the first, not sent
    one.submit(late)
    while not one.settlement.batches.having("proposing"):
        one.pump()
    other.submit(make_batch(1, n=5))
    assert [r.status for r in other.drain()] == ["final"]
    one.node.send_raw = send
    assert [r.status for r in one.drain()] == ["final"] * 2
    assert one.balances_micro() == totals([make_batch(0, n=5), late])
    one.close()
    other.close()

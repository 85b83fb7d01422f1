"""What devices signed, proven from the chain: the batch commits to it, the registry holds the key."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.chain.contract import Contract
from adapters.chain.deploy import SETUP, register, wait_idle
from adapters.chain.device_keys import DeviceKey, batch_message
from adapters.chain.embedded import EmbeddedChain
from adapters.chain.errors import ChainError, ChainInputError
from adapters.chain.keys import embedded_keys
from adapters.chain.options import Device
from adapters.chain.outbox import Post
from adapters.chain.port import SettlementBatch
from adapters.chain.proven import devices_finding
from adapters.chain.readings import DeviceWord, MeterReading, Tree
from adapters.chain.typed import account_id

START_S = 1_453_114_800
DAY_S = 86_400
LINK = b"l" * 32


def word(name, begin_s, key=None, period_s=None):
    """What a device signed of a day; ``key``: of another one, ``period_s``: of another time."""
    begin = begin_s if period_s is None else period_s
    message = batch_message(account_id(name), begin, begin_s + DAY_S, LINK)
    return DeviceWord(name, begin, begin_s + DAY_S, LINK, DeviceKey("street", 1, key or name).sign(message))


DAYS = [
    lambda at: [word("a", at), word("b", at)],
    lambda at: [word("a", at), word("b", at, key="a")],
    lambda at: [word("a", at), word("b", at), word("stranger", at)],
    lambda at: [word("a", at), word("b", at, period_s=at - DAY_S)],
    lambda at: [word("a", at)],
    lambda at: [word("a", at, key="a's new key"), word("b", at)],
]
SAID = [
    "",
    "b: the signature is of another key than the registry's",
    "stranger is not in the registry",
    "b signed another period",
    "b signed nothing",
    "",  # its key was changed before
]


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    """A chain with a batch per day, in each of which something else is wrong."""
    devices = [Device(n, "house", 5000, 0, DeviceKey("street", 1, n).address) for n in "ab"]
    chain = EmbeddedChain("street", START_S, devices=devices)
    folder, batches, rows, signed = tmp_path_factory.mktemp("run"), [], [], []
    for day, words_of in enumerate(DAYS):
        if day == len(DAYS) - 1:
            new_key(chain)
        at = START_S + day * DAY_S
        words = words_of(at)
        readings = [MeterReading(name, at, at + 900, 5, 0) for name in "ab"]
        batch = batch_of(day, Tree([leaf.line() for leaf in (*readings, *words)]).root)
        chain.submit(batch)
        batches.append(batch)
        rows += [{"batch_end_s": at + DAY_S, **vars(reading)} for reading in readings]
        signed += [
            {
                "start_s": w.start_s, "batch_end_s": w.end_s, "asset": w.asset, "link": w.link.hex(),
                "signature": w.signature.hex(),
            }
            for w in words
        ]  # fmt: skip
    chain.drain()
    pq.write_table(pa.Table.from_pylist(rows), folder / "readings.parquet")
    pq.write_table(pa.Table.from_pylist(signed), folder / "signatures.parquet")
    yield chain, folder, batches
    chain.close()


def batch_of(day, root):
    begin_s, digest = START_S + day * DAY_S, bytes([day + 1]) * 32
    return SettlementBatch("street", begin_s, begin_s + DAY_S, ("a", "b"), (5, -5), 1, digest, digest, root)


def new_key(chain):
    key, registry = DeviceKey("street", 1, "a's new key").address, chain.contracts()["registry"]
    contract, outbox = Contract(chain.node, "AssetRegistry", registry), chain.settlement.outbox
    data = contract.data("configure", account_id("a"), key, 5000, 0, bytes(32), "a new meter")
    outbox.post(Post(SETUP, "configure", registry, data, 300_000))
    wait_idle(outbox)


def finding(settled, day, folder=None):
    chain, own, batches = settled
    rows = [
        {"digest": b.digest.hex(), "period_start_s": b.period_start_s, "period_end_s": b.period_end_s}
        for b in (batches if day is None else [batches[day]])
    ]
    events = chain.settlement.contract.history("BatchProposed")
    proposed = {event["batch"][7].hex(): event for event in events}
    return devices_finding(folder or own, chain.history(), rows, proposed, chain.node)


@pytest.mark.parametrize("day", range(len(DAYS)))
def test_each_signature_is_held_against_the_key_of_its_time(settled, day):
    found = finding(settled, day)
    assert found.agrees == (not SAID[day])
    assert (SAID[day] or f"{len(DAYS[day](0))} signatures") in found.detail


def test_all_of_a_run_at_once(settled):
    found = finding(settled, None)
    assert not found.agrees and all(text in found.detail for text in SAID)


@pytest.mark.parametrize(("table", "column"), [("readings", "exported_wh"), ("signatures", "link")])
def test_a_folder_that_was_changed_is_not_what_the_batch_commits_to(settled, tmp_path, table, column):
    for name in ("readings", "signatures"):
        rows = pq.read_table(settled[1] / f"{name}.parquet").to_pylist()
        if name == table:
            rows[0][column] = rows[0][column] + 1 if column == "exported_wh" else "00" * 32
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    assert "commits to other readings or signatures" in finding(settled, 0, tmp_path).detail


def test_a_deployment_without_a_registry(settled):
    chain, folder, _ = settled
    history = chain.history()
    history = history | {"contracts": {"settlement": history["contracts"]["settlement"]}}
    assert "has no registry" in devices_finding(folder, history, [], {}, chain.node).detail


def test_two_meters_of_one_name_are_not_registered_silently():
    device = Device("a", "pv", 5000, 0, DeviceKey("street", 1, "a").address)
    with pytest.raises(ChainError, match="1 devices could not be registered"):
        EmbeddedChain(
            "street", START_S, devices=[device, replace(device, key=DeviceKey("street", 1, "b").address)]
        )


def test_a_registry_that_knows_another_key_is_refused_before_the_run():
    device = Device("a", "pv", 5000, 0, DeviceKey("street", 1, "a").address)
    chain = EmbeddedChain("street", START_S, devices=[device])
    registry = Contract(chain.node, "AssetRegistry", chain.contracts()["registry"])
    register(registry, embedded_keys(), chain.settlement.outbox, [device])  # known by this key: nothing to do
    other = replace(device, key=DeviceKey("street", 2, "a").address)
    with pytest.raises(ChainInputError, match="has another key for a"):
        register(registry, embedded_keys(), chain.settlement.outbox, [other])
    chain.close()

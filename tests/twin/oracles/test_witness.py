"""What a batch commits to: the devices' signatures and the readings that were agreed on."""

from dataclasses import dataclass

import numpy as np
import pytest

from adapters.chain.device_keys import DeviceKey, batch_message, device_address
from adapters.chain.readings import DeviceWord, MeterReading, Tree
from adapters.chain.typed import account_id
from market.merkle import EMPTY_ROOT
from twin.oracles.metering import Counted
from twin.oracles.witness import Witness

MARKET, SEED = "street/main", 7
A, B = account_id("a"), account_id("b")


@dataclass
class Chains:
    links: np.ndarray


def witness(own, taken=None, keep=lambda table, columns: None):
    names = ("a", "b")[: len(own)]

    def chains(links):
        return Chains(np.frombuffer(b"".join(links), dtype=np.uint8).reshape(-1, 32))

    return Witness(names, MARKET, SEED, chains(own), chains(own if taken is None else taken), keep)


def counted(exported, imported, counts):
    return Counted(np.array(exported), np.array(imported), np.array(counts))


def test_the_root_is_of_the_agreed_readings_the_late_ones_and_what_devices_signed():
    kept = {}
    made = witness([b"x" * 32, b"y" * 32], keep=kept.__setitem__)
    made.add(900, 1800, counted([250, 0], [0, 100], [True, True]))
    made.add(1800, 2700, counted([0, 0], [0, 7], [False, True]))
    made.add_late(0, 0, 900, -33)
    readings = [
        MeterReading("a", 900, 1800, 250, 0),
        MeterReading("b", 900, 1800, 0, 100),
        MeterReading("b", 1800, 2700, 0, 7),
        MeterReading("a", 0, 900, 0, 33),
    ]
    words = []
    for name, asset, link in (("a", A, b"x" * 32), ("b", B, b"y" * 32)):
        signature = DeviceKey(MARKET, SEED, name).sign(batch_message(asset, 0, 2700, link))
        words.append(DeviceWord(name, 0, 2700, link, signature))
    assert made.close(0, 2700) == Tree([leaf.line() for leaf in (*readings, *words)]).root
    assert (made.signatures, made.refused) == (2, [])
    assert kept["readings"]["asset"].tolist() == ["a", "b", "b", "a"]
    assert kept["readings"]["imported_wh"].tolist() == [0, 100, 7, 33]
    assert kept["signatures"]["signature"] == [word.signature.hex() for word in words]
    only = Tree([DeviceWord(w.asset, 2700, 3600, w.link, b"").line() for w in words]).root
    assert made.close(2700, 3600) not in (only, EMPTY_ROOT), "a batch's readings are not those of the next"
    assert made._since.intervals == [] and kept["signatures"]["start_s"] == [2700, 2700]


def test_a_meter_whose_chain_was_not_taken_signs_nothing():
    made = witness([b"x" * 32, b"y" * 32], [b"x" * 32, b"z" * 32])
    made.close(0, 900)
    assert made.signatures == 1


def test_nobody():
    assert witness([]).close(0, 900) == EMPTY_ROOT


def test_a_signature_is_of_one_device_one_period_and_one_chain():
    key = DeviceKey(MARKET, SEED, "a")
    link = b"l" * 32
    message = batch_message(A, 0, 900, link)
    signature = key.sign(message)
    assert device_address(message, signature) == key.address
    for changed in (
        batch_message(B, 0, 900, link),
        batch_message(A, 900, 1800, link),
        batch_message(A, 0, 900, b"m" * 32),
    ):
        assert device_address(changed, signature) not in ("", key.address)
    others = [DeviceKey("other/main", SEED, "a"), DeviceKey(MARKET, 8, "a"), DeviceKey(MARKET, SEED, "b")]
    assert len({key.address, *(other.address for other in others)}) == 4
    assert DeviceKey(MARKET, SEED, "a").address == key.address


def test_an_address_is_what_eth_keys_makes_of_the_key():
    from eth_hash.auto import keccak
    from eth_keys.datatypes import PrivateKey

    secret = PrivateKey(keccak(b"p2p-grid-twin device: street/main\x1f7\x1fa"))
    assert DeviceKey(MARKET, SEED, "a").address == secret.public_key.to_address()


@pytest.mark.parametrize("forged", [b"", b"\0" * 65, b"\1" * 64 + b"\x1b", b"\1" * 64 + b"\x05"])
def test_what_is_no_signature_is_of_no_registered_key(forged):
    message = batch_message(A, 0, 900, b"l" * 32)
    assert device_address(message, forged) != DeviceKey(MARKET, SEED, "a").address


def test_a_forged_device_is_refused_by_name():
    made = witness([b"x" * 32, b"y" * 32])
    made._keys[1] = DeviceKey("somebody else's", SEED, "b")
    made.close(0, 900)
    assert made.refused == [(900, "b")]

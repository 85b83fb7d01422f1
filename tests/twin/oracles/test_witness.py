"""What a batch commits to: the devices' signatures and the readings that were agreed on."""

from dataclasses import dataclass

import numpy as np
import pytest

from adapters.chain.device_keys import DeviceKey, Verifier, batch_message
from adapters.chain.readings import MeterReading, readings_root
from adapters.chain.typed import account_id
from market.merkle import EMPTY_ROOT
from twin.oracles.witness import Witness

MARKET = "street/main"
A, B = account_id("a"), account_id("b")


@dataclass
class Chains:
    links: list


def witness(own, taken=None):
    names = ("a", "b")[: len(own)]
    return Witness(names, MARKET, Chains(own), Chains(own if taken is None else taken))


def test_the_root_is_of_the_agreed_readings_and_of_the_late_ones():
    made = witness([b"x" * 32, b"y" * 32])
    made.add(900, 1800, np.array([250, -100]), np.array([True, True]))
    made.add(1800, 2700, np.array([0, -7]), np.array([False, True]))
    made.add_late(0, 0, 900, -33)
    readings = [
        MeterReading("a", 900, 1800, 250, 0),
        MeterReading("b", 900, 1800, 0, 100),
        MeterReading("b", 1800, 2700, 0, 7),
        MeterReading("a", 0, 900, 0, 33),
    ]
    assert made.close(0, 2700) == readings_root(readings)
    assert (made.signatures, made.refused) == (2, [])
    assert made.close(2700, 3600) == EMPTY_ROOT, "a batch's readings are not those of the next"


def test_a_meter_whose_chain_was_not_taken_signs_nothing():
    made = witness([b"x" * 32, b"y" * 32], [b"x" * 32, b"z" * 32])
    made.close(0, 900)
    assert made.signatures == 1


def test_nobody():
    assert witness([]).close(0, 900) == EMPTY_ROOT


def test_a_signature_is_of_one_device_one_period_and_one_chain():
    key, other = DeviceKey(MARKET, "a"), DeviceKey(MARKET, "b")
    link = b"l" * 32
    message = batch_message(A, 0, 900, link)
    signature = key.sign(message)
    assert Verifier(key).signed(message, signature)
    assert not Verifier(other).signed(message, signature), "another device's key"
    for changed in (
        batch_message(B, 0, 900, link),
        batch_message(A, 900, 1800, link),
        batch_message(A, 0, 900, b"m" * 32),
    ):
        assert not Verifier(key).signed(changed, signature)
    assert DeviceKey("other/main", "a").address != key.address == DeviceKey(MARKET, "a").address


@pytest.mark.parametrize("forged", [b"", b"\0" * 65, b"\1" * 64 + b"\x1b", b"\1" * 64 + b"\x05"])
def test_what_is_no_signature_is_refused(forged):
    key = DeviceKey(MARKET, "a")
    assert not Verifier(key).signed(batch_message(A, 0, 900, b"l" * 32), forged)


def test_a_forged_device_is_refused_by_name():
    made = witness([b"x" * 32, b"y" * 32])
    made._keys[1] = DeviceKey("somebody else's", "b")
    made.close(0, 900)
    assert made.refused == [(900, "b")]

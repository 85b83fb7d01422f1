"""The off-chain core against the contract's arithmetic: equal to the unit."""

import random

import numpy as np
import pytest

from market.arithmetic import mul_div_down, mul_div_up
from market.netting import ENTRY_DTYPE, net_positions

LARGEST = 2**63 - 1


@pytest.fixture
def probe(bench, test_artefacts):
    return bench.create("MulDivProbe", [], [], test_artefacts)


def operands(rng):
    """Numbers of every length, so that 64-, 128-bit and exact cases all come up."""
    while True:
        a, b = (rng.getrandbits(rng.randint(1, 63)) for _ in range(2))
        d = max(1, rng.getrandbits(rng.randint(1, 63)))
        if rng.random() < 0.1:
            a, d = rng.choice([0, 1, LARGEST]), rng.choice([1, 1000, 1_000_000, LARGEST])
        if -(-a * b // d) <= LARGEST:
            return a, b, d


def test_two_thousand_products_and_quotients(probe):
    rng = random.Random(20_160_118)
    cases = [operands(rng) for _ in range(2_000)]
    for start in range(0, len(cases), 250):
        part = cases[start : start + 250]
        down, up = probe.read("mulDivMany", *(list(column) for column in zip(*part, strict=True)))
        for (a, b, d), floor, ceiling in zip(part, down, up, strict=True):
            assert mul_div_down(np.int64(a), np.int64(b), np.int64(d)) == floor == a * b // d
            assert mul_div_up(np.int64(a), np.int64(b), np.int64(d)) == ceiling == -(-a * b // d)


@pytest.mark.parametrize("seed", range(4))
def test_netting_of_five_hundred_entries(probe, seed):
    rng = random.Random(seed)
    accounts = 23
    entries = np.zeros(500, dtype=ENTRY_DTYPE)
    for i in range(0, 500, 2):
        amount = rng.randint(-(2**50), 2**50)
        one, other = rng.sample(range(accounts), 2)
        entries[i]["account"], entries[i]["money_micro"] = one, amount
        entries[i + 1]["account"], entries[i + 1]["money_micro"] = other, -amount
    net, _ = net_positions(accounts, entries)
    sums = probe.read("net", accounts, entries["account"].tolist(), entries["money_micro"].tolist())
    assert net.tolist() == list(sums)
    assert sum(sums) == 0

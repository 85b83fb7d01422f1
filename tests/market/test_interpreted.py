"""Interpreted (``NUMBA_DISABLE_JIT=1``) the market core comes to the same integers, and passes the same tests."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__)


def results():
    """Every mechanism on the same books, a pool over random swaps, and a batch: a digest each."""
    from market import amm_kernels as k
    from market.amm_sizing import sized_state
    from market.arithmetic import mul_div_down, mul_div_up
    from market.mechanism import Tariff
    from market.netting import entries_from_fills, net
    from market.orders import empty_orders
    from market.registry import MECHANISM_NAMES, make_mechanism

    def digest(*arrays):
        return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()

    rng, found = np.random.default_rng(41), {}
    books = []
    for interval in range(6):
        book = empty_orders(40)
        book["id"], book["participant"] = np.arange(40), rng.integers(0, 12, 40)
        book["side"], book["interval"] = rng.choice([1, -1], 40), interval
        book["flexible"], book["energy_wh"] = rng.random(40) < 0.5, rng.integers(1, 3_000, 40)
        book["price_micro_per_kwh"], book["time"] = rng.integers(80_000, 320_001, 40), rng.integers(0, 5, 40)
        books.append(book)
    tariff = Tariff(320_000, 80_000)
    for name in MECHANISM_NAMES:
        market = make_mechanism(name)
        fills = [market.clear(book, tariff, interval).fills for interval, book in enumerate(books)]
        found[name] = digest(*fills)
    entries = entries_from_fills(np.concatenate([f for f in fills if f.size]), 12, 13)
    found["batch"] = net([f"house_{i}" for i in range(12)] + ["pool", "supplier"], entries).digest.hex()
    draw, state = random.Random(5), sized_state(100_000, 40_000, 80_000, 320_000, 1_000)
    for _ in range(1_000):
        operation, amount = draw.choice((k.buy, k.sell, k.age)), draw.randrange(1, 4_000)
        operation(state, *((2**32 - amount, 2**32, 32) if operation is k.age else (amount,)))
    found["pool"] = digest(state)
    quotients = []
    while len(quotients) < 1_000:
        a, b, d = (draw.randrange(1, 1 << draw.randrange(1, 64)) for _ in range(3))
        if a * b // d < 2**62:
            quotients += [int(mul_div_down(np.int64(a), np.int64(b), np.int64(d))),
                          int(mul_div_up(np.int64(a), np.int64(b), np.int64(d)))]  # fmt: skip
    found["quotients"] = digest(np.array(quotients, dtype=np.int64))
    return found


def interpreted(*command):
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment, check=False, timeout=280
    )


@pytest.mark.slow
def test_the_same_integers_come_out():
    done = interpreted(str(HERE))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == results()


@pytest.mark.slow
def test_the_same_tests_pass():
    done = interpreted("-m", "pytest", str(HERE.parent), "-q", "-m", "not slow", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-4_000:]
    assert " passed" in done.stdout


if __name__ == "__main__":
    print(json.dumps(results()))  # noqa: T201

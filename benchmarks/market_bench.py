"""The market core's compiled paths against plain numpy or Python in the same run; medians, compiled beforehand.

References do the same work to the same result, which is checked before anything is timed.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from benchmarks import Row
from market import amm_kernels as k
from market.amm_sizing import sized_state
from market.call_auction import CallAuction, clear_call, clear_columns
from market.mechanism import Tariff
from market.netting import ENTRY_DTYPE, entries_from_fills, net, net_positions
from market.orders import empty_fills, empty_orders

TARIFF = Tariff(retail_micro_per_kwh=320_000, feed_in_micro_per_kwh=80_000)
ORDERS = 1_000_000
SWAPS = 2_000_000
AMOUNTS = 1_024


def median_s(work: Callable[[], Any], rounds: int = 7) -> float:
    """Median CPU time of a piece of work (the machine may be shared), after one run that does not count."""
    work()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)


@njit(cache=True)  # type: ignore[misc]
def _swaps(state: Any, n: int) -> int:
    """Buy and sell amounts of a linear congruential sequence; return the sum of what traders paid."""
    x = 12345
    total = 0
    for i in range(n):
        x = (1103515245 * x + 12345) & 0x7FFFFFFF
        energy = (x >> 8) % AMOUNTS + 1
        if i & 1:
            total += k.sell(state, energy)[1]
        else:
            total -= k.buy(state, energy)[1]
    return total


def _python_swaps(state: list[int], n: int) -> int:
    """The same swaps on Python's integers."""
    fine, x, total = k.FINE, 12345, 0
    energy_wh, cash, virtual_energy, virtual_cash = state[:4]
    low, high = state[k.LOW], state[k.HIGH]
    for i in range(n):
        x = (1103515245 * x + 12345) & 0x7FFFFFFF
        energy = (x >> 8) % AMOUNTS + 1
        left, y = energy_wh * fine + virtual_energy, cash + virtual_cash
        if i & 1:
            exact = y * energy * fine // (left + energy * fine)
            if exact <= cash and low * (left + energy * fine) <= (y - exact) * 1000:
                energy_wh, cash, total = energy_wh + energy, cash - exact, total + exact // fine
        elif energy <= energy_wh:
            exact = -(-y * energy * fine // (left - energy * fine))
            if (y + exact) * 1000 <= high * (left - energy * fine):
                energy_wh, cash, total = energy_wh - energy, cash + exact, total + -exact // fine
    return total


def amm_rows() -> list[Row]:
    """Exact swaps, per second."""
    state = sized_state(1_000_000, 500_000, 80_000, 320_000, 1_000)
    assert _swaps(state.copy(), 20_000) == _python_swaps(state.tolist(), 20_000)
    mine = SWAPS / median_s(lambda: _swaps(state.copy(), SWAPS)) / 1e6
    python = 50_000 / median_s(lambda: _python_swaps(state.tolist(), 50_000), 3) / 1e6
    return [
        Row(
            "AMM swap, exact in 128 bits, with band and fee", mine, "million/s", "the same on Python integers",
            python, mine / python, "at least 30 million/s", mine >= 30,
        )
    ]  # fmt: skip


Columns = tuple[npt.NDArray[np.int8], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _sort_and_sweep(side: Any, energy: Any, price: Any) -> tuple[int, int, Any]:
    """Stable sort and sweep in numpy: (lowest clearing price, volume, accepted), earlier rows first at the margin."""
    bids, asks = np.flatnonzero(side < 0), np.flatnonzero(side > 0)
    bids = bids[np.argsort(-price[bids], kind="stable")]
    asks = asks[np.argsort(price[asks], kind="stable")]
    demand, supply = np.cumsum(energy[bids]), np.cumsum(energy[asks])
    # what each ask would sell: the demand at or above its price, against the supply up to it
    at_ask = np.searchsorted(-price[bids], -price[asks], side="right")
    wanted = np.where(at_ask > 0, demand[at_ask - 1], 0)
    volume = int(np.minimum(supply, wanted).max())
    accepted = np.zeros(side.size, dtype=np.int64)
    accepted[asks] = np.clip(volume - (supply - energy[asks]), 0, energy[asks])
    accepted[bids] = np.clip(volume - (demand - energy[bids]), 0, energy[bids])
    marginal_ask = int(price[asks[np.searchsorted(supply, volume)]])
    following = np.searchsorted(demand, volume, side="right")
    next_bid = int(price[bids[following]]) if following < bids.size else marginal_ask
    return max(marginal_ask, next_bid), volume, accepted


def _random_orders(n: int, ticks: int) -> Any:
    rng = np.random.default_rng(1)
    orders = empty_orders(n)
    orders["id"] = orders["time"] = orders["participant"] = np.arange(n)
    orders["side"] = np.where(rng.random(n) < 0.5, 1, -1)
    orders["energy_wh"] = rng.integers(1, 3_000, n)
    orders["price_micro_per_kwh"] = rng.integers(100_000, 100_000 + ticks, n)
    return orders


def auction_rows() -> list[Row]:
    """The tick-histogram auction at a million orders, and what a simulation pays per interval."""
    orders = _random_orders(ORDERS, 100_000)
    columns = [np.ascontiguousarray(orders[c]) for c in ("side", "energy_wh", "price_micro_per_kwh")]
    margin = np.empty(ORDERS, dtype=np.int64)
    price, volume, accepted = clear_call(orders, 0, 1, False)
    expected = _sort_and_sweep(*columns)
    assert (price, volume) == expected[:2]
    assert (accepted == expected[2]).all()
    reference = median_s(lambda: _sort_and_sweep(*columns), 5) * 1e3
    histogram = median_s(lambda: clear_columns(*columns, 0, margin)) * 1e3
    table = median_s(lambda: clear_call(orders, 0, 1, False)) * 1e3
    auction = CallAuction()
    whole = median_s(lambda: auction.clear(orders, TARIFF, 0), 3) * 1e3
    small = _random_orders(120, 200_000)
    each = median_s(lambda: [auction.clear(small, TARIFF, 0) for _ in range(500)]) / 500 * 1e6
    title = "stable sort and sweep in numpy"
    return [
        Row("call auction, 1,000,000 orders in 100,000 ticks", histogram, "ms", title, reference,
            reference / histogram, "at least 10 times faster", reference / histogram >= 10),
        Row("  from the order table, margins served by time", table, "ms", title, reference, reference / table),
        Row("  with validation, fills and money", whole, "ms", title, reference, reference / whole),
        Row("call auction of one interval, 120 orders, all in", each, "us", target="below 100 us", met=each < 100),
    ]  # fmt: skip


def netting_rows() -> list[Row]:
    """Netting of a million trades, and the commitment to a day's batch."""
    rng = np.random.default_rng(2)
    fills = empty_fills(ORDERS)
    fills["order_id"] = np.arange(ORDERS)
    fills["participant"] = rng.integers(0, 200, ORDERS)
    fills["side"] = np.where(rng.random(ORDERS) < 0.5, 1, -1)
    fills["counterparty"] = -1
    fills["energy_wh"] = rng.integers(1, 3_000, ORDERS)
    fills["price_micro_per_kwh"] = rng.integers(80_000, 320_000, ORDERS)
    names = [f"house_{i}" for i in range(200)] + ["pool", "supplier"]
    entries = entries_from_fills(fills, 200, 201)

    def in_numpy() -> Any:
        return np.bincount(entries["account"], weights=entries["money_micro"], minlength=202)

    assert (net_positions(202, entries)[0] == in_numpy()).all()
    trades = median_s(lambda: net_positions(202, entries_from_fills(fills, 200, 201)), 5) * 1e3
    positions = median_s(lambda: net_positions(202, entries), 5) * 1e3
    floats = median_s(in_numpy, 5) * 1e3
    day = entries[rng.integers(0, entries.size, 20_000)].astype(ENTRY_DTYPE)
    day["money_micro"][-1] -= day["money_micro"].sum()
    batch = median_s(lambda: net(names, day), 3) * 1e3
    return [
        Row("netting, 1,000,000 trades (2,000,000 entries)", positions, "ms", "numpy bincount, not exact",
            floats, floats / positions, "at most 100 ms", positions <= 100),
        Row("  with money and entries made from fills", trades, "ms", target="at most 100 ms", met=trades <= 100),
        Row("batch with Merkle root and digest, 20,000 entries", batch, "ms"),
    ]  # fmt: skip


def compile_row() -> Row:
    """Loading the auction from numba's cache in a fresh process, beside importing numba alone."""
    import subprocess
    import sys

    code = (
        "import time, numba, numpy; t = time.perf_counter()\n"
        "from market.registry import make_mechanism\n"
        "from market.mechanism import Tariff\n"
        "from market.orders import empty_orders\n"
        "make_mechanism('call_auction').clear(empty_orders(), Tariff(2, 1), 0)\n"
        "print(time.perf_counter() - t)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    return Row(
        "first clearing of a fresh process, compiled code cached", statistics.median(times) * 1e3, "ms"
    )


def run() -> list[Row]:
    """Measure all of it."""
    return [*amm_rows(), *auction_rows(), *netting_rows(), compile_row()]

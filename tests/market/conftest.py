"""Shared makers of orders; code that was compiled from other sources is dropped first."""

import os
from pathlib import Path

import numpy as np
import pytest

from twin.compiled import drop_stale_code

drop_stale_code()

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


@pytest.fixture
def count():
    """Number of cases: all of them compiled, a fraction when interpreted."""
    return lambda n, interpreted=None: n if JIT else (interpreted or max(1, n // 50))


@pytest.fixture
def tariff():
    from market.mechanism import Tariff

    return Tariff(retail_micro_per_kwh=320_000, feed_in_micro_per_kwh=80_000)


@pytest.fixture
def orders():
    """Make orders from rows (side, Wh, price[, participant[, time]])."""
    from market.orders import empty_orders

    def make(*rows, interval=0):
        book = empty_orders(len(rows))
        for i, row in enumerate(rows):
            side, energy, price, *rest = row
            participant = rest[0] if rest else i
            time = rest[1] if len(rest) > 1 else i
            book[i] = (i, participant, side, 0, True, energy, price, interval, time)
        return book

    return make


@pytest.fixture
def random_book():
    """Make a random book of n orders within a price band."""
    from market.orders import empty_orders

    def make(rng, n, low=80_000, high=320_000, most_wh=3000, interval=0):
        book = empty_orders(n)
        book["id"] = rng.permutation(n) + 10
        book["participant"] = rng.integers(0, max(1, n // 2), n)
        book["side"] = np.where(rng.random(n) < 0.5, 1, -1)
        book["device"] = rng.integers(0, 4, n)
        book["flexible"] = rng.random(n) < 0.5
        book["energy_wh"] = rng.integers(1, most_wh, n)
        book["price_micro_per_kwh"] = rng.integers(low, high + 1, n)
        book["time"] = rng.integers(0, 5, n)
        book["interval"] = interval
        return book

    return make


PROOFS = (
    "test_welfare_is_the_lp_optimum_and_the_price_lies_between_its_duals",
    "test_nobody_beats_the_optimum_where_limits_count",
    "test_sales_equal_purchases_limits_hold_and_the_fund_never_loses",
    "test_mul_div_is_that_of_python_integers",
    "test_providers_share_in_proportion_and_rounding_favours_those_who_stay",
    "test_invariants_hold_over_100_000_operations",
    "test_published_trade_counts_and_gains_at_ten_traders",
)


def pytest_collection_modifyitems(config, items):
    """The quick loop ``pytest tests/market -x``: quick tests first, longer ones last, the slow proofs deselected.

    Beside other folders, without -x or with -m of one's own, nothing is left out: CI runs the slow ones.
    """
    mine = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    if len(mine) != len(items):
        return
    items.sort(key=lambda item: getattr(item, "originalname", item.name) in PROOFS)
    named = any("::" in argument for argument in config.args)
    if config.option.maxfail == 1 and not config.option.markexpr and not named:
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]

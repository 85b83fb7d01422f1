"""pymarket (MIT), an independent implementation: maximal welfare by LP, and Huang's multi-unit trade reduction."""

import warnings

import numpy as np
import pytest

from market.mcafee import McAfee
from market.orders import BUY, SELL
from market.welfare import optimum


@pytest.fixture(scope="module")
def pymarket():
    """The package, imported where it is used: it brings pandas and a solver along."""
    with warnings.catch_warnings():
        # its docstrings hold invalid escapes, and PuLP announces deprecations of its own
        warnings.simplefilter("ignore")
        import pymarket
        import pymarket.mechanisms
        import pymarket.statistics.maximum_aggregated_utility
    return pymarket


def bids_of(pymarket, book):
    manager = pymarket.BidManager()
    for order in book:
        manager.add_bid(
            float(order["energy_wh"]),
            float(order["price_micro_per_kwh"]),
            int(order["id"]),
            bool(order["side"] == BUY),
        )
    return manager.get_df()


def distinct_book(random_book, rng, n):
    """A book in which no price occurs twice, so that no tie rule matters."""
    book = random_book(rng, n, most_wh=30)
    book["id"] = book["time"] = np.arange(n)
    book["price_micro_per_kwh"] = 100 + rng.permutation(n)
    return book


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_welfare_optimum_is_that_of_pymarket(pymarket, random_book, count):
    utility = pymarket.statistics.maximum_aggregated_utility
    rng = np.random.default_rng(31)
    for _ in range(count(10, 3)):
        book = distinct_book(random_book, rng, 12)
        _, best, _ = utility(bids_of(pymarket, book))
        assert optimum(book).welfare_micro == round(best) // 1000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_reduction_has_the_prices_and_volume_of_huang(pymarket, random_book, tariff, count):
    """Where our McAfee gives up the marginal orders, it is the auction of Huang et al. 2002."""
    rng = np.random.default_rng(32)
    compared = 0
    for _ in range(count(60, 20)):
        book = distinct_book(random_book, rng, 16)
        mine = McAfee().clear(book, tariff, 0)
        if not mine.details.get("reduced") or mine.volume_wh == 0:
            continue
        _, extra = pymarket.mechanisms.huang_auction(bids_of(pymarket, book))
        assert extra["price_buy"] == mine.details["buy_price_micro_per_kwh"]
        assert extra["price_sell"] == mine.details["sell_price_micro_per_kwh"]
        assert extra["quantity_traded"] == pytest.approx(mine.volume_wh)
        compared += 1
    assert compared > 3
    assert (book["side"] == SELL).any()

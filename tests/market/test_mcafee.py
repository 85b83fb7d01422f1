import numpy as np
import pytest

from market.mcafee import McAfee
from market.orders import BUY, SELL, empty_orders


def clear(book, tariff):
    return McAfee().clear(book, tariff, 0)


def test_the_next_pair_sets_the_price_if_it_suits_the_last_trader(orders, tariff):
    """Bids 9, 8, 7, 4; asks 2, 3, 4, 6: k = 3, p = (4 + 6)/2 = 5 lies in [4, 7]: all three trade at 5."""
    rows = [(BUY, 1, p) for p in (9, 8, 7, 4)] + [(SELL, 1, p) for p in (2, 3, 4, 6)]
    clearing = clear(orders(*rows), tariff)
    assert (clearing.price_micro_per_kwh, clearing.volume_wh) == (5, 3)
    assert clearing.fills["order_id"].tolist() == [0, 1, 2, 4, 5, 6]
    assert set(clearing.fills["price_micro_per_kwh"].tolist()) == {5}
    assert clearing.details == {"reduced": 0}


def test_otherwise_the_least_valuable_trade_is_given_up(orders, tariff):
    """Bids 9, 8, 7, 4; asks 2, 3, 4, 12: p = 8 > b_3 = 7, so two trade; buyers pay 7, sellers get 4."""
    rows = [(BUY, 1000, p) for p in (9, 8, 7, 4)] + [(SELL, 1000, p) for p in (2, 3, 4, 12)]
    clearing = clear(orders(*rows), tariff)
    assert clearing.volume_wh == 2000
    assert clearing.fills["order_id"].tolist() == [0, 1, 4, 5]
    assert clearing.fills["price_micro_per_kwh"].tolist() == [7, 7, 4, 4]
    assert clearing.residue_micro == 2 * (7 - 4)
    assert clearing.details["reduced"] == 1


def test_without_a_next_pair_the_last_trade_is_given_up(orders, tariff):
    clearing = clear(orders((BUY, 1, 9), (SELL, 1, 2)), tariff)
    assert (clearing.volume_wh, clearing.price_micro_per_kwh) == (0, None)
    clearing = clear(orders((BUY, 1, 9), (BUY, 1, 8), (SELL, 1, 2), (SELL, 1, 3)), tariff)
    assert clearing.fills["price_micro_per_kwh"].tolist() == [8, 3]


def test_the_longer_side_is_served_in_proportion_after_a_reduction(orders, tariff):
    """The marginal bid (5 Wh at 5) and ask (9 Wh at 4) leave: 4 + 4 Wh wanted, 2 offered."""
    book = orders((BUY, 4, 9), (BUY, 4, 8), (BUY, 5, 5), (SELL, 2, 2), (SELL, 9, 4))
    clearing = clear(book, tariff)
    assert clearing.details["reduced"] == 1
    assert dict(
        zip(clearing.fills["order_id"].tolist(), clearing.fills["energy_wh"].tolist(), strict=True)
    ) == {
        0: 1,
        1: 1,
        3: 2,
    }


def units(rng, n):
    """A book of n buyers and n sellers of one unit each, valuations uniform."""
    book = empty_orders(2 * n)
    book["id"] = book["time"] = book["participant"] = np.arange(2 * n)
    book["side"] = np.r_[np.full(n, BUY), np.full(n, SELL)]
    book["energy_wh"] = 1
    book["price_micro_per_kwh"] = rng.integers(1, 10**9, 2 * n)
    return book


@pytest.mark.parametrize("times", [1_000, pytest.param(6_000, marks=pytest.mark.slow)])
def test_published_trade_counts_and_gains_at_ten_traders(tariff, count, times):
    """erelsgl/auctions, results/experiment_comparing_mcafee_to_sbb.csv, 50 000 runs at n = 10, uniform valuations.

    Optimal 4.99 trades, McAfee 4.52; 98.37 % of the gains from trade in total, 91.78 % for the traders.
    """
    runs = count(times, 300)
    rng = np.random.default_rng(1992)
    optimal = mcafee = 0
    gain_optimal = gain_total = gain_traders = 0
    for _ in range(runs):
        book = units(rng, 10)
        bids = np.sort(book["price_micro_per_kwh"][:10])[::-1]
        asks = np.sort(book["price_micro_per_kwh"][10:])
        k = int((bids >= asks).sum())
        clearing = clear(book, tariff)
        fills = clearing.fills
        optimal += k
        mcafee += clearing.volume_wh
        gain_optimal += (bids - asks)[:k].sum()
        gain_total += -(fills["side"] * fills["limit_micro_per_kwh"]).sum()
        gain_traders += ((fills["price_micro_per_kwh"] - fills["limit_micro_per_kwh"]) * fills["side"]).sum()
    wide = (6_000 / runs) ** 0.5
    assert optimal / runs == pytest.approx(4.99, abs=0.05 * wide)
    assert mcafee / runs == pytest.approx(4.52, abs=0.05 * wide)
    assert 100 * gain_total / gain_optimal == pytest.approx(98.37, abs=0.25 * wide)
    assert 100 * gain_traders / gain_optimal == pytest.approx(91.78, abs=0.6 * wide)


def test_no_unit_trader_gains_by_another_bid(tariff, count):
    """Truthfulness by brute force: a trader's profit at any other limit is at most that of the true one."""
    rng = np.random.default_rng(3)
    for _ in range(count(40, 4)):
        book = units(rng, 4)
        book["price_micro_per_kwh"] = rng.integers(1, 12, 8)
        trader = int(rng.integers(8))
        worth, side = int(book["price_micro_per_kwh"][trader]), int(book["side"][trader])

        def profit(limit, book=book, trader=trader, worth=worth, side=side):
            other = book.copy()
            other["price_micro_per_kwh"][trader] = limit
            fills = clear(other, tariff).fills
            mine = fills[fills["order_id"] == trader]
            return int((mine["price_micro_per_kwh"] - worth).sum()) * side

        honest = profit(worth)
        assert honest >= 0
        assert max(profit(limit) for limit in range(13)) <= honest


def test_it_is_never_in_deficit(random_book, tariff, count):
    rng = np.random.default_rng(4)
    for _ in range(count(100, 20)):
        clearing = clear(random_book(rng, int(rng.integers(2, 60))), tariff)
        fills = clearing.fills
        assert clearing.residue_micro >= 0
        assert (fills["side"] * fills["energy_wh"]).sum() == 0
        assert ((fills["price_micro_per_kwh"] - fills["limit_micro_per_kwh"]) * fills["side"] >= 0).all()

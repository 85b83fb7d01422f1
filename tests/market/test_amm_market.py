import numpy as np
import pytest

from market.amm import DissipativePool
from market.amm_market import KEPT, AmmMarket
from market.errors import OrderError, RangeError
from market.mechanism import Tariff
from market.money import fills_money_micro
from market.orders import BUY, SELL
from market.recut import settle_accepted


def test_one_sale_and_one_purchase_are_swaps_of_the_pool(orders, tariff):
    """The pool opens empty at the middle of the band, 200; the same two swaps on a pool by hand."""
    clearing = AmmMarket(50_000, 1_000).clear(orders((SELL, 1_000, 80_000), (BUY, 1_000, 320_000)), tariff, 0)
    pool = DissipativePool(Tariff(200_000, 80_000), 50_000, 1_000, "pool")
    got, paid = pool.sell(1_000, 0, 0).money_micro, pool.buy(1_000).money_micro
    assert fills_money_micro(clearing.fills).tolist() == [got, -paid]
    assert clearing.residue_micro == paid - got > 0


def test_unsold_energy_goes_back_to_its_sellers(orders, tariff):
    book = orders((SELL, 1_000, 80_000), (SELL, 1_000, 80_000), (BUY, 1_500, 320_000))
    clearing = AmmMarket().clear(book, tariff, 0)
    assert clearing.fills["energy_wh"].tolist() == [1_000, 500, 1_500]


def test_a_buyer_before_the_sellers_is_tried_again(orders, tariff):
    book = orders((BUY, 1_000, 320_000), (SELL, 1_000, 80_000))
    assert AmmMarket().clear(book, tariff, 0).volume_wh == 1_000


def test_sales_equal_purchases_limits_hold_and_the_fund_never_loses(random_book, tariff, count):
    rng = np.random.default_rng(13)
    traded = 0
    for interval in range(count(150, 8)):
        book = random_book(rng, int(rng.integers(0, 80)), interval=interval)
        market = AmmMarket(int(rng.choice([2_000, 20_000, 500_000])), int(rng.choice([1, 1_000, 30_000])))
        clearing = market.clear(book, tariff, interval)
        fills = clearing.fills
        assert (fills["energy_wh"] * fills["side"]).sum() == 0
        assert ((fills["price_micro_per_kwh"] - fills["limit_micro_per_kwh"]) * fills["side"] >= 0).all()
        assert clearing.residue_micro == -fills_money_micro(fills).sum() >= 0
        assert np.unique(fills["order_id"]).size == fills.size
        traded += clearing.volume_wh
    assert traded > 0


def cut(fills, rng):
    """Accept a random part of every row such that sales equal purchases."""
    accepted = rng.integers(0, fills["energy_wh"] + 1)
    surplus = int((accepted * fills["side"]).sum())
    for row in range(fills.size):
        if surplus * int(fills["side"][row]) > 0:
            take = min(abs(surplus), int(accepted[row]))
            accepted[row] -= take
            surplus -= take * int(fills["side"][row])
    return accepted


def test_accepted_amounts_are_executed_again_from_the_opening_state(random_book, tariff, count):
    rng = np.random.default_rng(14)
    changed = 0
    for _ in range(count(60, 5)):
        book = random_book(rng, 40)
        market = AmmMarket(20_000, 1_000)
        clearing = market.clear(book, tariff, 0)
        fills = clearing.fills
        whole = settle_accepted(market, fills, fills["energy_wh"])
        assert whole.fills["price_micro_per_kwh"].tolist() == fills["price_micro_per_kwh"].tolist()
        accepted = cut(fills, rng)
        settled = settle_accepted(market, fills, accepted)
        assert settled.fills["energy_wh"].tolist() == accepted.tolist()
        assert settled.pool_imbalance_wh == 0
        assert settled.residue_micro == -settled.money_micro.sum()
        live = accepted > 0
        gain = (settled.fills["price_micro_per_kwh"] - fills["limit_micro_per_kwh"]) * fills["side"]
        assert (gain[live] >= 0).all()
        changed += (settled.fills["price_micro_per_kwh"] != fills["price_micro_per_kwh"])[live].sum()
    assert changed > 0


def test_less_sold_means_a_dearer_pool(orders, tariff):
    """Half of both sides cut: the pool holds less, so the price falls less, for sellers and buyers alike."""
    market = AmmMarket(20_000, 1_000)
    fills = market.clear(orders((SELL, 4_000, 80_000), (BUY, 4_000, 320_000)), tariff, 0).fills
    settled = settle_accepted(market, fills, fills["energy_wh"] // 2)
    assert (settled.fills["price_micro_per_kwh"] > fills["price_micro_per_kwh"]).all()


def test_an_unbalanced_cut_keeps_the_prices(orders, tariff):
    market = AmmMarket()
    fills = market.clear(orders((SELL, 4_000, 80_000), (BUY, 4_000, 320_000)), tariff, 0).fills
    settled = settle_accepted(market, fills, np.array([0, 4_000]))
    assert settled.fills["price_micro_per_kwh"].tolist() == fills["price_micro_per_kwh"].tolist()
    assert settled.pool_imbalance_wh == -4_000


def test_fills_of_another_clearing_are_refused(orders, tariff):
    market = AmmMarket()
    fills = market.clear(orders((SELL, 4_000, 80_000), (BUY, 4_000, 320_000)), tariff, 0).fills
    known = market.reexecute(fills, fills["energy_wh"] // 2)
    for interval in range(1, KEPT):
        market.clear(orders(interval=interval), tariff, interval)
    again = market.reexecute(fills, fills["energy_wh"] // 2)  # a ledger may come after the next clearings
    assert again.tobytes() == known.tobytes()
    market.clear(orders(interval=KEPT), tariff, KEPT)
    with pytest.raises(OrderError, match="not those of a clearing that is still known"):
        market.reexecute(fills, fills["energy_wh"])


def test_orders_ahead_wait_for_their_interval(orders, tariff):
    market = AmmMarket(horizon=1)
    ahead = orders((SELL, 1_000, 80_000), interval=1)
    assert market.clear(ahead, tariff, 0).volume_wh == 0
    bid = orders((BUY, 1_000, 320_000), interval=1)
    with pytest.raises(OrderError, match="used before"):
        market.clear(ahead, tariff, 1)
    bid["id"] = 9
    assert market.clear(bid, tariff, 1).volume_wh == 1_000


def test_a_tariff_without_a_band_has_no_pool(orders):
    with pytest.raises(RangeError, match="needs 0 <= energy"):
        AmmMarket().clear(orders((SELL, 1, 1)), Tariff(5, 5), 0)

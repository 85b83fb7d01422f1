"""The naive pool and the expiring one, named comparisons of the dissipative pool."""

from decimal import Decimal

import pytest

from market.amm_expiring import ExpiringPool, ResidualOffer, pooled_exponent
from market.amm_naive import NaivePool
from market.errors import PoolRefusalError, RangeError


def test_the_naive_pool_is_uniswap_v2_by_hand():
    """x = 1000, y = 100000: buy 100 costs ceil(100000*100/900) = 11112; with 1 % inside, ceil(11112/0.99) = 11225."""
    pool = NaivePool(1000, 100_000, 10_000)
    assert pool.quote_buy(100).money_micro == 11_225
    # sell 100 with 1 % off the amount in: floor(100000*99/(1000 + 99)) = 9008
    assert pool.quote_sell(100).money_micro == 9_008
    k = pool.energy_wh * pool.cash_micro
    pool.buy(100)
    pool.sell(100)
    assert pool.energy_wh * pool.cash_micro > k


@pytest.mark.parametrize(
    ("operate", "code"),
    [
        (lambda p: p.buy(1000), "larger_than_pool"),
        (lambda p: p.buy(0), "not_positive"),
        (lambda p: p.sell(-1), "not_positive"),
        (lambda p: p.age(0, 1), "out_of_range"),
        (lambda p: p.age(2, 1), "out_of_range"),
    ],
)
def test_the_naive_pool_refuses_and_stays(operate, code):
    pool = NaivePool(1000, 100_000, 0)
    with pytest.raises(PoolRefusalError) as caught:
        operate(pool)
    assert caught.value.code == code
    assert (pool.energy_wh, pool.cash_micro) == (1000, 100_000)
    with pytest.raises(RangeError):
        NaivePool(0, 1, 0)


def test_the_exponent_is_the_weighted_geometric_mean():
    """c = 1^(1/4) * 16^(3/4) = 8."""
    assert pooled_exponent({"a": 1_000_000, "b": 16_000_000}, {"a": 1, "b": 3}) == pytest.approx(
        Decimal(8), abs=Decimal("1e-30")
    )
    for wrong in (({"a": 1}, {"b": 1}), ({"a": 0}, {"a": 1}), ({"a": 1}, {"a": 0}), ({}, {})):
        with pytest.raises(RangeError):
            pooled_exponent(*wrong)


def test_the_expiring_curve_by_hand():
    """x = 100, y = 1000, c = 2: price 2*1000/100 = 20 per Wh; buying 50 costs 1000*(4 - 1) = 3000."""
    pool = ExpiringPool(100, 1_000, Decimal(2), 0, expiry_s=900, freeze_s=60)
    assert pool.price_micro_per_kwh == 20_000
    assert pool.buy(50, at_s=0).money_micro == 3_000
    assert pool.sell(50, at_s=839).money_micro == 3_000
    assert (pool.energy_wh, pool.cash_micro) == (100, 1_000)
    with pytest.raises(PoolRefusalError, match="frozen"):
        pool.buy(1, at_s=840)
    assert pool.residual_offer(840, 80) == ResidualOffer(100, 80)
    with pytest.raises(PoolRefusalError, match="trades until"):
        pool.residual_offer(839, 80)
    with pytest.raises(PoolRefusalError, match="larger_than_pool"):
        pool.buy(100, at_s=0)
    with pytest.raises(RangeError):
        ExpiringPool(100, 0, Decimal(1), 0, 1, 0)


def test_with_exponent_one_it_is_the_constant_product():
    expiring = ExpiringPool(1000, 100_000, Decimal(1), 0, 900, 0)
    naive = NaivePool(1000, 100_000, 0)
    for energy in (1, 17, 400):
        assert expiring.buy(energy, 0).money_micro == naive.buy(energy).money_micro
        assert expiring.sell(energy, 0).money_micro == naive.sell(energy).money_micro


def test_rounding_is_against_the_trader():
    pool = ExpiringPool(1_000, 10_000, Decimal("1.3"), 3_000, 900, 0)
    for _ in range(50):
        before = pool.cash_micro + pool.fees_micro
        paid = pool.buy(7, 0).money_micro
        got = pool.sell(7, 0).money_micro
        assert paid > got
        assert pool.cash_micro + pool.fees_micro == before + paid - got

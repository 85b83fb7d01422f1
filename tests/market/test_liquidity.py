import pytest

from market.amm import INITIAL_SHARES, DissipativePool
from market.claims import Claim
from market.errors import PoolRefusalError
from market.liquidity import Account, Arbitrageur, Provider
from market.orders import BATTERY


@pytest.fixture
def pool(tariff):
    return DissipativePool(tariff, 100_000, 2_000, "anna", (Claim(0, BATTERY, 30_000),))


def test_a_provider_earns_its_part_of_the_fees(pool):
    """Trade goes to and fro, so the pool ends where it began and all that is left over are fees."""
    ben = Provider("ben", 1, BATTERY)
    ben.bring(pool, INITIAL_SHARES)  # half of the pool
    fees = 0
    for _ in range(20):
        fees += pool.buy(2_000).fee_micro
        fees += pool.sell(2_000, 2, BATTERY).fee_micro
    ben.take(pool, INITIAL_SHARES)
    assert ben.account.energy_wh == 0
    assert ben.account.money_micro == pytest.approx(fees / 2, abs=30)


def test_a_provider_redeems_after_the_close(pool, tariff):
    ben = Provider("ben", 1, BATTERY)
    ben.bring(pool, INITIAL_SHARES)
    spent = ben.account.money_micro
    pool.close()
    ben.redeem(pool)
    assert ben.account.money_micro > spent
    # at the feed-in price nothing was gained but the rounding of one Wh
    assert ben.account.profit_micro(80_000) <= 0
    assert ben.account.energy_wh == -30_000
    with pytest.raises(PoolRefusalError, match="no_shares"):
        pool.redeem("ben", 1)


@pytest.mark.parametrize("outside", [81_000, 150_000, 319_000])
def test_an_arbitrageur_moves_the_pool_to_the_outside_price_and_profits(pool, outside):
    trader = Arbitrageur(9, BATTERY)
    before = abs(pool.price_micro_per_kwh - outside)
    profit = trader.trade(pool, outside, 100_000)
    assert profit > 0
    assert trader.account == Account(profit, 0, trader.account.volume_wh)
    assert abs(pool.price_micro_per_kwh - outside) < before
    # what is left is within the fee and the rounding
    assert abs(float(pool.price_micro_per_kwh) / outside - 1) < 0.0045
    assert trader.trade(pool, outside, 100_000) <= 2


@pytest.mark.parametrize("filled_wh", [300, 30_000, 99_000])
def test_between_pool_and_supplier_there_is_nothing_to_earn(tariff, filled_wh):
    """The pool's price never leaves the supplier's band: buying at retail, or feeding in, does not pay anywhere."""
    pool = DissipativePool(tariff, 100_000, 2_000, "anna", (Claim(0, BATTERY, filled_wh),))
    trader = Arbitrageur(9, BATTERY)
    assert trader.best(pool, tariff.retail_micro_per_kwh, 20_000, buying=False) == (0, 0)
    assert trader.best(pool, tariff.feed_in_micro_per_kwh, 20_000, buying=True) == (0, 0)


def test_inside_the_fee_there_is_nothing_to_gain(pool):
    trader = Arbitrageur(9, BATTERY)
    assert trader.trade(pool, int(pool.price_micro_per_kwh), 100_000) == 0
    assert trader.account == Account()


def test_profit_values_energy_at_a_price():
    assert Account(100, -1_000).profit_micro(80) == 20

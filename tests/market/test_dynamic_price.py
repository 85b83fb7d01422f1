import pytest

from market.dynamic_price import MEMBERS, PublishedIndex, inventory_price, publish
from market.errors import ParameterError, TariffError
from market.local_price import rates
from market.mechanism import Tariff
from market.supply_demand_ratio import supply_demand_price

BAND = Tariff(400_000, 80_000)


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("mid_market", [400_000, 320_000, 240_000, 160_000, 80_000]),
        ("constant_product", [400_000, 233_440, 152_790, 107_710, 80_000]),
        ("supply_demand", [400_000, 200_000, 133_333, 100_000, 80_000]),
    ],
)
def test_the_three_members_of_the_family(member, expected):
    """p(u) at u = 0, 1/4, 1/2, 3/4, 1 between 80 and 400, by hand.

    The line of the mid-market rate (Long et al. 2017), 1000/((1-u)/sqrt(hi) + u/sqrt(lo))^2 (a Uniswap v3 position), and
    the ratio rule 1/p = (1-u)/hi + u/lo (N. Liu et al. 2017).
    """
    prices = [inventory_price(member, filled, 100, BAND) for filled in (0, 25, 50, 75, 100)]
    assert prices == pytest.approx(expected, abs=6)
    assert inventory_price(member, 500, 100, BAND) == 80_000


def test_the_supply_demand_member_is_the_ratio_rule():
    for sold in (1, 37, 50, 99, 100, 150):
        assert inventory_price("supply_demand", sold, 100, BAND) == supply_demand_price(sold, 100, BAND)


def test_the_line_is_what_the_mid_market_rate_charges_consumers():
    """c = (m S + hi (D-S))/D falls on the line from retail to the middle: p(u) with u = S/(2D)."""
    c, _ = rates(240_000, 30, 100, BAND)
    assert inventory_price("mid_market", 30, 200, BAND) == c


def test_prices_fall_as_the_pool_fills():
    for member in MEMBERS:
        prices = [inventory_price(member, filled, 1000, BAND) for filled in range(0, 1001, 50)]
        assert prices == sorted(prices, reverse=True)
        assert min(prices) >= 80_000
        assert max(prices) <= 400_000


def test_the_index_is_published_per_interval():
    assert publish("mid_market", 7, 50, 100, BAND) == PublishedIndex(7, "mid_market", 50, 100, 240_000)


def test_wrong_input():
    with pytest.raises(ParameterError, match="allowed: mid_market, constant_product, supply_demand"):
        inventory_price("x", 0, 1, BAND)
    with pytest.raises(ParameterError, match="no fraction"):
        inventory_price("mid_market", -1, 1, BAND)
    with pytest.raises(ParameterError, match="no fraction"):
        inventory_price("mid_market", 0, 0, BAND)
    with pytest.raises(TariffError, match="positive feed-in"):
        inventory_price("constant_product", 0, 1, Tariff(9, 0))
    assert inventory_price("mid_market", 1, 2, Tariff(100, -100)) == 0

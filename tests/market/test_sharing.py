import pytest

from market.errors import BillingError, ParameterError
from market.orders import BUY, SELL
from market.shares import largest_remainder
from market.sharing import SharingCoefficients, assign


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # 100 Wh for uses 80, 20, 60 with parts 50, 30, 20 %
        ("static", [50, 20, 20]),  # 30 offered to the second, it uses 20: 10 Wh are exported
        ("dynamic", [50, 13, 37]),  # 100/160 of the use: 50, 12.5, 37.5; the tie goes to the earlier
        ("hybrid", [54, 20, 26]),  # static, then 10 Wh over the open use 30, 0, 40: 4.29, 5.71
    ],
)
def test_the_three_keys_by_hand(key, expected):
    """Directive (EU) 2024/1711, art. 15a, leaves the key to the members: fixed parts (as the coefficients of the Spanish
    Real Decreto 244/2019, annex I), in proportion to use (the default of French collective self-consumption), or both.
    """
    assert assign(100, [80, 20, 60], key, [500_000, 300_000, 200_000]) == expected


def test_nobody_gets_more_than_he_uses_and_nothing_is_lost():
    assert assign(1000, [80, 20], "dynamic", []) == [80, 20]
    assert assign(1000, [80, 20], "hybrid", [10, 10]) == [80, 20]
    assert assign(0, [80, 20], "static", [500_000, 500_000]) == [0, 0]


@pytest.mark.parametrize("parts", [[500_000], [600_000, 500_000], [-1, 5]])
def test_coefficients_must_be_parts_of_one(parts):
    with pytest.raises(ParameterError, match="needs one per member"):
        assign(100, [80, 20], "static", parts)


def test_as_a_mechanism(orders, tariff):
    book = orders((SELL, 60, 0, 9), (SELL, 40, 0, 8), (BUY, 80, 0, 1), (BUY, 20, 0, 2), (BUY, 60, 0, 3))
    static = SharingCoefficients("static", 250_000, {1: 500_000, 2: 300_000, 3: 200_000})
    clearing = static.clear(book, tariff, 0)
    assert clearing.price_micro_per_kwh == 140_000  # a quarter of the band above feed-in
    assert clearing.fills["energy_wh"].tolist() == [54, 36, 50, 20, 20]
    dynamic = SharingCoefficients().clear(book, tariff, 0)
    assert dynamic.volume_wh == 100
    equal = SharingCoefficients("static").clear(book, tariff, 0)
    assert equal.fills["energy_wh"][2:].tolist() == [33, 20, 33]


def test_a_members_part_is_split_over_its_orders(orders, tariff):
    book = orders((SELL, 100, 0, 9), (BUY, 30, 0, 1), (BUY, 90, 0, 1))
    clearing = SharingCoefficients("static", 0, {1: 400_000}).clear(book, tariff, 0)
    assert clearing.fills["energy_wh"].tolist() == [40, 10, 30]


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (10, [6, 6, 3], [4, 4, 2]),
        (-10, [1, 1, 1], [-4, -3, -3]),
        (0, [0, 0], [0, 0]),
    ],
)
def test_largest_remainder(amount, weights, parts):
    assert largest_remainder(amount, weights) == parts


def test_nothing_is_shared_over_nobody():
    with pytest.raises(BillingError):
        largest_remainder(1, [0, 0])
    with pytest.raises(BillingError):
        largest_remainder(1, [2, -1])

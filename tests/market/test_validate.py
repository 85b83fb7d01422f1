import numpy as np
import pytest

from market.errors import OrderError, TariffError
from market.mechanism import Tariff
from market.orders import BUY, SELL, empty_orders
from market.registry import MECHANISM_NAMES, make_mechanism
from market.validate import MAX_ENERGY_WH, MAX_PRICE, check_orders, check_tariff, order_problems


def test_a_sound_book_has_no_problems(orders, random_book):
    assert order_problems(orders((SELL, 1, -5), (BUY, MAX_ENERGY_WH, MAX_PRICE)), 0) == []
    assert order_problems(random_book(np.random.default_rng(1), 200), 0) == []
    assert order_problems(empty_orders(), 0) == []


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("energy_wh", 0, "energy_wh is 0; allowed is 1 to"),
        ("energy_wh", -5, "energy_wh is -5"),
        ("energy_wh", MAX_ENERGY_WH + 1, "energy_wh is 1000000001"),
        ("energy_wh", 2**62, "energy_wh is"),
        ("price_micro_per_kwh", MAX_PRICE + 1, "price_micro_per_kwh is"),
        ("price_micro_per_kwh", -(2**63), "price_micro_per_kwh is"),
        ("side", 0, "side is 0; allowed are 1 (sell) and -1 (buy)"),
        ("device", 5, "device is 5; allowed is 0 to 4"),
        ("participant", -1, "participant is -1"),
        ("time", -1, "time is -1"),
        ("interval", 1, "interval is 1; allowed is 0 to 0"),
    ],
)
def test_every_fault_is_named_with_what_is_allowed(orders, column, value, words):
    book = orders((SELL, 100, 5), (BUY, 100, 5))
    book[1][column] = value
    problems = order_problems(book, 0)
    assert len(problems) == 1
    assert words in problems[0]
    assert problems[0].startswith("order 1 (row 1)")


def test_all_problems_come_at_once(orders):
    book = orders((SELL, 0, 5), (BUY, 100, 2**40), (BUY, -1, 5))
    book["id"] = [3, 3, 4]
    with pytest.raises(OrderError) as caught:
        check_orders(book, 0)
    assert len(caught.value.problems) == 4
    assert "the id occurs 2 times" in caught.value.problems[-1]


def test_duplicate_ids_are_found_in_any_order(orders):
    book = orders((SELL, 1, 5), (BUY, 1, 5), (BUY, 1, 5))
    book["id"] = [9, 2, 9]
    assert order_problems(book, 0) == ["order 9: the id occurs 2 times; ids must be unique in a book"]


def test_another_array_is_no_book():
    assert "must be a one-dimensional array" in order_problems(np.zeros(3), 0)[0]
    assert "must be a one-dimensional array" in order_problems([1, 2], 0)[0]
    assert "must be a one-dimensional array" in order_problems(empty_orders(4).reshape(2, 2), 0)[0]


@pytest.mark.parametrize("name", MECHANISM_NAMES)
def test_no_mechanism_takes_an_invalid_book_or_tariff(name, orders, tariff):
    mechanism = make_mechanism(name)
    bad = orders((SELL, 0, 5), (BUY, 5, 2**40))
    with pytest.raises(OrderError) as caught:
        mechanism.clear(bad, tariff, 0)
    assert len(caught.value.problems) == 2
    with pytest.raises(TariffError, match="feed-in 9 and retail 8"):
        mechanism.clear(orders((SELL, 1, 5)), Tariff(8, 9), 0)


def test_a_tariff_beyond_the_range_is_refused():
    with pytest.raises(TariffError):
        check_tariff(Tariff(MAX_PRICE + 1, 0))
    check_tariff(Tariff(-5, -5))

"""Rounding and balance of a pool, exactly."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.orders import BUY, POOL, SELL, SUPPLIER
from twin.gate.units import make_units, power_of

PRICE = 200_000


def units_of(fills, n=5):
    return make_units(fills, np.arange(n), n, 900)


def test_the_longer_side_gives_up_what_moves_nothing_then_the_least_valuable_then_the_latest(book):
    fills = book(
        (0, SELL, 100, POOL, True, PRICE, PRICE - 50_000),
        (1, SELL, 100, POOL, True, PRICE, PRICE - 9_000),
        (2, SELL, 100, POOL, True, PRICE, PRICE - 9_000),
        (3, SELL, 50, POOL, False, PRICE, PRICE - 90_000),
        (4, BUY, 350, POOL, False, PRICE, PRICE),
    )
    units = units_of(fills)
    wanted = lambda buy: units.balanced(np.array([100, 100, 100, 50, buy])).tolist()  # noqa: E731
    assert wanted(350) == [100, 100, 100, 50, 350]
    assert wanted(330) == [100, 100, 100, 30, 330]
    assert wanted(270) == [100, 100, 70, 0, 270]
    assert wanted(150) == [100, 50, 0, 0, 150]
    assert wanted(0) == [0, 0, 0, 0, 0]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.floats(0, 1), min_size=6, max_size=6), st.integers(1, 999))
def test_rounding_never_raises_anything_and_always_balances(book, shares, split):
    fills = book(
        (0, SELL, 1000, POOL),
        (1, SELL, 500, POOL, False),
        (2, BUY, split, POOL),
        (3, BUY, 1500 - split, POOL, False),
        (4, BUY, 77, SUPPLIER),
        (0, SELL, 33, 1),
        (1, BUY, 33, 0),
    )
    units = units_of(fills)
    wanted = np.array(shares) * units.energy_wh
    rows = units.rows(units.balanced(wanted))
    assert int((rows * fills["side"])[:4].sum()) == 0 and rows[5] == rows[6]
    assert (units.balanced(wanted) <= wanted + 1e-6).all() and (rows >= 0).all()


def test_a_whole_order_that_a_solver_returns_a_hair_short_stays_whole(book):
    units = units_of(book((4, BUY, 77, SUPPLIER)))
    assert units.balanced(np.array([77 - 1e-9])).tolist() == [77]
    assert units.balanced(np.array([76.99])).tolist() == [76]


def test_units_follow_the_order_ids_and_value_the_surplus_of_both_sides(book):
    fills = book(
        (0, SELL, 10, 1, True, PRICE, PRICE - 7_000),
        (1, BUY, 10, 0, True, PRICE, PRICE + 5_000),
        (4, BUY, 20, SUPPLIER, True, PRICE, PRICE),
    )
    fills["order_id"] = (7, 9, 2)
    units = units_of(fills)
    assert units.row_unit.tolist() == [1, 1, 0]
    assert units.weight.tolist() == [1000.0, 12_000.0]
    assert units.effect_w_per_wh[:, 1].tolist() == [4.0, -4.0, 0, 0, 0]
    power = power_of(fills, fills["energy_wh"], np.arange(5), 5, 900)
    assert power.tolist() == [40.0, -40.0, 0, 0, -80.0] == pytest.approx(units.power_w(units.energy_wh))

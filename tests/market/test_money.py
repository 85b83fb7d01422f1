from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import RangeError
from market.money import (
    buyer_pays_up_micro,
    fill_money_micro,
    fills_money_micro,
    residue_micro,
    seller_gets_down_micro,
)
from market.orders import BUY, SELL, empty_fills
from market.validate import MAX_ENERGY_WH, MAX_PRICE


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.integers(0, MAX_ENERGY_WH), st.integers(-MAX_PRICE, MAX_PRICE))
def test_buyers_pay_up_and_sellers_get_down(energy, price):
    exact = Fraction(energy * price, 1000)
    assert buyer_pays_up_micro(energy, price) == ceil(exact)
    assert seller_gets_down_micro(energy, price) == floor(exact)
    fills = empty_fills(2)
    fills["side"] = [SELL, BUY]
    fills["energy_wh"], fills["price_micro_per_kwh"] = energy, price
    assert fills_money_micro(fills).tolist() == [floor(exact), -ceil(exact)]
    assert fill_money_micro(SELL, energy, price) == floor(exact)
    assert fill_money_micro(BUY, energy, price) == -ceil(exact)
    assert residue_micro(fills) == ceil(exact) - floor(exact)


@pytest.mark.parametrize(("energy", "price"), [(-1, 5), (MAX_ENERGY_WH + 1, 1), (1, MAX_PRICE + 1)])
def test_amounts_out_of_range_are_refused(energy, price):
    for function in (buyer_pays_up_micro, seller_gets_down_micro):
        with pytest.raises(RangeError, match="allowed is"):
            function(energy, price)
    fills = empty_fills(1)
    fills["side"], fills["energy_wh"], fills["price_micro_per_kwh"] = SELL, energy, price
    with pytest.raises(RangeError):
        fills_money_micro(fills)


def test_a_side_must_be_one_of_two():
    with pytest.raises(RangeError, match="side is 0"):
        fill_money_micro(0, 1, 1)


def test_accepted_energy_must_fit_the_fills():
    with pytest.raises(RangeError, match="must be int64"):
        fills_money_micro(empty_fills(2), np.zeros(2))

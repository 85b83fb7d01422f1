"""The compiled division agrees with the one in Python integers, and gives way to it where it could overflow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import BillingError
from market.shares import largest_remainder, largest_remainder_array

weights = st.lists(st.integers(0, 50) | st.integers(0, 2**40), min_size=1, max_size=12).filter(any)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(amount=st.integers(-(2**34), 2**34) | st.integers(0, 40), weights=weights)
def test_both_divide_alike(amount, weights):
    got = largest_remainder_array(amount, np.array(weights, dtype=np.int64)).tolist()
    assert got == largest_remainder(amount, weights)
    assert sum(got) == amount


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1, 5]])
def test_weights_that_share_nothing_are_refused_by_both(weights):
    for divide, given_ in (
        (largest_remainder, weights),
        (largest_remainder_array, np.array(weights, dtype=np.int64)),
    ):
        with pytest.raises(BillingError, match="weights must be"):
            divide(7, given_)

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.arithmetic import (
    LARGEST,
    divide_product,
    mul_div_down,
    mul_div_up,
    product_at_most,
    small_product_at_most,
)

whole = st.one_of(
    st.integers(0, LARGEST),
    st.integers(0, 63).flatmap(lambda n: st.integers(max(0, 2**n - 2), min(LARGEST, 2**n + 2))),
)


def check(a, b, d):
    for function, exact in ((mul_div_down, a * b // d), (mul_div_up, -(-a * b // d))):
        arguments = (np.int64(a), np.int64(b), np.int64(d))
        if exact > LARGEST:
            with pytest.raises(OverflowError):
                function(*arguments)
        else:
            assert function(*arguments) == exact


@settings(max_examples=60, derandomize=True, deadline=None)
@given(whole, whole, whole.filter(bool))
def test_mul_div_is_that_of_python_integers(a, b, d):
    check(a, b, d)


def test_mul_div_on_many_random_operands_of_every_size(count):
    rng = random.Random(7)
    for _ in range(count(12_000)):
        a, b, d = (rng.randrange(1, 1 << rng.randrange(1, 64)) for _ in range(3))
        check(a, b, d)


@pytest.mark.parametrize(("a", "b", "d"), [(-1, 1, 1), (1, -1, 1), (1, 1, 0), (1, 1, -5), (2**62, 4, 1)])
def test_what_is_out_of_range_is_refused_and_never_wraps(a, b, d):
    for function in (mul_div_down, mul_div_up):
        with pytest.raises(OverflowError, match="divisor"):
            function(np.int64(a), np.int64(b), np.int64(d))
    assert divide_product(np.int64(a), np.int64(b), np.int64(d)) == (0, 0, False)


def test_ceil_of_the_largest_result_is_refused_where_it_would_not_fit():
    assert mul_div_down(np.int64(LARGEST), np.int64(3), np.int64(3)) == LARGEST
    # (2**63 - 1) + 1/2 rounds up to 2**63
    assert mul_div_down(np.int64(LARGEST), np.int64(LARGEST), np.int64(LARGEST)) == LARGEST
    a, b, d = 6442450943, 2863311531, 2  # product 2**64 - 2 + something odd
    assert a * b % d == 1
    check(a, b, d)


def test_products_are_compared_exactly(count):
    """Of every size; half of the pairs differ by one in a factor or not at all, where only the last bits decide."""
    rng = random.Random(9)
    for case in range(count(4_000)):
        a, b, c, d = (rng.randrange(0, 1 << rng.randrange(1, 64)) for _ in range(4))
        if case % 2:
            c, d = max(0, b + rng.randrange(-1, 2)), min(LARGEST, a + rng.randrange(0, 2))
        assert product_at_most(a, b, c, d) == (a * b <= c * d)
        assert product_at_most(a, b, b, a)
        m, n = b % 2**32, d % 2**32
        assert small_product_at_most(a, m, c, n) == (a * m <= c * n)
        assert small_product_at_most(a, m, a, m)
    assert not product_at_most(-1, 2, 3, 4)


def test_quotients_beside_a_whole_number_are_exact_where_a_double_is_not(count):
    """a*b = q*d + r with r in (0, 1, d - 1): the double's estimate falls on either side of q."""
    rng = random.Random(8)
    for _ in range(count(5_000, 500)):
        d = rng.randrange(2**54, 2**61) | 1
        b = rng.randrange(2 ** rng.randrange(30, 50), 2**51)
        check(d, b, d)  # exactly b
        a = d - 1  # just below b
        check(a, b, d)
        check(rng.randrange(2**54, 2**61) | 1, b, d)

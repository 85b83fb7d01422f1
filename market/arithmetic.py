"""Exact 128-bit multiply-and-divide on int64, in numba and without wrapping anywhere.

``floor(a*b/d)`` and ``ceil(a*b/d)`` are unique integers, so every implementation that forms the product
exactly (this one, Python's integers, Solidity's ``mulDiv``) agrees to the last unit. Quotients below 2**49 come
from a double and the exact remainder puts them right; larger ones from a long division in 32-bit digits. Only
that remainder is computed modulo 2**64 (``_remainder`` says why it is exact): nothing else leaves 64 bits, so
``NUMBA_DISABLE_JIT=1`` runs this file on numpy scalars.

Source: D. Knuth, TAOCP vol. 2, 4.3.1, algorithm D with two 32-bit digits (as in Hacker's Delight, divlu).
"""

from typing import Any

import numpy as np
from numba import config, njit

LARGEST = 2**63 - 1
"""Largest operand and result."""

_U0 = np.uint64(0)
_U1 = np.uint64(1)
_U32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_BASE = np.uint64(1 << 32)
_MAX = np.uint64(LARGEST)
_ESTIMATED = float(1 << 49)
_HALF = 2**62
_SIXTY_FOUR = np.uint64(64)
_STEPS = (np.uint64(32), np.uint64(16), np.uint64(8), np.uint64(4), np.uint64(2), np.uint64(1))


_wrapping: Any = (
    np.errstate(over="ignore") if config.DISABLE_JIT else (lambda function: function)  # type: ignore[attr-defined]
)
"""For a function that counts modulo 2**64 on purpose: interpreted, numpy would warn."""


@njit(cache=True, forceinline=True)
def multiply_wide(a, b):  # type: ignore[no-untyped-def]
    """Return the 128-bit product of two uint64 as (high, low)."""
    a_hi = a >> _U32
    a_lo = a & _LOW
    b_hi = b >> _U32
    b_lo = b & _LOW
    t = a_lo * b_lo
    low_digit = t & _LOW
    t = a_hi * b_lo + (t >> _U32)
    middle = t & _LOW
    high = t >> _U32
    t = a_lo * b_hi + middle
    return a_hi * b_hi + high + (t >> _U32), (t << _U32) | low_digit


@njit(cache=True)
def _digit(u_hi, u_lo, v, v_hi, v_lo):  # type: ignore[no-untyped-def]
    """Return one 32-bit quotient digit of (u_hi, u_lo) / v and the remainder; v is normalised, u_hi < v."""
    q = u_hi // v_hi
    rest = u_hi - q * v_hi
    while q >= _BASE or q * v_lo > ((rest << _U32) | u_lo):
        q -= _U1
        rest += v_hi
        if rest >= _BASE:
            # The bit that the shift below would lose is 2**64; the negation puts it back without wrapping.
            part = q * v_lo
            shifted = ((rest - _BASE) << _U32) | u_lo
            if part == _U0:
                return q, shifted
            return q, shifted + (~part + _U1)
    return q, ((rest << _U32) | u_lo) - q * v_lo


@njit(cache=True)
def _leading_zeros(d):  # type: ignore[no-untyped-def]
    """Return by how much d > 0 can be shifted left, halving the distance at every step."""
    shift = _U0
    for step in _STEPS:
        if d < _U1 << (_SIXTY_FOUR - step):
            d = d << step
            shift += step
    return shift


@njit(cache=True)
def _divide_wide(high, low, d):  # type: ignore[no-untyped-def]
    """Return quotient and remainder of (high, low) / d for high < d (so that the quotient has 64 bits)."""
    shift = _leading_zeros(d)
    v = d << shift
    if shift > _U0:
        high = (high << shift) | (low >> (_SIXTY_FOUR - shift))
        low = low << shift
    v_hi = v >> _U32
    v_lo = v & _LOW
    q1, rest = _digit(high, low >> _U32, v, v_hi, v_lo)
    q0, rest = _digit(rest, low & _LOW, v, v_hi, v_lo)
    return (q1 << _U32) | q0, rest >> shift


@njit(cache=True, forceinline=True)
@_wrapping
def _remainder(a, b, q, d):  # type: ignore[no-untyped-def]
    """Return a*b - q*d where that is known to fit into an int64: modulo 2**64 it is then exact."""
    return np.int64(np.uint64(a) * np.uint64(b) - np.uint64(q) * np.uint64(d))


@njit(cache=True, forceinline=True)
def divide_product(a, b, d):  # type: ignore[no-untyped-def]
    """Return (quotient, remainder, in range) of a*b/d for int64 a, b >= 0 and d > 0.

    ``in range`` is False, and the numbers are 0, where an operand is negative, ``d`` is not positive or the
    quotient exceeds ``LARGEST``. The kernels of this package build on it; others call ``mul_div_down`` or
    ``_up``.
    """
    if a < 0 or b < 0 or d <= 0:
        return np.int64(0), np.int64(0), False
    product, wide = float(a) * float(b), float(d)
    if d < _HALF and product < _ESTIMATED * wide:
        # Five roundings of 2**-53 each on a quotient below 2**49: the double is off by one at most, so what
        # is left of the product lies in [-d, 2d) and needs no 128 bits.
        q = np.int64(product / wide)
        rest = _remainder(a, b, q, d)
        if rest < 0:
            return q - np.int64(1), rest + np.int64(d), True
        if rest >= d:
            return q + np.int64(1), rest - np.int64(d), True
        return q, rest, True
    divisor = np.uint64(d)
    high, low = multiply_wide(np.uint64(a), np.uint64(b))
    if high == _U0:
        q = low // divisor
        rest = low - q * divisor
    elif high >= divisor:
        return np.int64(0), np.int64(0), False
    else:
        q, rest = _divide_wide(high, low, divisor)
    if q > _MAX:
        return np.int64(0), np.int64(0), False
    return np.int64(q), np.int64(rest), True


@njit(cache=True)
def mul_div_down(a, b, d):  # type: ignore[no-untyped-def]
    """Return floor(a*b/d) exactly.

    Args:
        a: int64, 0 <= a <= LARGEST.
        b: int64, 0 <= b <= LARGEST.
        d: int64, 0 < d <= LARGEST.

    Raises:
        OverflowError: An operand is outside its range or the result exceeds ``LARGEST``. Nothing wraps.
    """
    q, _, ok = divide_product(a, b, d)
    if not ok:
        raise OverflowError("mul_div_down: operands must be >= 0, the divisor > 0, the result below 2**63")
    return q


@njit(cache=True)
def mul_div_up(a, b, d):  # type: ignore[no-untyped-def]
    """Return ceil(a*b/d) exactly; arguments and errors as ``mul_div_down``."""
    q, rest, ok = divide_product(a, b, d)
    if not ok or (rest > 0 and q == LARGEST):
        raise OverflowError("mul_div_up: operands must be >= 0, the divisor > 0, the result below 2**63")
    return q + np.int64(1) if rest > 0 else q


@njit(cache=True, forceinline=True)
def small_product_at_most(a, m, c, n):  # type: ignore[no-untyped-def]
    """As ``product_at_most`` for a, c >= 0 and 0 <= m, n < 2**32: half the multiplications."""
    a_wide, c_wide, m_wide, n_wide = np.uint64(a), np.uint64(c), np.uint64(m), np.uint64(n)
    left, right = (a_wide & _LOW) * m_wide, (c_wide & _LOW) * n_wide
    left_high, right_high = (
        (a_wide >> _U32) * m_wide + (left >> _U32),
        (c_wide >> _U32) * n_wide + (right >> _U32),
    )
    return left_high < right_high or (left_high == right_high and (left & _LOW) <= (right & _LOW))


@njit(cache=True)
def product_at_most(a, b, c, d):  # type: ignore[no-untyped-def]
    """Return whether a*b <= c*d, exactly, for int64 operands >= 0 (anything negative: False)."""
    if a < 0 or b < 0 or c < 0 or d < 0:
        return False
    left_high, left_low = multiply_wide(np.uint64(a), np.uint64(b))
    right_high, right_low = multiply_wide(np.uint64(c), np.uint64(d))
    return left_high < right_high or (left_high == right_high and left_low <= right_low)

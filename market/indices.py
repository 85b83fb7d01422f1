"""Indices of how evenly something is spread over participants."""

from collections.abc import Sequence
from fractions import Fraction

from market.errors import BillingError


def _checked(values: Sequence[int], name: str) -> Sequence[int]:
    if not values or min(values) < 0:
        raise BillingError(f"{name}: needs at least one value, none negative; got {list(values)[:10]}")
    return values


def jain(values: Sequence[int]) -> float:
    """Return Jain's fairness index, (sum x)^2 / (n sum x^2): 1 if all are equal, 1/n if one has all.

    All zero counts as equal. Raises ``BillingError`` for no or negative values.

    Source: R. Jain, D. Chiu, W. Hawe, DEC technical report 301 (1984).
    """
    squares = sum(v * v for v in _checked(values, "jain"))
    if squares == 0:
        return 1.0
    return float(Fraction(sum(values) ** 2, len(values) * squares))


def gini(values: Sequence[int]) -> float:
    """Return the Gini coefficient, sum |xi - xj| / (2 n sum x): 0 if all are equal, 1 - 1/n if one has all.

    All zero counts as equal. Raises ``BillingError`` for no or negative values.

    Source: C. Gini, "Variabilita e mutabilita" (1912).
    """
    ordered = sorted(_checked(values, "gini"))
    total = sum(ordered)
    if total == 0:
        return 0.0
    n = len(ordered)
    weighted = sum((2 * i - n + 1) * value for i, value in enumerate(ordered))
    return float(Fraction(weighted, n * total))

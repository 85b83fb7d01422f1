"""Exact division of a whole amount in proportion to weights."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from market.errors import BillingError


def largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """Return whole parts of ``amount`` in proportion to ``weights`` that add up to it exactly.

    Every part is the floor of its exact share or one more; the units left over go to the largest remainders, ties
    to the earlier position (order the members by id to make that a rule). A negative amount is shared as its
    magnitude.

    Raises:
        BillingError: A negative weight, or no positive weight for an amount that is not zero.
    """
    if amount < 0:
        return [-part for part in largest_remainder(-amount, weights)]
    total = sum(weights)
    if any(w < 0 for w in weights) or (total == 0 and amount != 0):
        raise BillingError(
            f"sharing {amount}: weights must be >= 0 and not all zero, got {list(weights)[:10]}"
        )
    if total == 0:
        return [0] * len(weights)
    shares = [divmod(amount * w, total) for w in weights]
    parts = [share for share, _ in shares]
    order = sorted(range(len(parts)), key=lambda i: (-shares[i][1], i))
    for i in order[: amount - sum(parts)]:
        parts[i] += 1
    return parts


@njit(cache=True)
def _safe_total(weights):  # type: ignore[no-untyped-def]
    """Sum of the weights, or 0 where one is negative or so large that a product could overflow."""
    total = np.int64(0)
    for i in range(weights.size):
        if not 0 <= weights[i] < 2**32:
            return np.int64(0)
        total += weights[i]
    return total


@njit(cache=True)
def _parts(amount, weights, total):  # type: ignore[no-untyped-def]
    parts, remainder = np.empty_like(weights), np.empty_like(weights)
    left = amount
    for i in range(weights.size):
        parts[i] = (amount * weights[i]) // total
        remainder[i] = parts[i] * total - amount * weights[i]  # negated: the largest comes first
        left -= parts[i]
    order = np.argsort(remainder, kind="mergesort")
    for i in range(left):
        parts[order[i]] += 1
    return parts


def largest_remainder_array(amount: int, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the same parts as ``largest_remainder`` for int64 weights, compiled where no product can overflow."""
    total = _safe_total(weights)
    if total and 0 <= amount < 2**30:
        return np.asarray(_parts(np.int64(amount), weights, np.int64(total)))
    return np.array(largest_remainder(amount, weights.tolist()), dtype=np.int64)

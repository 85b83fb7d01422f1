"""The account of one interval in integers: what each fill is worth, and what each participant traded and still owes.

One compiled pass, because it runs in every interval. Every rounding is a floor as the participant sees it (it pays up
and gets down), so neither pool nor supplier can lose by it, and each gains less than one millionth per amount.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from market.coverage import cover
from market.errors import RangeError
from market.money import WH_PER_KWH
from market.orders import SUPPLIER, Fills
from market.validate import MAX_ENERGY_WH, MAX_PRICE

Ints = npt.NDArray[np.int64]

_OK, _FILL, _METER = range(3)


class Account(NamedTuple):
    """Per fill (m,) and per participant (n,); money is signed, + received, except ``paid_micro`` (+ paid)."""

    money_micro: Ints
    """Per fill: what the participant gets for it."""
    delivered_wh: Ints
    """Per fill: how much of it the energy that flowed covers."""
    settled_wh: Ints
    """Per fill: how much of it the meter confirms."""
    metered_wh: Ints
    """Whole Wh of the meter; what is below waits in the carry."""
    traded_wh: Ints
    """Position from local fills, positive into the grid."""
    paid_micro: Ints
    """For local purchases."""
    received_micro: Ints
    """For local sales."""
    rest_micro: Ints
    """With the supplier, for the metered energy that no local fill covers."""
    alone_micro: Ints
    """With the supplier, had it been all of the metered energy."""


@njit(cache=True)
def _whole(energy_wh, carry_wh):  # type: ignore[no-untyped-def]
    """Whole Wh; the part below 1 Wh stays in the carry."""
    whole = np.empty(energy_wh.size, dtype=np.int64)
    for i in range(energy_wh.size):
        total = carry_wh[i] + energy_wh[i]
        floor = np.floor(total)
        carry_wh[i] = total - floor
        whole[i] = np.int64(floor)
    return whole


@njit(cache=True)
def _in_range(fills, accepted_wh, price, metered_wh, flowed_wh):  # type: ignore[no-untyped-def]
    for i in range(accepted_wh.size):
        if not (0 <= accepted_wh[i] <= MAX_ENERGY_WH and -MAX_PRICE <= price[i] <= MAX_PRICE):
            return _FILL
        if not 0 <= fills[i]["participant"] < metered_wh.size:
            return _FILL
    for i in range(metered_wh.size):
        if not (abs(metered_wh[i]) <= MAX_ENERGY_WH and abs(flowed_wh[i]) <= MAX_ENERGY_WH):
            return _METER
    return _OK


@njit(cache=True)
def _sides(energy_wh):  # type: ignore[no-untyped-def]
    """Net export in the first row, net import in the second."""
    sides = np.zeros((2, energy_wh.size), dtype=np.int64)
    for i in range(energy_wh.size):
        sides[0 if energy_wh[i] > 0 else 1, i] = abs(energy_wh[i])
    return sides


@njit(cache=True)
def _account(fills, accepted_wh, price, metered, flowed, metered_carry, flowed_carry, retail, feed_in):  # type: ignore[no-untyped-def]
    n, m = metered.size, accepted_wh.size
    money = np.zeros(m, dtype=np.int64)
    delivered, settled = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    traded, paid, received = (
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
    )
    rest, alone = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    metered_wh, flowed_wh = _whole(metered, metered_carry), _whole(flowed, flowed_carry)
    for i in range(m):
        signed_wh = accepted_wh[i] * np.int64(fills[i]["side"])
        money[i] = (signed_wh * price[i]) // WH_PER_KWH
        if fills[i]["counterparty"] != SUPPLIER:
            who = fills[i]["participant"]
            traded[who] += signed_wh
            if fills[i]["side"] < 0:
                paid[who] -= money[i]
            else:
                received[who] += money[i]
    cover(fills, accepted_wh, _sides(flowed_wh), delivered)
    cover(fills, accepted_wh, _sides(metered_wh), settled)
    for i in range(n):
        left = metered_wh[i] - traded[i]
        rest[i] = (left * (retail if left < 0 else feed_in)) // WH_PER_KWH
        alone[i] = (metered_wh[i] * (retail if metered_wh[i] < 0 else feed_in)) // WH_PER_KWH
    return money, delivered, settled, metered_wh, traded, paid, received, rest, alone


class Closed(NamedTuple):
    """What an account comes to; (n,) each but the last two, signed, + received."""

    supplied_wh: Ints
    """What no local fill covers, + fed in."""
    gained_micro: Ints
    saved_micro: Ints
    """Against having everything with the supplier, for the same metered energy."""
    supplier_micro: int
    pool_micro: int


@njit(cache=True)
def _closed(metered_wh, traded_wh, paid, received, rest, alone):  # type: ignore[no-untyped-def]
    n = metered_wh.size
    supplied, gained, saved = np.empty_like(rest), np.empty_like(rest), np.empty_like(rest)
    supplier, pool = np.int64(0), np.int64(0)
    for i in range(n):
        supplied[i] = metered_wh[i] - traded_wh[i]
        gained[i] = received[i] - paid[i] + rest[i]
        saved[i] = gained[i] - alone[i]
        supplier -= rest[i]
        pool -= received[i] - paid[i]
    return supplied, gained, saved, supplier, pool


def closed(account: Account) -> Closed:
    """Return what an account comes to; the supplier and the pool gain what the participants lose to them."""
    _, _, _, metered, traded, paid, received, rest, alone = account
    return Closed(*_closed(metered, traded, paid, received, rest, alone))


@njit(cache=True)
def prices_of(fills, accepted_wh):  # type: ignore[no-untyped-def]
    """Return the price of every fill, a copy, and whether all of each is accepted."""
    price, uncut = np.empty(fills.size, dtype=np.int64), True
    for i in range(fills.size):
        price[i] = fills[i]["price_micro_per_kwh"]
        uncut &= accepted_wh[i] == fills[i]["energy_wh"]
    return price, uncut


class Accountant:
    """Makes the account of each interval; keeps the fractions of a Wh that both meters carry over."""

    def __init__(self, n: int) -> None:
        """For ``n`` participants."""
        self._metered_carry = np.zeros(n)
        self._flowed_carry = np.zeros(n)

    def account(
        self,
        fills: Fills,
        accepted_wh: Ints,
        price_micro_per_kwh: Ints,
        metered_wh: npt.NDArray[np.float64],
        flowed_wh: npt.NDArray[np.float64],
        retail_micro_per_kwh: int,
        feed_in_micro_per_kwh: int,
    ) -> Account:
        """Return the account of one interval.

        Args:
            fills: array of ``FILL_DTYPE``; (m,).
            accepted_wh: accepted energy per fill, >= 0; (m,).
            price_micro_per_kwh: price per fill; (m,).
            metered_wh: net energy of each participant as the meters say, positive into the grid; (n,).
            flowed_wh: the same as it flowed; (n,).
            retail_micro_per_kwh: the supplier's price of import.
            feed_in_micro_per_kwh: the supplier's price of export.

        Raises:
            RangeError: A fill or an energy is outside the range in which int64 is exact, or no number; the carries
                are as they were.
        """
        if not len(fills) == len(accepted_wh) == len(price_micro_per_kwh):
            raise RangeError(f"account: {len(fills)} fills, {len(accepted_wh)} accepted energies")
        found = _in_range(fills, accepted_wh, price_micro_per_kwh, metered_wh, flowed_wh)
        if found == _FILL:
            raise RangeError(
                f"fills: allowed is 0 <= energy_wh <= {MAX_ENERGY_WH}, |price| <= {MAX_PRICE}, and a participant "
                f"from 0 to {len(metered_wh) - 1}"
            )
        if found == _METER:
            raise RangeError(f"metered energy: allowed is a number up to {MAX_ENERGY_WH} Wh in size")
        carries = self._metered_carry, self._flowed_carry
        retail, feed_in = np.int64(retail_micro_per_kwh), np.int64(feed_in_micro_per_kwh)
        return Account(
            *_account(
                fills, accepted_wh, price_micro_per_kwh, metered_wh, flowed_wh, *carries, retail, feed_in
            )
        )

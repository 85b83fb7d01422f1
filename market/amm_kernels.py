"""The dissipative constant-product curve in exact integers: swap, age, admission.

State is one int64 vector, indexed by the constants below. Energy in the pool is whole Wh; everything else counts in
millionths (``FINE``) of a Wh or a micro, because rounding to whole units would move the price of a pool of some kWh.
The curve is K = X*Y with X = E + Ev, Y = C + Cv (both in millionths); its price stays in [LOW, HIGH] micro per kWh.
A kernel either changes the whole state or, with a code other than ``OK``, nothing.
The two formulas take numbers and not the state: an array handed to an inner function is counted with atomic
instructions, once in and once out, and those alone would take longer than the exact division.

Who gains by rounding: a buyer pays whole micros, rounded up, a seller gets them rounded down, the fee is rounded up.
What is rounded off is booked with the fees, outside the curve: always for the providers, by less than one micro each.

Source: virtual reserves and rounding against the trader as in Uniswap v3 core (``SqrtPriceMath``, L/sqrt(p_high) and
L sqrt(p_low)); ageing at constant price is this project's own, derived in docs/explanation/market.md.
"""

from numba import njit

from market.arithmetic import divide_product, product_at_most, small_product_at_most

(
    ENERGY,  # E, Wh in the pool
    CASH,  # C, money on the curve, millionths of a micro
    VIRTUAL_ENERGY,  # Ev, millionths of a Wh
    VIRTUAL_CASH,  # Cv, millionths of a micro
    FEES,  # F, fees and roundings, outside the curve, millionths of a micro
    DISSIPATED,  # D, Wh lost by ageing
    RELEASED,  # R, money set free by ageing, owed to providers, millionths of a micro
    SPILLED,  # S, Wh sold to the grid or curtailed at the close
    LOW,  # p_lo, micro per kWh, > 0 (after the shift of a pool with negative prices)
    HIGH,  # p_hi
    FEE_PPM,
    CLOSED,
) = range(12)
STATE_SIZE = 12

OK, NOT_POSITIVE, TOO_LARGE, BAND_EDGE, NO_CASH, OUT_OF_RANGE, IS_CLOSED = range(7)
LARGEST_RESERVE = 2**62 - 1
FINE = 1_000_000
"""Parts of a Wh or micro in which reserves count."""
_LARGEST_AMOUNT = LARGEST_RESERVE // FINE
_PER_KWH = 1000
_MILLION = 1_000_000


@njit(cache=True, forceinline=True)
def _fee(amount, fee_ppm):  # type: ignore[no-untyped-def]
    """Return ceil(amount * fee_ppm / 1e6); an amount is below 2**62 / FINE, so the product fits 64 bits."""
    return (amount * fee_ppm + _MILLION - 1) // _MILLION


@njit(cache=True, forceinline=True)
def _buy_exact(closed, energy, cash, virtual_energy, virtual_cash, high, energy_wh):  # type: ignore[no-untyped-def]
    """Return (code, cost in millionths of a micro, rounded up) of taking exactly ``energy_wh`` out."""
    if closed != 0:
        return IS_CLOSED, 0
    if energy_wh <= 0:
        return NOT_POSITIVE, 0
    if energy_wh > energy:
        return TOO_LARGE, 0
    part = energy_wh * FINE
    left = energy * FINE - part + virtual_energy
    y = cash + virtual_cash
    exact, rest, ok = divide_product(y, part, left)
    if not ok or exact >= LARGEST_RESERVE - y:
        return OUT_OF_RANGE, 0
    if rest > 0:
        exact += 1
    if not small_product_at_most(y + exact, _PER_KWH, left, high):
        return BAND_EDGE, 0
    return OK, exact


@njit(cache=True, forceinline=True)
def _sell_exact(closed, energy, cash, virtual_energy, virtual_cash, low, energy_wh):  # type: ignore[no-untyped-def]
    """Return (code, pay in millionths of a micro, rounded down) of putting exactly ``energy_wh`` in."""
    if closed != 0:
        return IS_CLOSED, 0
    if energy_wh <= 0:
        return NOT_POSITIVE, 0
    x = energy * FINE + virtual_energy
    if energy_wh >= _LARGEST_AMOUNT or energy_wh * FINE > LARGEST_RESERVE - x:
        return OUT_OF_RANGE, 0
    x += energy_wh * FINE
    y = cash + virtual_cash
    exact, _, ok = divide_product(y, energy_wh * FINE, x)
    if not ok:
        return OUT_OF_RANGE, 0
    if exact > cash:
        return NO_CASH, 0
    if not small_product_at_most(x, low, y - exact, _PER_KWH):
        return BAND_EDGE, 0
    return OK, exact


@njit(cache=True)
def quote_buy(state, energy_wh):  # type: ignore[no-untyped-def]
    """Return (code, cost, fee) in whole micro of taking exactly ``energy_wh`` out of the pool."""
    code, exact = _buy_exact(
        state[CLOSED], state[ENERGY], state[CASH], state[VIRTUAL_ENERGY], state[VIRTUAL_CASH], state[HIGH], energy_wh
    )  # fmt: skip
    cost = (exact + FINE - 1) // FINE
    return code, cost, _fee(cost, state[FEE_PPM])


@njit(cache=True)
def quote_sell(state, energy_wh):  # type: ignore[no-untyped-def]
    """Return (code, pay, fee) in whole micro of putting exactly ``energy_wh`` into the pool."""
    code, exact = _sell_exact(
        state[CLOSED], state[ENERGY], state[CASH], state[VIRTUAL_ENERGY], state[VIRTUAL_CASH], state[LOW], energy_wh
    )  # fmt: skip
    pay = exact // FINE
    return code, pay, _fee(pay, state[FEE_PPM])


@njit(cache=True, forceinline=True)
def buy(state, energy_wh):  # type: ignore[no-untyped-def]
    """Execute ``quote_buy``: the trader pays cost + fee."""
    code, exact = _buy_exact(
        state[CLOSED], state[ENERGY], state[CASH], state[VIRTUAL_ENERGY], state[VIRTUAL_CASH], state[HIGH], energy_wh
    )  # fmt: skip
    cost = (exact + FINE - 1) // FINE
    fee = _fee(cost, state[FEE_PPM])
    if code == OK:
        state[ENERGY] -= energy_wh
        state[CASH] += exact
        state[FEES] += (cost + fee) * FINE - exact
    return code, cost, fee


@njit(cache=True, forceinline=True)
def sell(state, energy_wh):  # type: ignore[no-untyped-def]
    """Execute ``quote_sell``: the trader gets pay - fee."""
    code, exact = _sell_exact(
        state[CLOSED], state[ENERGY], state[CASH], state[VIRTUAL_ENERGY], state[VIRTUAL_CASH], state[LOW], energy_wh
    )  # fmt: skip
    pay = exact // FINE
    fee = _fee(pay, state[FEE_PPM])
    if code == OK:
        state[ENERGY] += energy_wh
        state[CASH] -= exact
        state[FEES] += exact - (pay - fee) * FINE
    return code, pay, fee


@njit(cache=True)
def _within_high(state, x, y):  # type: ignore[no-untyped-def]
    """(B1) The price of the empty pool is at most HIGH: X Y / Ev^2 <= high, by an exact division.

    The quotient is rounded against admission (up), so what passes is within the band exactly.
    """
    top, rest, ok = divide_product(y, x, state[VIRTUAL_ENERGY])
    if not ok:
        return False
    return product_at_most(top + (1 if rest > 0 else 0), _PER_KWH, state[HIGH], state[VIRTUAL_ENERGY])


@njit(cache=True)
def _within_low(state, x, y):  # type: ignore[no-untyped-def]
    """(B2) The price of the pool without cash is at least LOW: Cv^2 / (X Y) >= low."""
    most, rest, ok = divide_product(y, x, state[VIRTUAL_CASH])
    if not ok:
        return False
    return product_at_most(state[LOW], most + (1 if rest > 0 else 0), state[VIRTUAL_CASH], _PER_KWH)


@njit(cache=True)
def admit(state, bumps):  # type: ignore[no-untyped-def]
    """Raise Ev, or Cv by as much at the lower price, in doubling steps until both ends lie in the band.

    What helps one end hurts the other: where they take turns for ever both are raised, which helps both (X >= Ev and
    Y >= Cv). Returns whether ``bumps`` sufficed. Needs no square root, so a contract can do the same.
    """
    energy, cash = state[VIRTUAL_ENERGY], state[VIRTUAL_CASH]
    if _raised(state, bumps, False):
        return True
    state[VIRTUAL_ENERGY], state[VIRTUAL_CASH] = energy, cash
    return _raised(state, bumps, True)


@njit(cache=True)
def _raised(state, bumps, both):  # type: ignore[no-untyped-def]
    """Raise what is too low, or ``both`` where either is; return whether that led into the band."""
    step = 1
    for _ in range(bumps):
        if state[VIRTUAL_ENERGY] <= 0 or state[VIRTUAL_CASH] <= 0:
            return False
        x = state[ENERGY] * FINE + state[VIRTUAL_ENERGY]
        y = state[CASH] + state[VIRTUAL_CASH]
        high_ok = _within_high(state, x, y)
        low_ok = _within_low(state, x, y)
        if high_ok and low_ok:
            return True
        if both or not high_ok:
            state[VIRTUAL_ENERGY] += step
        if both or not low_ok:
            state[VIRTUAL_CASH] += (state[VIRTUAL_CASH] // state[VIRTUAL_ENERGY] + 1) * step
        step *= 2
    return False


@njit(cache=True)
def _scaled(real, unit, virtual, num, den, up):  # type: ignore[no-untyped-def]
    """Return (real, virtual, ok) such that their sum is multiplied by num/den, rounded up in millionths.

    The real amount, in its own ``unit``, is rounded up or down, and the virtual one makes up for it, but
    never shrinks by more than num/den: that could leave the band.
    """
    total, rest, ok1 = divide_product(real * unit + virtual, num, den)
    whole, rest_real, ok2 = divide_product(real, num, den)
    least, rest_virtual, ok3 = divide_product(virtual, num, den)
    if rest > 0:
        total += 1
    if up and rest_real > 0:
        whole += 1
    if rest_virtual > 0:
        least += 1
    if not (ok1 and ok2 and ok3) or total > LARGEST_RESERVE // 2:
        return real, virtual, False
    return whole, max(least, total - whole * unit), True


@njit(cache=True)
def scale(state, num, den, up, bumps):  # type: ignore[no-untyped-def]
    """Multiply the curve by num/den at constant price, then ``admit``.

    Real reserves are rounded up where ``up`` (what providers take out is floored, what they bring is ceiled),
    else down. Returns (code, Wh taken off, millionths of a micro taken off); negative amounts where the curve grows.
    """
    energy, cash = state[ENERGY], state[CASH]
    virtual_energy, virtual_cash = state[VIRTUAL_ENERGY], state[VIRTUAL_CASH]
    e, ev, ok1 = _scaled(energy, FINE, virtual_energy, num, den, up)
    c, cv, ok2 = _scaled(cash, 1, virtual_cash, num, den, up)
    if ok1 and ok2:
        state[ENERGY], state[CASH], state[VIRTUAL_ENERGY], state[VIRTUAL_CASH] = e, c, ev, cv
        if admit(state, bumps):
            return OK, energy - e, cash - c
    state[ENERGY], state[CASH] = energy, cash
    state[VIRTUAL_ENERGY], state[VIRTUAL_CASH] = virtual_energy, virtual_cash
    return OUT_OF_RANGE, 0, 0


@njit(cache=True)
def age(state, num, den, bumps):  # type: ignore[no-untyped-def]
    """Keep num/den of the liquidity at constant price; book what went as dissipated and released.

    Returns (code, Wh lost, millionths of a micro released).
    """
    if state[CLOSED] != 0:
        return IS_CLOSED, 0, 0
    if num <= 0 or den <= 0 or num > den:
        return OUT_OF_RANGE, 0, 0
    code, lost_wh, released = scale(state, num, den, False, bumps)
    if code == OK:
        state[DISSIPATED] += lost_wh
        state[RELEASED] += released
    return code, lost_wh, released

"""The dissipative constant-product curve in exact integers: swap, age, admission.

State is one int64 vector, indexed by the constants below; energy in Wh, money in micro, prices micro per kWh.
The curve is K = X*Y with X = E + Ev, Y = C + Cv; its price Y/X per Wh stays in [LOW, HIGH]/1000. A kernel
either changes the whole state or, with a code other than ``OK``, nothing.

Who gains by rounding: a buyer pays ceil, a seller gets floor, the fee is ceil and stays outside the curve:
always the liquidity providers, by less than one micro each time.
"""

from numba import njit

from market.arithmetic import divide_product, product_at_most

(
    ENERGY,  # E, Wh in the pool
    CASH,  # C, money on the curve
    VIRTUAL_ENERGY,  # Ev
    VIRTUAL_CASH,  # Cv
    FEES,  # F, fees collected, outside the curve
    DISSIPATED,  # D, Wh lost by ageing
    RELEASED,  # R, money set free by ageing, owed to providers
    SPILLED,  # S, Wh sold to the grid or curtailed at the close
    LOW,  # p_lo, micro per kWh, > 0 (after the shift of a pool with negative prices)
    HIGH,  # p_hi
    FEE_PPM,
    CLOSED,
) = range(12)
STATE_SIZE = 12

OK, NOT_POSITIVE, TOO_LARGE, BAND_EDGE, NO_CASH, OUT_OF_RANGE, IS_CLOSED = range(7)
LARGEST_RESERVE = 2**62 - 1
_PER_KWH = 1000
_MILLION = 1_000_000


@njit(cache=True)
def _fee(amount, fee_ppm):  # type: ignore[no-untyped-def]
    """Return ceil(amount * fee_ppm / 1e6)."""
    fee, rest, _ = divide_product(amount, fee_ppm, _MILLION)
    return fee + 1 if rest > 0 else fee


@njit(cache=True)
def quote_buy(state, energy_wh):  # type: ignore[no-untyped-def]
    """Return (code, cost on the curve, fee) of taking exactly ``energy_wh`` out of the pool."""
    if state[CLOSED] != 0:
        return IS_CLOSED, 0, 0
    if energy_wh <= 0:
        return NOT_POSITIVE, 0, 0
    if energy_wh > state[ENERGY]:
        return TOO_LARGE, 0, 0
    left = state[ENERGY] - energy_wh + state[VIRTUAL_ENERGY]
    y = state[CASH] + state[VIRTUAL_CASH]
    cost, rest, ok = divide_product(y, energy_wh, left)
    if not ok:
        return OUT_OF_RANGE, 0, 0
    if rest > 0:
        cost += 1
    if cost > LARGEST_RESERVE - y:
        return OUT_OF_RANGE, 0, 0
    if not product_at_most(y + cost, _PER_KWH, state[HIGH], left):
        return BAND_EDGE, 0, 0
    return OK, cost, _fee(cost, state[FEE_PPM])


@njit(cache=True)
def quote_sell(state, energy_wh):  # type: ignore[no-untyped-def]
    """Return (code, pay on the curve, fee) of putting exactly ``energy_wh`` into the pool."""
    if state[CLOSED] != 0:
        return IS_CLOSED, 0, 0
    if energy_wh <= 0:
        return NOT_POSITIVE, 0, 0
    x = state[ENERGY] + state[VIRTUAL_ENERGY]
    if energy_wh > LARGEST_RESERVE - x:
        return OUT_OF_RANGE, 0, 0
    y = state[CASH] + state[VIRTUAL_CASH]
    pay, _, ok = divide_product(y, energy_wh, x + energy_wh)
    if not ok:
        return OUT_OF_RANGE, 0, 0
    if pay > state[CASH]:
        return NO_CASH, 0, 0
    if not product_at_most(state[LOW], x + energy_wh, y - pay, _PER_KWH):
        return BAND_EDGE, 0, 0
    return OK, pay, _fee(pay, state[FEE_PPM])


@njit(cache=True)
def buy(state, energy_wh):  # type: ignore[no-untyped-def]
    """Execute ``quote_buy``: the trader pays cost + fee."""
    code, cost, fee = quote_buy(state, energy_wh)
    if code == OK:
        state[ENERGY] -= energy_wh
        state[CASH] += cost
        state[FEES] += fee
    return code, cost, fee


@njit(cache=True)
def sell(state, energy_wh):  # type: ignore[no-untyped-def]
    """Execute ``quote_sell``: the trader gets pay - fee."""
    code, pay, fee = quote_sell(state, energy_wh)
    if code == OK:
        state[ENERGY] += energy_wh
        state[CASH] -= pay
        state[FEES] += fee
    return code, pay, fee


@njit(cache=True)
def _within_high(state):  # type: ignore[no-untyped-def]
    """(B1) The price of the empty pool is at most HIGH: (C+Cv)(E+Ev)/Ev^2 <= high, by two exact divisions.

    Rounded against admission (the left side up), so what passes is within the band exactly.
    """
    x = state[ENERGY] + state[VIRTUAL_ENERGY]
    y = state[CASH] + state[VIRTUAL_CASH]
    top, rest, ok = divide_product(y, x, state[VIRTUAL_ENERGY])
    if not ok:
        return False
    return product_at_most(top + (1 if rest > 0 else 0), _PER_KWH, state[HIGH], state[VIRTUAL_ENERGY])


@njit(cache=True)
def _within_low(state):  # type: ignore[no-untyped-def]
    """(B2) The price of the pool without cash is at least LOW: Cv^2/((E+Ev)(C+Cv)) >= low."""
    x = state[ENERGY] + state[VIRTUAL_ENERGY]
    y = state[CASH] + state[VIRTUAL_CASH]
    most, rest, ok = divide_product(y, x, state[VIRTUAL_CASH])
    if not ok:
        return False
    return product_at_most(state[LOW], most + (1 if rest > 0 else 0), state[VIRTUAL_CASH], _PER_KWH)


@njit(cache=True)
def admit(state, bumps):  # type: ignore[no-untyped-def]
    """Raise Ev by 1, or Cv by its worth of 1 Wh, until both ends of the curve lie in the band.

    Returns whether ``bumps`` sufficed. Needs no square root, so a contract can do the same.
    """
    for _ in range(bumps):
        if state[VIRTUAL_ENERGY] <= 0 or state[VIRTUAL_CASH] <= 0:
            return False
        high_ok = _within_high(state)
        low_ok = _within_low(state)
        if high_ok and low_ok:
            return True
        if not high_ok:
            state[VIRTUAL_ENERGY] += 1
        if not low_ok:
            state[VIRTUAL_CASH] += state[VIRTUAL_CASH] // state[VIRTUAL_ENERGY] + 1
    return False


@njit(cache=True)
def scale(state, num, den, up, bumps):  # type: ignore[no-untyped-def]
    """Multiply the curve by num/den at constant price; virtual reserves are rounded up, then ``admit`` runs.

    Real reserves are rounded up where ``up`` (what providers take out is floored, what they bring is ceiled),
    else down. Returns (code, Wh taken off, money taken off); negative amounts where the curve grows.
    """
    energy, cash = state[ENERGY], state[CASH]
    virtual_energy, virtual_cash = state[VIRTUAL_ENERGY], state[VIRTUAL_CASH]
    e, rest_energy, ok1 = divide_product(energy, num, den)
    c, rest_cash, ok2 = divide_product(cash, num, den)
    if up:
        e += 1 if rest_energy > 0 else 0
        c += 1 if rest_cash > 0 else 0
    ev, rest_e, ok3 = divide_product(virtual_energy, num, den)
    cv, rest_c, ok4 = divide_product(virtual_cash, num, den)
    ok = ok1 and ok2 and ok3 and ok4
    if ok and max(e, ev) < LARGEST_RESERVE // 2 and max(c, cv) < LARGEST_RESERVE // 2:
        state[ENERGY], state[CASH] = e, c
        state[VIRTUAL_ENERGY] = ev + (1 if rest_e > 0 else 0)
        state[VIRTUAL_CASH] = cv + (1 if rest_c > 0 else 0)
        if admit(state, bumps):
            return OK, energy - e, cash - c
    state[ENERGY], state[CASH] = energy, cash
    state[VIRTUAL_ENERGY], state[VIRTUAL_CASH] = virtual_energy, virtual_cash
    return OUT_OF_RANGE, 0, 0


@njit(cache=True)
def age(state, num, den, bumps):  # type: ignore[no-untyped-def]
    """Keep num/den of the liquidity at constant price; book what went as dissipated and released."""
    if state[CLOSED] != 0:
        return IS_CLOSED, 0, 0
    if num <= 0 or den <= 0 or num > den:
        return OUT_OF_RANGE, 0, 0
    code, lost_wh, released = scale(state, num, den, False, bumps)
    if code == OK:
        state[DISSIPATED] += lost_wh
        state[RELEASED] += released
    return code, lost_wh, released

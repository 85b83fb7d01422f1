"""The curve against an independent implementation in Python's integers, and its invariants on 100,000 operations."""

import os
import random
from fractions import Fraction

import numpy as np
import pytest

from market import amm_kernels as k
from market.amm_sizing import sized_state

Q = 10**6  # virtual reserves count in millionths


class Reference:
    """The formulas of the dissipative pool in Python's integers, written down a second time."""

    def __init__(self, state):
        values = [int(v) for v in state]
        self.E, self.C, self.Ev, self.Cv, self.F, self.D, self.R = values[:7]
        self.lo, self.hi, self.f = values[k.LOW], values[k.HIGH], values[k.FEE_PPM]

    @property
    def X(self):
        return self.E * Q + self.Ev

    @property
    def Y(self):
        return self.C + self.Cv

    @property
    def K(self):
        return self.X * self.Y

    def buy(self, e):
        if not 0 < e <= self.E:
            return None
        exact = -(-self.Y * e * Q // (self.X - e * Q))
        if (self.Y + exact) * 1000 > self.hi * (self.X - e * Q):
            return None
        cost = -(-exact // Q)
        fee = -(-cost * self.f // 10**6)
        self.E, self.C, self.F = self.E - e, self.C + exact, self.F + (cost + fee) * Q - exact
        return cost, fee

    def sell(self, e):
        if e <= 0:
            return None
        exact = self.Y * e * Q // (self.X + e * Q)
        if exact > self.C or self.lo * (self.X + e * Q) > (self.Y - exact) * 1000:
            return None
        pay = exact // Q
        fee = -(-pay * self.f // 10**6)
        self.E, self.C, self.F = self.E + e, self.C - exact, self.F + exact - (pay - fee) * Q
        return pay, fee

    def within_band(self):
        return self.hi * self.Ev**2 >= self.K * 1000 and self.Cv**2 * 1000 >= self.lo * self.K

    def age(self, num, den):
        E, C = self.E * num // den, self.C * num // den
        X, Y = -(-self.X * num // den), -(-self.Y * num // den)
        lost, released = self.E - E, self.C - C
        self.E, self.C, self.Ev, self.Cv = E, C, X - E * Q, Y - C
        self.D, self.R = self.D + lost, self.R + released
        return lost, released

    def values(self):
        return [self.E, self.C, self.Ev, self.Cv, self.F, self.D, self.R]


def make(rng):
    low = rng.choice([1_000, 60_000, 80_000, 150_000])
    high = low + rng.randrange(20_000, 400_000)
    capacity = rng.choice([500, 20_000, 10**6, 10**8])
    return sized_state(capacity, rng.randrange(1, capacity), low, high, rng.randrange(1, 5_000)), capacity


def spot(state):
    """Price in micro per Wh."""
    reference = Reference(state)
    return reference.Y / reference.X


def step(state, reference, operation, energy):
    """Run one operation on both; return (accepted, trader's money)."""
    if operation == "buy":
        expected, got = reference.buy(energy), k.buy(state, energy)
    else:
        expected, got = reference.sell(energy), k.sell(state, energy)
    assert (got[0] == k.OK) == (expected is not None)
    if expected is None:
        return False, 0
    assert (int(got[1]), int(got[2])) == expected
    money = -sum(expected) if operation == "buy" else expected[0] - expected[1]
    return True, money


@pytest.mark.parametrize("operations", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_invariants_hold_over_100_000_operations(count, operations):
    """I1 to I6: K falls only in age, reserves and band, energy and money to the unit, direction of the price.

    MARKET_FUZZ=20 runs twenty times as many, with the same seed.
    """
    times = int(os.environ.get("MARKET_FUZZ", "1"))
    total, per_pool, done = times * count(operations, 4_000), count(2_000, 400), 0
    rng = random.Random(20261122)
    accepted = {"buy": 0, "sell": 0, "age": 0}
    while done < total:
        state, capacity = make(rng)
        reference = Reference(state)
        E0, C0, traded, money = reference.E, reference.C, 0, 0
        for _ in range(per_pool):
            done += 1
            K, X, Y = reference.K, reference.X, reference.Y
            energy = rng.randrange(1, max(2, capacity // rng.choice([3, 30, 300])))
            operation = rng.choices(["buy", "sell", "age"], [49, 49, 2])[0]
            if operation == "age":
                check_age(state, reference, rng)
                accepted["age"] += 1
            else:
                ok, received = step(state, reference, operation, energy)
                if ok:
                    accepted[operation] += 1
                    money -= received
                    traded += energy if operation == "sell" else -energy
                    assert reference.K >= K
                    assert (reference.Y * X - Y * reference.X > 0) == (operation == "buy")
            assert state[:7].tolist() == reference.values()
            assert min(reference.values()) >= 0
            assert reference.lo * reference.X <= 1000 * reference.Y <= reference.hi * reference.X
            assert E0 + traded - reference.D == reference.E
            assert C0 + money * Q == reference.C + reference.F + reference.R
    assert min(accepted.values()) > total // 100


def check_age(state, reference, rng):
    """Ageing books what it takes, keeps the price, and scales K by the square of the factor: up to admission's bump."""
    den = 2**32
    num = den - rng.randrange(0, den // 50)
    K, X, Y = reference.K, reference.X, reference.Y
    code, lost, released = k.age(state, num, den, 32)
    assert code == k.OK
    assert (int(lost), int(released)) == reference.age(num, den)
    assert (
        reference.X * reference.Y * den**2 - K * num**2 <= (X + Y + den) * den**2
    )  # K' is that of the factor
    # admission may have lifted the virtual reserves, and only them, by millionths
    bump_energy = int(state[k.VIRTUAL_ENERGY]) - reference.Ev
    bump_cash = int(state[k.VIRTUAL_CASH]) - reference.Cv
    assert 0 <= bump_energy < 2**10
    assert 0 <= bump_cash < 2**10 * (reference.Cv // reference.Ev + 1)
    if reference.within_band() and bump_energy + bump_cash:
        tight = (
            reference.K * 1000 / (reference.hi * reference.Ev**2),
            reference.Cv**2 * 1000 / (reference.lo * reference.K),
        )
        assert tight[0] > 1 - 1e-5 or tight[1] < 1 + 1e-5
    reference.Ev, reference.Cv = int(state[k.VIRTUAL_ENERGY]), int(state[k.VIRTUAL_CASH])
    assert reference.within_band()
    assert abs(Fraction(reference.Y * X, Y * reference.X) - 1) < Fraction(2**12, min(X, Y))


def test_a_swap_by_hand():
    """E = 100, Ev = 900, C = 500, Cv = 99500: X = 1000, Y = 100000, price 100 per Wh.

    x y = k with virtual reserves, as Uniswap v3 bounds a position; amounts are rounded against the trader.
    buy(50): 100000*50/950 = 5263.157895, so 5264, fee 1 % = 53 (52.64 up); then sell(50): 105263.157895*50/1000 =
    5263.157894, so 5263, fee 53. What is rounded off is with the fees: 0.842105 + 53, then 0.157894 + 53.
    """
    state = np.zeros(k.STATE_SIZE, dtype=np.int64)
    state[:4] = 100, 500 * Q, 900 * Q, 99_500 * Q
    state[[k.LOW, k.HIGH, k.FEE_PPM]] = 50_000, 200_000, 10_000
    assert k.buy(state, 50) == (k.OK, 5264, 53)
    assert state[:5].tolist() == [50, 5_763_157_895, 900 * Q, 99_500 * Q, 53_842_105]
    assert k.sell(state, 50) == (k.OK, 5263, 53)
    assert state[:5].tolist() == [100, 500_000_001, 900 * Q, 99_500 * Q, 106_999_999]


def test_splitting_never_gains_and_costs_dust(count):
    """I7: two halves cost at least the whole; the second rounding costs one micro."""
    rng = random.Random(11)
    for _ in range(count(4_000, 300)):
        state, _ = make(rng)
        state[k.FEE_PPM] = 1
        whole, halves = state.copy(), state.copy()
        energy = rng.randrange(2, max(3, int(state[k.ENERGY])))
        cut = rng.randrange(1, energy)
        code, cost, fee = k.buy(whole, energy)
        first, second = k.buy(halves, cut), k.buy(halves, energy - cut)
        if code == k.OK and second[0] == k.OK:
            assert first[1] + first[2] + second[1] + second[2] >= cost + fee
            assert first[1] + second[1] <= cost + 1
        whole, halves = state.copy(), state.copy()
        code, pay, fee = k.sell(whole, energy)
        first, second = k.sell(halves, cut), k.sell(halves, energy - cut)
        if code == k.OK and first[0] == second[0] == k.OK:
            assert first[1] - first[2] + second[1] - second[2] <= pay - fee


@pytest.mark.parametrize("ageing", [False, True])
def test_no_closed_cycle_gains(ageing, count):
    """I8: whoever is back at his energy has not more money, with a fee of 1 ppm, also with ageing in between."""
    rng = random.Random(12)
    best, cycles = -(10**18), 0
    for _ in range(count(6_000, 300)):
        state, capacity = make(rng)
        state[k.FEE_PPM] = 1
        held = money = 0
        for _ in range(rng.randrange(1, 6)):
            energy = rng.randrange(1, max(2, capacity // 20))
            if rng.random() < 0.5:
                code, pay, fee = k.sell(state, energy)
                if code == k.OK:
                    held, money = held - energy, money + int(pay - fee)
            else:
                code, cost, fee = k.buy(state, energy)
                if code == k.OK:
                    held, money = held + energy, money - int(cost + fee)
            if ageing and rng.random() < 0.3:
                k.age(state, 2**32 - rng.randrange(1, 10**6), 2**32, 32)
        code, amount, fee = k.sell(state, held) if held > 0 else k.buy(state, -held) if held else (k.OK, 0, 0)
        if code == k.OK and held:
            cycles += 1
            best = max(best, money + int(amount - fee if held > 0 else -amount - fee))
    assert cycles > count(1_000, 20)
    assert best <= 0


@pytest.mark.parametrize(
    ("kernel", "energy", "code"),
    [
        (k.buy, 0, k.NOT_POSITIVE), (k.buy, -5, k.NOT_POSITIVE), (k.sell, 0, k.NOT_POSITIVE),
        (k.buy, 10**6, k.TOO_LARGE), (k.sell, 2**62, k.OUT_OF_RANGE), (k.sell, 10**7, k.NO_CASH),
    ],
)  # fmt: skip
def test_refusals_leave_the_state_unchanged(kernel, energy, code):
    state = sized_state(100_000, 30_000, 80_000, 320_000, 1_000)
    before = state.copy()
    assert kernel(state, energy) == (code, 0, 0)
    assert (state == before).all()


def test_the_band_edge_is_refused():
    state = sized_state(100_000, 30_000, 80_000, 320_000, 1_000)
    state[k.HIGH] = int(1000 * spot(state))
    before = state.copy()
    assert k.buy(state, 5_000) == (k.BAND_EDGE, 0, 0)
    state[k.LOW] = state[k.HIGH] + 1
    assert k.sell(state, 5_000) == (k.BAND_EDGE, 0, 0)
    assert (state[:7] == before[:7]).all()


@pytest.mark.parametrize(("num", "den"), [(0, 1), (-1, 2), (3, 2), (1, 0)])
def test_an_impossible_age_is_refused(num, den):
    state = sized_state(100_000, 30_000, 80_000, 320_000, 1_000)
    before = state.copy()
    assert k.age(state, num, den, 32)[0] == k.OUT_OF_RANGE
    assert (state == before).all()


@pytest.mark.parametrize("filled", [0, 25, 50, 75, 100])
def test_the_sized_curve_is_the_published_family(filled):
    """p(u)^-1/2 is linear in the inventory fraction: 400, 233.44, 152.79, 107.71, 80 at u = 0, .25, .5, .75, 1."""
    state = sized_state(10**7, 10**5 * filled, 80_000, 400_000, 1)
    assert spot(state) == pytest.approx(
        {0: 400, 25: 233.44, 50: 152.79, 75: 107.71, 100: 80}[filled], abs=0.006
    )

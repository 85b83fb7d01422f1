"""The gate against brute force: no schedule on a fine grid that passes the power flow is worth 1 % more."""

from itertools import product

import numpy as np
import pytest

from market.orders import BUY, POOL, SELL, SUPPLIER
from twin.gate.gate import TradeGate

GRID = 10  # steps per order in the first enumeration
ZOOMS = 3  # then twice as fine around the best, each time
WH = 250


def worth(fills, accepted):
    surplus = np.maximum((fills["price_micro_per_kwh"] - fills["limit_micro_per_kwh"]) * fills["side"], 1000)
    return (accepted * surplus).sum(axis=-1)


def structure(fills):
    """Rows that are chosen freely, the row each row copies, and the pool sale that closes the balance (or -1)."""
    party, side = fills["counterparty"], fills["side"]
    pool_sales = np.flatnonzero((party == POOL) & (side == SELL))
    last = int(pool_sales[-1]) if len(pool_sales) else -1
    partner = np.arange(len(fills))
    for i in np.flatnonzero((party >= 0) & (side == BUY)):
        match = (fills["participant"] == party[i]) & (side == SELL) & (party == fills["participant"][i])
        partner[i] = np.flatnonzero(match)[0]
    heads = [i for i in range(len(fills)) if partner[i] == i and i != last]
    return heads, partner, last


def schedules(fills, fractions):
    """Every combination of the given fractions of the free rows (list of arrays), balanced."""
    heads, partner, last = structure(fills)
    out = np.zeros((np.prod([len(f) for f in fractions]), len(fills)))
    out[:, heads] = np.array(list(product(*fractions))) * fills["energy_wh"][heads]
    out = out[:, partner]
    if last >= 0:
        pool = fills["counterparty"] == POOL
        out[:, last] = 0
        out[:, last] = -(out * fills["side"])[:, pool].sum(axis=1)
        out = out[(out[:, last] >= 0) & (out[:, last] <= fills["energy_wh"][last])]
    return out


def passing(engine, problem, limits, tries):
    fills = problem.fills
    moved = np.where(fills["flexible"], tries * fills["side"], 0) * 3600 / problem.interval_s
    where = np.zeros((len(fills), len(problem.p_base_w)))
    where[np.arange(len(fills)), fills["participant"]] = 1
    p = problem.p_base_w + moved @ where
    return tries[limits.within(engine.solve(p, np.broadcast_to(problem.q_base_var, p.shape)))]


def best_by_enumeration(engine, problem, limits, grid=GRID, around=3):
    fills, step = problem.fills, 1 / grid
    heads = structure(fills)[0]
    fractions = [np.linspace(0, 1, grid + 1)] * len(heads)
    best = 0.0
    for _ in range(ZOOMS + 1):
        good = passing(engine, problem, limits, schedules(fills, fractions))
        if len(good):
            top = good[np.argmax(worth(fills, good))]
            best = max(best, worth(fills, top))
        centre = (top / fills["energy_wh"])[heads]
        step /= 2
        fractions = [np.clip(c + step * np.arange(-around, around + 1), 0, 1) for c in centre]
    return best


def rows(kind, rng):
    surplus = iter(rng.integers(0, 150_000, 12))
    energy = iter(rng.integers(10, 60, 12) * WH)

    def row(who, side, wh, party, flexible=True):
        return (int(who), side, int(wh), party, flexible, 200_000, 200_000 - side * int(next(surplus)))

    if kind == "upstream":
        sides = rng.permutation([BUY, BUY, BUY, SELL])
        return [
            row(who, s, next(energy), SUPPLIER) for who, s in zip(rng.permutation(5), sides, strict=False)
        ]
    if kind == "six":
        return [row(who % 5, BUY if who < 4 else SELL, next(energy), SUPPLIER) for who in range(6)]
    if kind == "contracts":
        pairs = [rng.permutation(5)[:2] for _ in range(3)]
        pairs = list({tuple(sorted(map(int, p))): tuple(map(int, p)) for p in pairs}.values())
        out = []
        for s, b in pairs:
            wh = next(energy)
            out += [row(s, SELL, wh, b), row(b, BUY, wh, s)]
        return out
    buys = [next(energy) for _ in range(3)]
    who = rng.permutation(5)
    first = int(sum(buys) * rng.uniform(0.2, 0.8))
    return [
        row(who[0], BUY, buys[0], POOL),
        row(who[1], BUY, buys[1], POOL, flexible=False),
        row(who[2], BUY, buys[2], POOL),
        row(who[3], SELL, first, POOL),
        row(who[4], SELL, sum(buys) - first, POOL),
    ]


TREES = [(0, 1, 2, 3, 4), (0, 1, 1, 2, 2), (0, 1, 2, 2, 1)]


@pytest.mark.parametrize("kind", ["upstream", "pool", "contracts"])
@pytest.mark.parametrize("seed", range(8))
def test_no_schedule_is_worth_one_percent_more(sweep, band, book, problem, kind, seed):
    judge(sweep, band, book, problem, kind, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_nor_is_any_of_six_orders_chosen_freely(sweep, band, book, problem, seed):
    judge(sweep, band, book, problem, "six", seed, grid=5, around=2)


def judge(sweep, band, book, problem, kind, seed, **enumeration):
    rng = np.random.default_rng([seed, len(kind)])
    engine = sweep(parents=TREES[seed % 3], rated_a=rng.uniform(25, 70, 5), r_ohm=rng.uniform(0.03, 0.15, 5))
    limits, margins = band(engine.feeder, 0.96, 1.03), (0.0005, 0.5)
    fills = book(*rows(kind, rng))
    asked = problem(engine, fills, rng.uniform(-1500, 0, 5), -200.0)
    decision = TradeGate(engine, limits, *margins).decide(asked)
    moved = np.where(fills["flexible"], decision.accepted_wh * fills["side"], 0) * 4.0
    p = asked.p_base_w + np.bincount(fills["participant"], moved, 5)
    state = engine.solve(p[None], asked.q_base_var[None])
    assert limits.tightened(*margins).within(state).all()
    best = best_by_enumeration(engine, asked, limits.tightened(*margins), **enumeration)
    got = worth(fills, decision.accepted_wh)
    assert got >= 0.99 * best

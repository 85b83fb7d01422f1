"""With robust: k the schedule survives the failure of any k deliveries, tried one by one."""

from itertools import combinations

import numpy as np
import pytest

from market.orders import BUY, POOL, SELL, SUPPLIER
from twin.gate import trial
from twin.gate.gate import TradeGate

WH = 250
PRICE = 200_000


def scenarios(asked, accepted, k):
    """Power at the points with every set of at most k participants not delivering."""
    fills = asked.fills
    change = np.zeros(len(asked.point_of))
    np.add.at(change, fills["participant"], np.where(fills["flexible"], accepted * fills["side"], 0) * 4.0)
    who = np.flatnonzero(change)
    sets = [s for size in range(k + 1) for s in combinations(who, size)]
    out = []
    for s in sets:
        kept = change.copy()
        kept[list(s)] = 0
        out.append(asked.p_base_w + np.bincount(asked.point_of, kept, len(asked.p_base_w)))
    return np.array(out)


def random_book(book, seed):
    rng = np.random.default_rng(seed)
    rows = []
    for who in range(5):
        wh, surplus = int(rng.integers(10, 50)) * WH, int(rng.integers(0, 90_000))
        side = int(rng.choice([SELL, BUY]))
        rows.append((who, side, wh, SUPPLIER, True, PRICE, PRICE - side * surplus))
    s, b = (int(x) for x in rng.permutation(5)[:2])
    rows += [(s, SELL, 20 * WH, b, True, PRICE, PRICE), (b, BUY, 20 * WH, s, True, PRICE, PRICE + 50_000)]
    rows += [(b, SELL, 10 * WH, POOL, True, PRICE, PRICE), (s, BUY, 10 * WH, POOL, False, PRICE, PRICE)]
    return book(*rows)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_no_k_failures_break_a_limit(sweep, band, book, problem, k, seed):
    engine = sweep(rated_a=120.0)
    limits = band(engine.feeder, 0.95, 1.04)
    asked = problem(engine, random_book(book, seed), -800.0, -100.0)
    decision = TradeGate(engine, limits, 0.0005, 0.5, robust=k).decide(asked)
    power = scenarios(asked, decision.accepted_wh, k)
    assert limits.within(engine.solve(power, np.full_like(power, -100.0))).all()


def test_robustness_has_its_price_and_the_plain_gate_would_not_survive(sweep, band, book, problem):
    """The purchase at the end leans on the sale beside it: plain lets it through, robust does not."""
    engine = sweep(rated_a=500.0)
    limits = band(engine.feeder)
    fills = book(
        (4, BUY, 50 * WH, SUPPLIER, True, PRICE, PRICE + 50_000),
        (3, SELL, 40 * WH, SUPPLIER, True, PRICE, PRICE),
    )
    asked = problem(engine, fills, -500.0)
    plain, robust = (TradeGate(engine, limits, 0.0, 0.0, robust=k).decide(asked) for k in (0, 1))
    zero = np.zeros((3, 5))
    assert not limits.within(engine.solve(scenarios(asked, plain.accepted_wh, 1), zero)).all()
    assert limits.within(engine.solve(scenarios(asked, robust.accepted_wh, 1), zero)).all()
    assert 0 < robust.accepted_wh[0] < plain.accepted_wh[0]
    assert robust.decided_by == "lp"
    more = robust.accepted_wh + np.array([WH // 5, 0])
    assert not limits.within(engine.solve(scenarios(asked, more, 1), zero)).all()


def test_too_many_failures_to_enumerate_are_searched_for_the_worst(sweep, band, book, problem, monkeypatch):
    monkeypatch.setattr(trial, "ENUMERATED", 0)
    engine = sweep(rated_a=120.0)
    limits = band(engine.feeder, 0.95, 1.04)
    for seed in range(4):
        asked = problem(engine, random_book(book, seed), -800.0, -100.0)
        decision = TradeGate(engine, limits, 0.0005, 0.5, robust=2).decide(asked)
        power = scenarios(asked, decision.accepted_wh, 2)
        assert limits.within(engine.solve(power, np.full_like(power, -100.0))).all()


def test_a_schedule_that_stands_every_failure_is_accepted_whole(sweep, band, book, problem):
    engine = sweep()
    fills = book((0, SELL, WH), (4, BUY, WH))
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0, robust=1).decide(
        problem(engine, fills, -500.0)
    )
    assert decision.status == "accepted" and decision.solves == 2 + 3

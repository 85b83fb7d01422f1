"""Who is cut, why, and at what price."""

import numpy as np
import pytest

from market.orders import BUY, POOL, SELL, SUPPLIER
from twin.gate.gate import TradeGate
from twin.gate.units import make_units

WH = 250
PRICE = 200_000


def power(problem, accepted):
    fills = problem.fills
    moved = np.where(fills["flexible"], accepted * fills["side"], 0) * 3600 / problem.interval_s
    return problem.p_base_w + np.bincount(fills["participant"], moved, len(problem.p_base_w))


def value_micro(problem, accepted):
    units = make_units(problem.fills, problem.point_of, len(problem.p_base_w), problem.interval_s)
    per_unit = np.zeros(len(units.energy_wh))
    per_unit[units.row_unit] = accepted
    return float(units.weight @ per_unit) / 1000


@pytest.fixture
def contest(book):
    """Buyers at the end of the street with different surplus, one seller at its head."""
    return book(
        (0, SELL, 120 * WH, POOL, True, PRICE, PRICE - 40_000),
        (2, BUY, 40 * WH, POOL, True, PRICE, PRICE + 90_000),
        (3, BUY, 40 * WH, POOL, True, PRICE, PRICE + 20_000),
        (4, BUY, 40 * WH, POOL, True, PRICE, PRICE + 60_000),
    )


def test_the_least_valuable_energy_is_cut_first_and_names_its_limit(sweep, band, problem, contest):
    engine = sweep()
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0).decide(problem(engine, contest, -500.0))
    a = decision.accepted_wh
    assert decision.decided_by == "lp" and decision.status == "cut"
    assert a[1] == 40 * WH and a[2] == 0 and a[3] > 0
    assert decision.binding[2] == "voltage_min at bus 5" and decision.reason[2] == "cut by the gate"
    assert decision.shadow_price[2] > 0 and np.isnan(decision.shadow_price[1])
    assert a[0] < 120 * WH and decision.reason[0] == "cut with its pool, whose other side is limited"


@pytest.mark.parametrize(
    ("rated_a", "low", "what"), [(90.0, 0.9, "line_loading"), (500.0, 0.95, "voltage_min")]
)
def test_a_shadow_price_is_what_one_unit_of_the_limit_is_worth(
    sweep, band, problem, contest, rated_a, low, what
):
    engine = sweep(rated_a=rated_a)
    asked = problem(engine, contest, -500.0)
    step = 2.0 if what == "line_loading" else -0.002

    def decide(shift):
        loading, v = (100 + shift, low) if what == "line_loading" else (100.0, low + shift)
        return TradeGate(engine, band(engine.feeder, v, 1.1, loading), 0.0, 0.0).decide(asked)

    here = decide(0.0)
    worth = value_micro(asked, decide(step).accepted_wh) - value_micro(asked, decide(-step).accepted_wh)
    assert here.binding[2].startswith(what)
    assert here.shadow_price[2] == pytest.approx(worth / (2 * abs(step)), rel=0.02)


def test_no_order_could_have_one_more_watt_hour(sweep, band, book, problem):
    engine = sweep(rated_a=70.0)
    limits = band(engine.feeder, 0.95, 1.03)
    rng = np.random.default_rng(3)
    for _ in range(5):
        rows = [
            (int(rng.integers(5)), int(rng.choice([SELL, BUY])), int(rng.integers(20, 60)) * WH, SUPPLIER)
            for _ in range(8)
        ]
        fills = book(*((*r, True, PRICE, PRICE - r[1] * int(rng.integers(0, 90_000))) for r in rows))
        asked = problem(engine, fills, -500.0)
        decision = TradeGate(engine, limits, 0.0, 0.0).decide(asked)
        assert decision.decided_by == "lp"
        short = np.flatnonzero(decision.accepted_wh < fills["energy_wh"])
        assert len(short)
        for i in short:
            more = decision.accepted_wh.copy()
            more[i] += 1
            assert not limits.within(engine.solve(power(asked, more)[None], asked.q_base_var[None])).any()


def test_equal_weights_cut_by_the_same_fraction_and_spare_who_does_not_load_the_limit(
    sweep, band, book, problem
):
    engine = sweep(parents=(0, 1, 2, 0), rated_a=np.array([60.0, 60, 60, 60]))
    fills = book(
        (1, BUY, 60 * WH, SUPPLIER, True, PRICE, PRICE),
        (2, BUY, 20 * WH, SUPPLIER, True, PRICE, PRICE + 90_000),
        (3, BUY, 20 * WH, SUPPLIER, True, PRICE, PRICE),
    )
    decision = TradeGate(engine, band(engine.feeder, 0.8), 0.0, 0.0, weights="equal").decide(
        problem(engine, fills)
    )
    fraction = decision.accepted_wh / fills["energy_wh"]
    assert fraction[0] == pytest.approx(fraction[1], abs=2e-4) and fraction[0] < 0.9
    assert fraction[2] == 1.0
    assert np.isnan(decision.shadow_price).all() and decision.binding[0] == "line_loading at line 0"


def test_among_equal_orders_the_later_one_is_cut(sweep, band, book, problem):
    engine = sweep()
    rows = [(4, BUY, 20 * WH, SUPPLIER, True, PRICE, PRICE)] * 4
    decision = TradeGate(engine, band(engine.feeder, 0.93), 0.0, 0.0).decide(
        problem(engine, book(*rows), -500.0)
    )
    a = decision.accepted_wh
    cut = int((a < 20 * WH).argmax())
    assert cut > 0 and (a[:cut] == 20 * WH).all() and (a[cut + 1 :] == 0).all()


def test_the_same_problem_gives_the_same_decision_in_another_order_of_rows(sweep, band, problem, contest):
    engine = sweep()
    gate = TradeGate(engine, band(engine.feeder), 0.001, 1.0)
    one = gate.decide(problem(engine, contest, -500.0)).accepted_wh
    turn = np.array([2, 0, 3, 1])
    assert gate.decide(problem(engine, contest[turn], -500.0)).accepted_wh.tolist() == one[turn].tolist()


def test_relief_lets_more_through(sweep, band, book, problem):
    """A sale at the end of the street makes room for purchases there: both, or neither."""
    engine = sweep(rated_a=500.0)
    limits = band(engine.feeder)
    buyer = (4, BUY, 60 * WH, SUPPLIER, True, PRICE, PRICE + 50_000)
    helper = (3, SELL, 40 * WH, SUPPLIER, True, PRICE, PRICE)
    alone = TradeGate(engine, limits, 0.001, 1.0).decide(problem(engine, book(buyer), -500.0))
    both = TradeGate(engine, limits, 0.001, 1.0).decide(problem(engine, book(buyer, helper), -500.0))
    assert alone.accepted_wh[0] < 60 * WH
    assert both.accepted_wh[0] > alone.accepted_wh[0] + 20 * WH


def test_where_bisection_decides_there_is_no_price(sweep, band, problem, contest, monkeypatch):
    from twin.gate import cutting
    from twin.gate.program import ProgramError

    def fail(*_):
        raise ProgramError("test")

    monkeypatch.setattr(cutting, "settle", fail)
    engine = sweep()
    asked = problem(engine, contest, -500.0)
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0).decide(asked)
    assert decision.decided_by == "bisection" and np.isnan(decision.shadow_price).all()
    assert "did not settle" in decision.reason[2] and decision.binding[2] == "voltage_min at bus 5"
    fraction = decision.accepted_wh / contest["energy_wh"]
    assert fraction == pytest.approx(fraction[0], abs=1e-3) and fraction[0] > 0.2
    state = engine.solve(power(asked, decision.accepted_wh)[None], asked.q_base_var[None])
    assert state.v_pu.min() >= 0.951


def test_the_decision_is_the_same_every_time(sweep, band, problem, contest):
    engine = sweep()
    gate = TradeGate(engine, band(engine.feeder), 0.001, 1.0)
    first, second = (gate.decide(problem(engine, contest, -500.0)) for _ in range(2))
    assert first.accepted_wh.tolist() == second.accepted_wh.tolist() and first.solves == second.solves


def test_a_sequence_that_runs_out_of_rounds_falls_back_on_bisection(
    sweep, band, problem, contest, monkeypatch
):
    """One round is too few here: what it leaves breaks a limit, so the power flow sends it back."""
    from twin.gate import sequential

    monkeypatch.setattr(sequential, "ROUNDS", 1)
    engine = sweep()
    limits = band(engine.feeder)
    asked = problem(engine, contest, -500.0)
    decision = TradeGate(engine, limits, 0.0, 0.0).decide(asked)
    assert decision.decided_by == "bisection" and decision.duals == {}
    state = engine.solve(power(asked, decision.accepted_wh)[None], asked.q_base_var[None])
    assert limits.within(state).all() and decision.accepted_wh.sum() > 0.9 * 240 * WH * 0.5

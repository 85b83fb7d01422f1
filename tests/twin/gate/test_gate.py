"""The gate's promises, on a feeder whose power flow is the tests' own."""

import numpy as np
import pytest

from market.orders import BUY, POOL, SELL, SUPPLIER
from twin.gate.errors import GateInputError
from twin.gate.gate import TradeGate

WH = 250  # one kWh/h for a quarter of an hour


def power(problem, accepted):
    fills = problem.fills
    moved = np.where(fills["flexible"], accepted * fills["side"], 0) * 3600 / problem.interval_s
    return problem.p_base_w + np.bincount(fills["participant"], moved, len(problem.p_base_w))


def state_of(engine, problem, accepted):
    return engine.solve(power(problem, accepted)[None], problem.q_base_var[None])


def pool_sum(fills, accepted):
    rows = fills["counterparty"] == POOL
    return int((accepted * fills["side"])[rows].sum())


def test_an_interval_within_limits_costs_two_power_flows_in_one_batch(sweep, band, book, problem):
    engine = sweep()
    gate = TradeGate(engine, band(engine.feeder), 0.001, 1.0)
    fills = book((0, SELL, 3 * WH), (4, BUY, 3 * WH))
    decision = gate.decide(problem(engine, fills, -500.0))
    assert engine.calls == [2] and decision.solves == 2
    assert decision.status == "accepted" and decision.decided_by == "ac"
    assert decision.accepted_wh.tolist() == [3 * WH, 3 * WH] and decision.accepted_wh.dtype == np.int64
    assert decision.binding == (None, None) and np.isnan(decision.shadow_price).all()


def test_no_trades_cost_the_baseline_check_only(sweep, band, book, problem):
    engine = sweep()
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0).decide(problem(engine, book(), -500.0))
    assert decision.status == "idle" and engine.calls == [1] and decision.decided_by == "screen"


def test_orders_that_only_change_the_supplier_never_reach_the_limits(sweep, band, book, problem):
    engine = sweep()
    fills = book((0, SELL, 10**6, POOL, False), (4, BUY, 10**6, POOL, False))
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0).decide(problem(engine, fills, -500.0))
    assert decision.status == "accepted" and engine.calls == [1]


@pytest.mark.parametrize("margin", [0.0, 0.002])
def test_a_cut_schedule_keeps_the_limits_and_the_balance(sweep, band, book, problem, margin):
    engine = sweep()
    limits = band(engine.feeder)
    fills = book((0, SELL, 80 * WH), (3, BUY, 30 * WH), (4, BUY, 50 * WH))
    asked = problem(engine, fills, -500.0)
    decision = TradeGate(engine, limits, margin, 1.0).decide(asked)
    assert decision.status == "cut"
    after = state_of(engine, asked, decision.accepted_wh)
    assert after.v_pu.min() >= 0.95 + margin and after.loading_percent.max() <= 99.0
    assert after.v_pu.min() < 0.95 + margin + 0.002  # and not cut far below what fits
    assert pool_sum(fills, decision.accepted_wh) == 0
    assert (decision.accepted_wh <= fills["energy_wh"]).all() and (decision.accepted_wh >= 0).all()
    kinds = {(v.kind, v.element) for v in decision.averted}
    assert ("voltage_min", "bus 5") in kinds
    assert any(b and "voltage_min" in b for b in decision.binding)


def test_a_supplier_who_is_cut_needs_no_counterpart(sweep, band, book, problem):
    engine = sweep()
    fills = book((4, BUY, 60 * WH, SUPPLIER), (0, SELL, WH), (1, BUY, WH, POOL, False))
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0).decide(problem(engine, fills, -500.0))
    assert 0 < decision.accepted_wh[0] < 60 * WH
    assert decision.accepted_wh[1] == decision.accepted_wh[2]


def test_a_buyer_who_moves_nothing_falls_back_with_the_seller_who_was_cut(sweep, band, book, problem):
    engine = sweep()
    fills = book((4, SELL, 80 * WH), (0, BUY, 50 * WH, POOL, False), (1, BUY, 30 * WH, POOL, False))
    asked = problem(engine, fills)
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0).decide(asked)
    assert decision.status == "cut" and 0 < decision.accepted_wh[0] < 80 * WH
    assert pool_sum(fills, decision.accepted_wh) == 0
    assert state_of(engine, asked, decision.accepted_wh).v_pu.max() <= 1.049


def test_a_bilateral_pair_shrinks_on_both_sides(sweep, band, book, problem):
    engine = sweep()
    fills = book((0, SELL, 80 * WH, 4), (4, BUY, 80 * WH, 0), (1, SELL, 2 * WH, 2), (2, BUY, 2 * WH, 1))
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0).decide(problem(engine, fills, -500.0))
    a = decision.accepted_wh
    assert 0 < a[0] == a[1] < 80 * WH and a[2] == a[3]


def test_a_feeder_that_is_broken_already_may_not_be_made_worse(sweep, band, book, problem):
    engine = sweep()
    limits = band(engine.feeder)
    worse = book((0, SELL, 4 * WH), (4, BUY, 4 * WH))
    asked = problem(engine, worse, -12000.0)
    decision = TradeGate(engine, limits, 0.001, 1.0).decide(asked)
    assert decision.base_violations and decision.status == "blocked"
    assert not decision.accepted_wh.any()
    better = problem(engine, book((4, SELL, 4 * WH), (0, BUY, 4 * WH)), -12000.0)
    relief = TradeGate(engine, limits, 0.001, 1.0).decide(better)
    assert relief.status == "accepted" and relief.base_violations and not relief.averted


def test_a_baseline_without_solution_is_inconclusive(sweep, band, book, problem):
    engine = sweep()
    fills = book((0, SELL, WH), (4, BUY, WH))
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0).decide(problem(engine, fills, -200e3))
    assert decision.status == "inconclusive" and not decision.accepted_wh.any()
    assert decision.base_violations[0].kind == "no_solution"
    assert all(decision.reason)


def test_trades_that_collapse_the_feeder_are_cut_to_what_it_carries(sweep, band, book, problem):
    engine = sweep()
    fills = book((4, BUY, 1000 * WH, SUPPLIER))
    asked = problem(engine, fills, -500.0)
    decision = TradeGate(engine, band(engine.feeder), 0.001, 1.0).decide(asked)
    assert decision.averted[0].kind == "no_solution" and decision.status == "cut"
    assert state_of(engine, asked, decision.accepted_wh).v_pu.min() >= 0.951


def test_contradictory_fills_are_the_callers_fault(sweep, band, book, problem):
    engine = sweep()
    gate = TradeGate(engine, band(engine.feeder), 0.001, 1.0)
    with pytest.raises(GateInputError, match="exceed pool purchases by 750 Wh"):
        gate.decide(problem(engine, book((0, SELL, 4 * WH), (4, BUY, WH))))
    with pytest.raises(GateInputError, match="other side"):
        gate.decide(problem(engine, book((0, SELL, 80 * WH, 4), (4, BUY, 80 * WH, 3)), -500.0))

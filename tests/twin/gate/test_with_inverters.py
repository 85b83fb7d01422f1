"""A gate that knows the inverters, against a damped iteration of the tests' own on the sweep engine."""

import numpy as np
import pytest

from adapters.grid.inverter_curves import IEEE_1547_B_VOLT_VAR, PRESETS, Curve, InverterSettings
from adapters.grid.inverter_engine import InverterEngine
from adapters.grid.inverter_fleet import InverterFleet
from market.orders import BUY, SELL, SUPPLIER
from twin.gate.gate import TradeGate
from twin.gate.sensitivity import sensitivity

END, RATED_VA, QUARTER = 4, 80_000.0, 900
AT = np.array([END])


def foreseeing(engine, settings, base_w, at=AT):
    """An engine with inverters at ``at`` that carry whatever trades change there."""
    known = InverterEngine(engine, InverterFleet(settings, at, np.full(len(at), RATED_VA)))
    known.foresee(np.asarray(base_w, float), np.zeros(len(at)), np.ones(len(at)))
    return known


def damped(engine, p_w, q_of):
    """Power flow and reactive power at the end that fit each other, by many small steps."""
    q = np.zeros_like(p_w)
    for _ in range(60):
        state = engine.solve(p_w[None], q[None])
        q[END] += 0.4 * (q_of(state.v_pu[0, END + 1]) - q[END])
    return state


def volt_var(v_pu):
    return float(np.interp(v_pu, IEEE_1547_B_VOLT_VAR.x, IEEE_1547_B_VOLT_VAR.y)) * RATED_VA


def after(problem, wh):
    p = problem.p_base_w.copy()
    p[END] += wh * 3600 / QUARTER
    return p


def test_a_voltage_that_inverters_lower_lets_more_pass_and_no_more_than_what_fits(sweep, band, book, problem):
    engine = sweep(x_ohm=0.05)
    limits = band(engine.feeder, loading=900.0)
    asked = problem(engine, book((END, SELL, 16_000, SUPPLIER)), -500.0)
    plain = TradeGate(engine, limits, 0.0, 0.0).decide(asked).accepted_wh[0]
    known = foreseeing(engine, InverterSettings(volt_var=IEEE_1547_B_VOLT_VAR), asked.p_base_w)
    decision = TradeGate(known, limits, 0.0, 0.0).decide(asked)
    best, beyond = 0, 16_000
    while beyond - best > 10:
        middle = (best + beyond) // 2
        fits = damped(engine, after(asked, middle), volt_var).v_pu.max() <= 1.05
        best, beyond = (middle, beyond) if fits else (best, middle)
    assert best > 1.2 * plain
    assert 0.99 * best <= decision.accepted_wh[0] <= best + 10
    assert decision.decided_by == "lp" and decision.binding[0] == "voltage_max at bus 5"
    one = damped(engine, after(asked, decision.accepted_wh[0]), volt_var)
    assert one.v_pu.max() <= 1.05 + 1e-6, "what leaves the gate keeps the limit with inverters"


def test_the_shadow_price_is_that_of_the_feeder_with_inverters(sweep, band, book, problem):
    """Finite difference: a limit wider by 0.001 pu is worth what more of the order then passes."""
    engine = sweep(x_ohm=0.05)
    fills = book((END, SELL, 16_000, SUPPLIER))
    fills["limit_micro_per_kwh"], fills["price_micro_per_kwh"] = 50_000, 80_000
    asked = problem(engine, fills, -500.0)
    known = foreseeing(engine, InverterSettings(volt_var=IEEE_1547_B_VOLT_VAR), asked.p_base_w)
    narrow, wide = (
        TradeGate(known, band(engine.feeder, high=high, loading=900.0), 0.0, 0.0).decide(asked)
        for high in (1.05, 1.051)
    )
    worth = (wide.accepted_wh[0] - narrow.accepted_wh[0]) / 1000 * 30_000 / 0.001
    assert narrow.shadow_price[0] == pytest.approx(worth, rel=0.03)


def test_a_current_that_inverters_add_is_seen_before_it_breaks_a_rating(sweep, band, book, problem):
    engine = sweep(rated_a=40.0)
    limits = band(engine.feeder, 0.5, 1.5)
    asked = problem(engine, book((END, SELL, 7000, SUPPLIER)), -100.0)
    fixed = InverterSettings(power_factor=0.8)
    known = foreseeing(engine, fixed, asked.p_base_w)
    blind, seeing = (TradeGate(e, limits, 0.0, 0.0).decide(asked).accepted_wh[0] for e in (engine, known))

    def loading(wh):
        q = np.zeros(5)
        q[END] = -wh * 4 * np.tan(np.arccos(0.8))
        return engine.solve(after(asked, wh)[None], q[None]).loading_percent.max()

    assert loading(blind) > 110 and loading(seeing) <= 100 + 1e-4
    assert loading(seeing + 10) > 100, "and not a whole Wh too little"


def test_an_interval_without_violation_still_asks_twice_and_a_plain_gate_is_the_engine_itself(
    sweep, band, book, problem
):
    engine = sweep()
    asked = problem(engine, book((END, SELL, 100, SUPPLIER)), -500.0)
    known = foreseeing(engine, PRESETS["ieee_1547_b"], asked.p_base_w)
    decision = TradeGate(known, band(engine.feeder), 0.001, 1.0).decide(asked)
    assert decision.status == "accepted" and decision.solves == 2
    assert all(rows == 2 for rows in engine.calls[:1])


def test_a_fixed_point_that_is_not_found_is_never_let_pass(sweep, band, book, problem):
    """A cliff at 1.02 pu: beyond it nothing settles, so nothing beyond it is accepted, whatever the limits."""
    engine = sweep(x_ohm=0.1)
    cliff = InverterSettings(volt_var=Curve((1.0199999, 1.02), (0.0, -1.0)))
    asked = problem(engine, book((END, SELL, 16_000, SUPPLIER)), -500.0)
    known = foreseeing(engine, cliff, asked.p_base_w)
    lost = known.solve(after(asked, 16_000)[None], asked.q_base_var[None])
    assert not lost.converged[0] and np.isnan(lost.v_pu).all() and np.isnan(lost.p_slack_w[0])
    decision = TradeGate(known, band(engine.feeder, 0.5, 1.5, 900.0), 0.0, 0.0).decide(asked)
    assert decision.status != "accepted" and decision.accepted_wh[0] < 16_000
    assert known.solve(after(asked, decision.accepted_wh[0])[None], asked.q_base_var[None]).converged[0]
    if decision.decided_by == "bisection":
        assert np.isnan(decision.shadow_price).all() and not decision.duals
    known.foresee(asked.p_base_w, np.array([8000.0]), np.ones(1))
    hot = problem(engine, book((END, SELL, 100, SUPPLIER)), 9000.0)
    refused = TradeGate(
        foreseeing(engine, cliff, hot.p_base_w), band(engine.feeder, 0.5, 1.5), 0.0, 0.0
    ).decide(hot)
    assert refused.status == "inconclusive" and refused.accepted_wh[0] == 0


def test_slopes_are_those_of_the_feeder_that_answers(sweep):
    engine = sweep(x_ohm=0.05)
    base = np.array([-500.0, -500, -500, -500, 22_000])
    known = foreseeing(engine, InverterSettings(volt_var=IEEE_1547_B_VOLT_VAR), base)
    zero = np.zeros(5)
    found = sensitivity(known.solve, engine.feeder, base, zero, np.arange(5), 100.0).v_per_w[5]
    for point in (1, END):
        high, low = base.copy(), base.copy()
        high[point] += 100
        low[point] -= 100
        v = [damped(engine, p, volt_var).v_pu[0, 5] for p in (low, high)]
        assert v[0] > 1.02, "on the slope of the curve"
        assert found[point] == pytest.approx((v[1] - v[0]) / 200, rel=0.01)


def test_what_is_frozen_gives_the_same_states_in_a_plain_engine(sweep):
    engine = sweep(x_ohm=0.05)
    base = np.full(5, -500.0)
    both = np.array([2, END])
    known = foreseeing(engine, PRESETS["ieee_1547_b"], base, both)
    p, q = np.stack((base, base + np.array([0, 0, 9e3, 0, 3e4]))), np.zeros((2, 5))
    believed = known.solve(p, q)
    plain, p_then, q_then = known.frozen(p, q)
    known.foresee(base, np.array([5e3, 5e3]), np.zeros(2))
    assert plain is engine and not np.array_equal(q_then, q)
    np.testing.assert_allclose(plain.solve(p_then, q_then).v_pu, believed.v_pu, atol=1e-12)
    assert np.array_equal(q_then[:, [0, 1, 3]], q[:, [0, 1, 3]]), "only where inverters are"


def test_an_engine_that_was_told_nothing_has_no_inverters(sweep):
    engine = sweep()
    known = InverterEngine(engine, InverterFleet(PRESETS["ieee_1547_b"], AT, np.array([RATED_VA])))
    p = np.full((1, 5), 4000.0)
    assert np.array_equal(known.solve(p, 0 * p).v_pu, engine.solve(p, 0 * p).v_pu)


def test_buyers_without_inverter_draw_no_reactive_power(sweep, book, problem):
    """A car's charging is no part of its roof's inverter: its share is zero."""
    engine = sweep()
    asked = problem(engine, book((END, BUY, 1000, SUPPLIER)), 0.0)
    known = InverterEngine(
        engine, InverterFleet(InverterSettings(power_factor=0.9), AT, np.array([RATED_VA]))
    )
    known.foresee(asked.p_base_w, np.zeros(1), np.zeros(1))
    p = after(asked, -1000)[None]
    assert np.array_equal(known.solve(p, 0 * p).v_pu, engine.solve(p, 0 * p).v_pu)

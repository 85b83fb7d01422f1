"""Shares add up, agree with an exhaustive Shapley value, and survive a flow that turns round."""

from dataclasses import replace
from itertools import combinations
from math import factorial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from adapters.grid.factory import make_engine
from adapters.grid.source import load_feeder
from twin.gate.attribution import attribute
from twin.gate.errors import GateInputError
from twin.gate.limits import Violation

N = 5


def shapley(engine, base, traded, value):
    """Shapley value over all 2^n coalitions of the points' changes."""
    sets = [frozenset(c) for k in range(N + 1) for c in combinations(range(N), k)]
    p = np.stack([np.where([j in s for j in range(N)], traded, base) for s in sets])
    worth = dict(zip(sets, value(engine.solve(p, np.zeros_like(p))), strict=True))
    out = np.zeros(N)
    for s in sets:
        for j in set(range(N)) - s:
            weight = factorial(len(s)) * factorial(N - 1 - len(s)) / factorial(N)
            out[j] += weight * (worth[s | {j}] - worth[s])
    return out


def test_shares_of_a_voltage_drop_agree_with_the_shapley_value_over_all_coalitions(sweep):
    engine = sweep()
    base = np.full(N, -1000.0)
    traded = base + np.array([6000, -2000, 1000, -9000, -7000])
    low = Violation("voltage_min", 5, "bus 5", 0.0, 0.95)
    shares = attribute(engine, base, np.zeros(N), traded, np.zeros(N), low)
    exact = -shapley(engine, base, traded, lambda s: s.v_pu[:, 5])
    assert shares.share_of_change == pytest.approx(exact, abs=0.004 * shares.change)
    assert shares.change > 0.02 and abs(shares.residual) < 1e-7
    assert shares.share_of_change[0] < 0 and shares.share_of_change[2] < 0  # sellers relieve the drop
    assert shares.share_of_change[4] > 0


def test_for_an_upper_limit_a_seller_is_adverse_and_a_buyer_relieves(sweep):
    engine = sweep()
    high = Violation("voltage_max", 5, "bus 5", 0.0, 1.02)
    shares = attribute(engine, np.zeros(N), np.zeros(N), np.array([0, 0, 0, -4e3, 2e4]), np.zeros(N), high)
    assert shares.share_of_change[4] > 0 > shares.share_of_change[3]
    assert shares.share_of_change[:3].tolist() == [0, 0, 0]


def test_the_excess_is_shared_from_where_the_limit_is_crossed(sweep):
    engine = sweep()
    base, traded, zero = np.full(N, -500.0), np.array([-500, 2e3, -500, -2e4, -2e4]), np.zeros(N)
    end = engine.solve(traded[None], zero[None]).v_pu[0, 5]
    shares = attribute(engine, base, zero, traded, zero, Violation("voltage_min", 5, "bus 5", end, 0.95))
    assert 0 < shares.excess < shares.change and shares.excess == pytest.approx(0.95 - end, abs=1e-9)
    assert abs(shares.residual_of_excess) < 1e-6
    # by brute force: the midpoint rule on the part of the path beyond the limit
    tau = (np.arange(4000) + 0.5) / 4000
    path = base + tau[:, None] * (traded - base)
    beyond = engine.solve(path, np.zeros_like(path)).v_pu[:, 5] < 0.95
    step = 50.0
    expected = np.zeros(N)
    for j in range(N):
        up, down = path[beyond].copy(), path[beyond].copy()
        up[:, j] += step
        down[:, j] -= step
        slope = (engine.solve(up, 0 * up).v_pu[:, 5] - engine.solve(down, 0 * up).v_pu[:, 5]) / (2 * step)
        expected[j] = -(slope * (traded - base)[j]).sum() / 4000
    assert shares.share_of_excess == pytest.approx(expected, abs=2e-3 * shares.excess)


def test_a_baseline_beyond_the_limit_leaves_the_trades_only_what_they_added(sweep):
    engine = sweep()
    base, zero = np.full(N, -12000.0), np.zeros(N)
    traded = base - [0, 0, 0, 0, 1000.0]
    shares = attribute(engine, base, zero, traded, zero, Violation("voltage_min", 5, "bus 5", 0.0, 0.95))
    assert shares.excess == pytest.approx(shares.change) and shares.excess < 0.01


@pytest.mark.parametrize("q", [0.0, -300.0])
def test_shares_add_up_where_the_flow_reverses(sweep, q):
    engine = sweep()
    base, traded = np.full(N, -2000.0), np.array([-2000, -2000, -2000, 9000, 8000.0])
    reactive = np.full(N, q)
    loading = Violation("line_loading", 2, "line 2", 0.0, 10.0)
    shares = attribute(engine, base, reactive, traded, reactive, loading)
    flow = engine.solve(np.stack((base, traded)), np.stack((reactive, reactive))).p_branch_w[:, 2]
    assert flow[0] > 0 > flow[1]  # it does turn round
    assert abs(shares.residual) < 1e-4 and abs(shares.residual_of_excess) < 1e-6
    assert shares.change > 1 and shares.excess > 0.5


def test_reactive_power_is_part_of_a_points_change(sweep):
    engine = sweep(x_ohm=0.1)
    base, zero = np.full(N, -1000.0), np.zeros(N)
    q = np.array([0, 0, 0, 0, -5000.0])
    shares = attribute(engine, base, zero, base, q, Violation("voltage_min", 5, "bus 5", 0.0, 0.95))
    ends = engine.solve(np.stack((base, base)), np.stack((zero, q))).v_pu[:, 5]
    assert shares.share_of_change[4] == pytest.approx(ends[0] - ends[1], abs=1e-8)


def test_nothing_traded_is_nothing_to_share(sweep):
    engine, zero = sweep(), np.zeros(N)
    shares = attribute(engine, zero, zero, zero, zero, Violation("voltage_min", 5, "bus 5", 0.0, 0.95))
    assert not shares.share_of_change.any() and engine.calls == []


def test_a_path_without_solution_is_nan_and_no_solution_is_refused(sweep):
    engine, zero = sweep(), np.zeros(N)
    dead = np.array([0, 0, 0, 0, -4e5])
    shares = attribute(engine, zero, zero, dead, zero, Violation("voltage_min", 5, "bus 5", 0.0, 0.95))
    assert np.isnan(shares.share_of_change).all() and np.isnan(shares.residual)
    with pytest.raises(GateInputError, match="without solution"):
        attribute(engine, zero, zero, dead, zero, Violation("no_solution", -1, "", np.nan, np.nan))


def test_a_house_beside_a_power_plant_has_its_own_step(sweep):
    """Megawatts as the step of a house would bend its voltage; then no segment is ever short enough."""
    engine = sweep(parents=(0, 1, 2), r_ohm=(1e-5, 0.2, 0.2), x_ohm=0.0, rated_a=1e9)
    base, traded = np.array([0.0, -1000.0, -1000.0]), np.array([4e6, 1500.0, -1000.0])
    zero = np.zeros(3)
    shares = attribute(
        engine, base, zero, traded, zero, SimpleNamespace(kind="voltage_max", row=3, limit=1.5)
    )
    assert shares.solves < 100 and abs(shares.residual) <= 1e-5 * shares.change


def test_halving_ends_where_it_does_not_help(sweep):
    """An engine whose voltages are off by its own tolerance: the residual stays, and it is not sought for ever."""

    class Coarse:
        def __init__(self, engine):
            self.feeder, self.engine = engine.feeder, engine

        def solve(self, p, q):
            state = self.engine.solve(p, q)
            return replace(state, v_pu=np.round(state.v_pu, 5))

    coarse = Coarse(sweep(parents=(0, 1), r_ohm=0.05))
    base, traded, zero = np.array([-1000.0, -1000.0]), np.array([2000.0, 3000.0]), np.zeros(2)
    shares = attribute(
        coarse, base, zero, traded, zero, SimpleNamespace(kind="voltage_max", row=2, limit=1.5)
    )
    assert shares.solves < 500 and shares.residual != 0


class Plain:
    """An engine without an equivalent: derivatives are then differences of its power flows."""

    def __init__(self, engine):
        self.feeder, self.name, self.solve = engine.feeder, engine.name, engine.solve


@pytest.fixture(scope="module")
def street():
    return make_engine(load_feeder("simbench:1-LV-rural1--0-sw", Path()), "power_grid_model")


@pytest.mark.parametrize(
    ("kind", "row", "limit"),
    [
        ("voltage_min", 9, 1.02),
        ("voltage_max", 12, 1.03),
        ("line_loading", 3, 10.0),
        ("transformer_loading", -1, 20.0),
        ("voltage_rise", 9, 0.3),
        ("reverse_power", -1, 1e4),
        ("feeder_cap", -1, 1e4),
        ("feeder_cap_apparent", -1, 2e4),
    ],
)
def test_the_equivalent_gives_the_shares_that_differences_of_power_flows_give(street, kind, row, limit):
    n = len(street.feeder.points)
    rng = np.random.default_rng(4)
    base, q = -rng.uniform(500, 3000, n), -rng.uniform(0, 500, n)
    traded, q_traded = base + rng.uniform(-4e3, 6e3, n), q + rng.uniform(-500, 500, n)
    row = street.feeder.branch_kind.index("trafo") if kind == "transformer_loading" else row
    element = SimpleNamespace(kind=kind, row=row, limit=limit)
    exact = attribute(street, base, q, traded, q_traded, element)
    plain = attribute(Plain(street), base, q, traded, q_traded, element)
    assert exact.solves <= 3 < plain.solves
    size = np.abs(plain.share_of_change).max()
    assert exact.share_of_change == pytest.approx(plain.share_of_change, abs=1e-5 * size)
    assert exact.share_of_excess == pytest.approx(plain.share_of_excess, abs=1e-5 * size)
    assert exact.change == pytest.approx(plain.change, rel=1e-9) and exact.excess == pytest.approx(
        plain.excess
    )
    assert abs(exact.residual) <= 1e-5 * max(size, abs(exact.change))


def test_an_equivalent_that_does_not_fit_its_engine_is_not_believed(street):
    """Half of the feeder's impedance: shares that add up beautifully, to another change than the engine's."""
    seen, n = street.thevenin, len(street.feeder.points)
    wrong = Plain(street)
    wrong.thevenin = replace(seen, v=replace(seen.v, slope=seen.v.slope / 2))
    base, q = np.full(n, -1000.0), np.zeros(n)
    element = SimpleNamespace(kind="voltage_min", row=9, limit=1.0)
    found = attribute(wrong, base, q, base - 2000, q, element)
    right = attribute(Plain(street), base, q, base - 2000, q, element)
    assert found.share_of_change == pytest.approx(right.share_of_change) and found.solves > 10

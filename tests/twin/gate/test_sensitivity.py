"""Derivatives against a published value and against the formula of a line."""

from pathlib import Path

import numpy as np
import pytest

from adapters.grid.factory import make_engine
from adapters.grid.source import load_feeder
from twin.gate.sensitivity import sensitivity


def test_the_33_bus_feeder_has_the_slope_of_its_power_flow_jacobian():
    """0.07988 pu per MW at bus 17 with its nominal load: from the inverse of pandapower's Jacobian."""
    feeder = load_feeder("pandapower:case33bw", Path())
    engine = make_engine(feeder, "power_grid_model")
    p = np.array([-point.p_rated_w for point in feeder.points])
    q = np.array([-point.q_rated_var for point in feeder.points])
    at = next(row for row, point in enumerate(feeder.points) if point.bus == 17)
    found = sensitivity(engine.solve, feeder, p, q, np.array([at]), 2000.0)
    assert found.v_per_w[17, at] * 1e6 == pytest.approx(0.07988, rel=2e-3)
    assert not found.v_per_w[:, [i for i in range(len(p)) if i != at]].any()


def test_one_line_by_its_formula(sweep):
    """V2 = V1 - (R P + X Q) / V2, nearly: dV/dP = R, dV/dQ = X in pu at no load; loss 2 R P / V^2."""
    engine = sweep(parents=(0,), r_ohm=0.1, x_ohm=0.04)
    zero, load = np.zeros(1), np.array([-5000.0])
    by_p = sensitivity(engine.solve, engine.feeder, zero, zero, np.array([0]), 100.0)
    by_q = sensitivity(engine.solve, engine.feeder, zero, zero, np.array([0]), 100.0, reactive=True)
    assert by_p.v_per_w[1, 0] == pytest.approx(0.1 / 400**2, rel=1e-3)
    assert by_q.v_per_w[1, 0] == pytest.approx(0.04 / 400**2, rel=1e-3)
    loaded = sensitivity(engine.solve, engine.feeder, load, zero, np.array([0]), 100.0)
    assert loaded.loss_per_w[0] == pytest.approx(2 * 0.1 * -5000 / 400**2, rel=0.02)
    assert loaded.excess_per_w.shape == (2 * 2 + 1, 1)
    assert loaded.excess_per_w[1, 0] == -loaded.excess_per_w[3, 0] < 0


def test_points_at_one_bus_share_their_power_flows(sweep):
    engine = sweep(parents=(0, 1), points_at=[2, 1, 2, 2])
    zero = np.zeros(4)
    found = sensitivity(engine.solve, engine.feeder, zero, zero, np.arange(4), 100.0)
    assert engine.calls == [4]
    assert found.v_per_w[2, 0] == found.v_per_w[2, 2] == found.v_per_w[2, 3] > found.v_per_w[2, 1] > 0


def test_a_neighbour_without_solution_gives_zero_not_nan(sweep):
    engine = sweep()
    p = np.zeros(5)
    found = sensitivity(engine.solve, engine.feeder, p, p, np.array([4]), 3e5)
    assert np.isfinite(found.v_per_w).all()

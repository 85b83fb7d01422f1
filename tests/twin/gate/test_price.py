"""Charges against path impedances and finite differences of welfare and loss."""

import numpy as np
import pytest

from market.orders import BUY, SUPPLIER
from twin.gate.gate import TradeGate
from twin.gate.price import distance_charges, distance_to_source_ohm, electrical_distance_ohm, nodal_charges

WH = 250
PRICE = 200_000


def test_the_distance_on_a_radial_feeder_is_the_impedance_of_the_path(sweep):
    r, x = np.array([0.05, 0.1, 0.02, 0.04, 0.08]), np.array([0.02, 0.01, 0.03, 0.01, 0.02])
    engine = sweep(parents=(0, 1, 1, 3, 4), r_ohm=r, x_ohm=x)
    zero = np.zeros(5)
    distance = electrical_distance_ohm(engine, zero, zero)
    # bus 2 to bus 5: lines 1 (to bus 2), 2, 3, 4 (by way of bus 1)
    assert distance[1, 4] == pytest.approx(abs(sum((r + 1j * x)[[1, 2, 3, 4]])), rel=1e-3)
    assert distance == pytest.approx(distance.T) and np.diag(distance) == pytest.approx(0)
    source = distance_to_source_ohm(engine, zero, zero)
    assert source[4] == pytest.approx(abs(sum((r + 1j * x)[[0, 2, 3, 4]])), rel=1e-3)
    assert distance_charges(source, 10_000)[0] == pytest.approx(abs(r[0] + 1j * x[0]) * 10_000, abs=1)


def test_the_distance_on_the_33_bus_feeder_is_the_published_path_impedance():
    from pathlib import Path

    from adapters.grid.factory import make_engine
    from adapters.grid.source import load_feeder

    feeder = load_feeder("pandapower:case33bw", Path())
    engine = make_engine(feeder, "power_grid_model")
    at = {point.bus: row for row, point in enumerate(feeder.points)}
    zero = np.zeros(len(feeder.points))
    distance = electrical_distance_ohm(engine, zero, zero)
    line = feeder.native.line
    near = {
        (int(a), int(b)): complex(r, x)
        for a, b, r, x in zip(
            line.from_bus,
            line.to_bus,
            line.r_ohm_per_km * line.length_km,
            line.x_ohm_per_km * line.length_km,
            strict=True,
        )
    }
    path = sum(
        z
        for (a, b), z in near.items()
        if (a >= 5 and b <= 17) or (a == 5 and b == 25) or (a >= 25 and b <= 32)
    )
    assert distance[at[17], at[32]] == pytest.approx(abs(path), rel=1e-3)


def setting(sweep, band, book, problem, low=0.95, rated_a=500.0):
    engine = sweep(rated_a=rated_a)
    fills = book(
        (4, BUY, 60 * WH, SUPPLIER, True, PRICE, PRICE + 50_000),
        (2, BUY, 60 * WH, SUPPLIER, True, PRICE, PRICE + 9_000),
    )
    asked = problem(engine, fills, -500.0)
    return engine, TradeGate(engine, band(engine.feeder, low), 0.0, 0.0), asked


def test_congestion_is_what_one_more_kwh_at_a_point_is_worth(sweep, band, book, problem):
    _, gate, asked = setting(sweep, band, book, problem)
    decision = gate.decide(asked)
    charges = nodal_charges(gate, asked, decision, 0)
    wh = 40

    def worth(point, sign):
        p = asked.p_base_w.copy()
        p[point] += sign * wh * 4.0
        moved = type(asked)(p, asked.q_base_var, asked.point_of, asked.fills, 900)
        accepted = gate.decide(moved).accepted_wh
        return float(accepted @ np.array([50_000, 9_000])) / 1000

    for point in (1, 3, 4):
        gain = (worth(point, 1) - worth(point, -1)) / (2 * wh) * 1000
        # an injection relieves: its charge is negative, a consumer there pays
        assert charges.congestion_micro_per_kwh[point] == pytest.approx(-gain, rel=0.05)
    assert charges.congestion_micro_per_kwh[4] < charges.congestion_micro_per_kwh[1] < 0


def test_the_loss_part_is_the_energy_price_times_the_marginal_loss(sweep, band, book, problem):
    engine, gate, asked = setting(sweep, band, book, problem, low=0.5)
    decision = gate.decide(asked)
    assert decision.status == "accepted"
    charges = nodal_charges(gate, asked, decision, 300_000)
    assert not charges.congestion_micro_per_kwh.any()
    p = asked.p_base_w + np.array([0, 0, -60e3, 0, -60e3])
    more = p + np.array([0, 0, 0, 0, 10.0])
    loss = engine.solve(np.stack((p, more)), np.zeros((2, 5))).loss_w
    assert charges.total_micro_per_kwh[4] == pytest.approx(300_000 * (loss[1] - loss[0]) / 10, rel=1e-2)


def test_an_inconclusive_interval_charges_nothing(sweep, band, book, problem):
    _, gate, asked = setting(sweep, band, book, problem)
    lost = type(asked)(np.full(5, -200e3), asked.q_base_var, asked.point_of, asked.fills, 900)
    charges = nodal_charges(gate, lost, gate.decide(lost), 300_000)
    assert not charges.total_micro_per_kwh.any()

"""The central reference against merit order and brute force."""

from itertools import product

import numpy as np
import pytest

from market.mechanism import Tariff
from market.orders import BUY, POOL, SELL, SUPPLIER, empty_fills, empty_orders
from twin.gate.central import central, welfare_micro
from twin.gate.gate import GateProblem, TradeGate

TARIFF = Tariff(retail_micro_per_kwh=320_000, feed_in_micro_per_kwh=80_000)
WH = 250


def orders_of(*rows):
    orders = empty_orders(len(rows))
    for i, (who, side, wh, price, flexible) in enumerate(rows):
        orders[i] = (i, who, side, 0, flexible, wh, price, 0, i)
    return orders


def solve(engine, limits, orders, p=-500.0):
    base = np.full(5, p)
    return central(engine, limits, base, np.zeros(5), np.arange(5), orders, TARIFF, 900)


def test_without_congestion_it_is_the_merit_order(sweep, band):
    engine = sweep(r_ohm=1e-4, rated_a=1e4)
    orders = orders_of(
        (0, SELL, 4000, 100_000, True),
        (1, SELL, 4000, 250_000, True),
        (2, SELL, 4000, 400_000, True),  # dearer than the supplier: stays out
        (3, BUY, 3000, 350_000, True),
        (4, BUY, 2000, 200_000, True),
        (4, BUY, 2000, 50_000, True),  # below feed-in: the seller rather exports
    )
    result = solve(engine, band(engine.feeder), orders)
    assert result.accepted_wh.tolist() == [4000, 0, 0, 3000, 1000, 0]
    # 4000 Wh at 0.10 serve 3000 at 0.35 and 1000 at 0.20; the seller at 0.25 could only serve those at 0.20
    assert result.welfare_micro == pytest.approx(3 * 350_000 + 1 * 200_000 - 4 * 100_000)
    assert result.import_wh == result.export_wh == 0


def test_the_supplier_serves_who_pays_more_than_retail(sweep, band):
    engine = sweep(r_ohm=1e-4, rated_a=1e4)
    result = solve(engine, band(engine.feeder), orders_of((3, BUY, 3000, 350_000, True)))
    assert result.import_wh == 3000 and result.welfare_micro == pytest.approx(3 * 30_000)


@pytest.mark.parametrize("seed", range(6))
def test_within_limits_no_schedule_on_a_grid_is_worth_one_percent_more(sweep, band, seed):
    rng = np.random.default_rng(seed)
    engine = sweep(rated_a=60.0)
    limits = band(engine.feeder, 0.95, 1.04)
    sides = [SELL, SELL, BUY, BUY]
    rows = [
        (
            int(w),
            s,
            int(rng.integers(20, 60)) * WH,
            int(rng.integers(0, 2)) * 120_000 + int(rng.integers(90, 200)) * 1000,
            True,
        )
        for w, s in zip(rng.permutation(5), sides, strict=False)
    ]
    orders = orders_of(*rows)
    result = solve(engine, limits, orders)
    steps = np.array(list(product(np.linspace(0, 1, 13), repeat=4)))
    tries = steps * orders["energy_wh"]
    p = np.full((len(tries), 5), -500.0)
    np.add.at(p.T, orders["participant"], (tries * orders["side"] * 4.0).T)
    ok = limits.within(engine.solve(p, np.zeros_like(p)))
    net = -(tries * orders["side"]).sum(axis=1)
    worth = -(tries * orders["side"] * orders["price_micro_per_kwh"]).sum(axis=1)
    worth = worth - np.maximum(net, 0) * 320_000 + np.maximum(-net, 0) * 80_000
    assert result.optimal
    assert result.welfare_micro >= 0.99 * worth[ok].max() / 1000


def test_a_gate_behind_a_market_is_never_worth_more(sweep, band):
    engine = sweep()
    limits = band(engine.feeder)
    orders = orders_of(
        (0, SELL, 80 * WH, 100_000, True), (3, BUY, 30 * WH, 300_000, True), (4, BUY, 50 * WH, 250_000, True)
    )
    fills = empty_fills(3)
    for name in ("participant", "side", "flexible", "energy_wh"):
        fills[name] = orders[name]
    fills["order_id"], fills["limit_micro_per_kwh"] = orders["id"], orders["price_micro_per_kwh"]
    fills["counterparty"], fills["price_micro_per_kwh"] = POOL, 200_000
    problem = GateProblem(np.full(5, -500.0), np.zeros(5), np.arange(5), fills, 900)
    decision = TradeGate(engine, limits, 0.0, 0.0).decide(problem)
    best = solve(engine, limits, orders)
    got = welfare_micro(fills, decision.accepted_wh)
    assert decision.status == "cut" and 0 < got <= best.welfare_micro * 1.0001
    fills["counterparty"] = SUPPLIER
    assert welfare_micro(fills, fills["energy_wh"]) == pytest.approx(
        (20 * 100 + 7.5 * 100 + 12.5 * 50) * 1000
    )


def test_a_baseline_without_solution_has_no_schedule(sweep, band):
    result = solve(sweep(), band(sweep().feeder), orders_of((3, BUY, 3000, 350_000, True)), p=-200e3)
    assert not result.solved and not result.accepted_wh.any()

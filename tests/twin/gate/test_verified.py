"""Whatever leaves the gate passes a power flow in pandapower, whichever engine the gate itself used."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from adapters.grid.factory import make_engine
from adapters.grid.source import load_feeder
from market.orders import BUY, POOL, SELL, SUPPLIER, empty_fills
from twin.gate.gate import TradeGate

MARGIN_V, MARGIN_LOADING = 2e-4, 0.05


@st.composite
def cases(draw):
    """A random radial low-voltage feeder behind a transformer, a baseline and a book that balances."""
    n = draw(st.integers(3, 9))
    feeder = {
        "parents": [draw(st.integers(0, i)) for i in range(n - 1)],
        "length_km": [draw(st.sampled_from([0.05, 0.15, 0.4])) for _ in range(n - 1)],
        "vm_pu": draw(st.sampled_from([0.99, 1.0, 1.02])),
        "trafo": draw(st.sampled_from(["0.25 MVA 20/0.4 kV", "0.4 MVA 20/0.4 kV"])),
        "cable": draw(st.sampled_from(["NAYY 4x50 SE", "NAYY 4x150 SE"])),
    }
    base = [draw(st.sampled_from([-12e3, -5e3, -1500.0, 0.0, 3e3])) for _ in range(n)]
    book, wh = [], st.sampled_from([7, 1013, 4999, 9001, 17_003])
    for _ in range(draw(st.integers(1, 3))):
        book.append((draw(st.integers(0, n - 1)), draw(st.sampled_from([SELL, BUY])), draw(wh), SUPPLIER))
    for _ in range(draw(st.integers(0, 2))):
        a, b, energy = draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1)), draw(wh)
        if a != b:
            book += [(a, SELL, energy, b), (b, BUY, energy, a)]
    pool = [draw(wh) for _ in range(draw(st.integers(0, 3)))]
    for energy in pool:
        book.append((draw(st.integers(0, n - 1)), SELL, energy, POOL, draw(st.booleans())))
    if pool:
        first = draw(st.integers(0, sum(pool)))
        for energy in (first, sum(pool) - first):
            book.append((draw(st.integers(0, n - 1)), BUY, energy, POOL, draw(st.booleans())))
    prices = [draw(st.integers(0, 150_000)) for _ in book]
    rows = [
        (*r[:4], r[4] if len(r) > 4 else True, 200_000, 200_000 - r[1] * v)
        for r, v in zip(book, prices, strict=True)
    ]
    return feeder, base, rows


@cache
def blank(n, trafo, cable):
    """A star of n low-voltage buses, made once: creating elements is pandapower's slow part."""
    import pandapower as pp

    net = pp.create_empty_network()
    top = pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, top)
    buses = pp.create_buses(net, n, 0.4)
    pp.create_transformer(net, top, buses[0], trafo)
    pp.create_lines(net, np.full(n - 1, buses[0]), buses[1:], 0.1, cable)
    pp.create_loads(net, buses, 0.001)
    return net


def build(spec):
    from adapters.grid.pandapower_net import feeder_from_net

    net = copy.deepcopy(blank(len(spec["parents"]) + 1, spec["trafo"], spec["cable"]))
    net.line["from_bus"] = np.asarray(spec["parents"], dtype=net.line.from_bus.dtype) + 1
    net.line["length_km"] = spec["length_km"]
    net.ext_grid["vm_pu"] = spec["vm_pu"]
    return feeder_from_net(net, "random", "test")


def check(case, band, book, problem, gate_engine, weights):
    spec, base, rows = case
    feeder = build(spec)
    limits = band(feeder, 0.96, 1.03)
    fills = book(*rows)
    engine = make_engine(feeder, gate_engine)
    asked = problem(engine, fills, base, -300.0)
    decision = TradeGate(engine, limits, MARGIN_V, MARGIN_LOADING, weights=weights).decide(asked)
    event(f"{decision.status} by {decision.decided_by}")
    accepted = decision.accepted_wh
    assert ((accepted >= 0) & (accepted <= fills["energy_wh"])).all()
    assert int((accepted * fills["side"])[fills["counterparty"] == POOL].sum()) == 0
    for a, b in zip(
        *(np.flatnonzero((fills["counterparty"] >= 0) & (fills["side"] == s)) for s in (SELL, BUY)),
        strict=True,
    ):
        assert accepted[a] == accepted[b]
    moved = np.where(fills["flexible"], accepted * fills["side"], 0) * 4.0
    power = np.stack((asked.p_base_w, asked.p_base_w + np.bincount(fills["participant"], moved, len(base))))
    state = make_engine(feeder, "pandapower").solve(power, np.full_like(power, -300.0))
    if decision.status == "inconclusive":
        assert not accepted.any()
        return
    assert limits.no_worse_than(state, 0, 1e-6).within(state)[1]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=cases(), weights=st.sampled_from(["value", "equal"]))
def test_what_leaves_the_gate_passes_pandapower(band, book, problem, case, weights):
    check(case, band, book, problem, "power_grid_model", weights)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=cases(), weights=st.sampled_from(["value", "equal"]))
def test_what_leaves_the_gate_passes_pandapower_in_many_cases(band, book, problem, case, weights):
    check(case, band, book, problem, "power_grid_model", weights)


@pytest.mark.parametrize("weights", ["value", "equal"])
def test_a_real_street_settles_by_programme(band, problem, weights):
    """Cars of equal worth at 39 of 118 points: many schedules are nearly the best, and the sequence must not jump."""
    feeder = load_feeder("simbench:1-LV-rural2--2-sw", Path())
    engine, reference, limits = (
        make_engine(feeder, "power_grid_model"),
        make_engine(feeder, "pandapower"),
        band(feeder, 0.94, 1.06),
    )
    n = len(feeder.points)
    for seed in (1, 5):
        rng = np.random.default_rng(seed)
        who, base = rng.permutation(n)[:39], -rng.uniform(200, 2000, n)
        fills = empty_fills(3 * 39)
        fills["order_id"], fills["participant"][:39], fills["side"][:39] = np.arange(117), who, BUY
        fills["counterparty"], fills["flexible"], fills["energy_wh"][:39] = SUPPLIER, True, 1700
        fills["counterparty"][39:] = POOL
        fills["participant"][39:78], fills["side"][39:78] = rng.permutation(n)[:39], SELL
        fills["participant"][78:], fills["side"][78:] = rng.choice(who, 39), BUY
        fills["energy_wh"][39:] = np.tile(rng.integers(500, 3000, 39), 2)
        fills["limit_micro_per_kwh"] = -fills["side"] * rng.integers(0, 90_000, 117)
        asked = problem(engine, fills, base, 0.0)
        decision = TradeGate(engine, limits, MARGIN_V, MARGIN_LOADING, weights=weights).decide(asked)
        assert decision.decided_by == "lp" and decision.status == "cut"
        moved = decision.accepted_wh * fills["side"] * 4.0
        power = asked.p_base_w + np.bincount(fills["participant"], moved, n)
        assert limits.within(reference.solve(power[None], np.zeros((1, n)))).all()


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=cases())
def test_a_gate_on_pandapower_itself(band, book, problem, case):
    check(case, band, book, problem, "pandapower", "value")

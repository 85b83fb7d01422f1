"""Hosting capacity against one power flow after the other."""

from dataclasses import replace

import numpy as np
import pytest

from twin.gate.errors import GateInputError
from twin.gate.gate import TradeGate
from twin.gate.hosting import Study, _problem, hosting, hosting_with_gate

BASE = np.array([-2e3, -500, -1e3, -3e3, -800.0, -1500])


def study(what="import", power_w=4000.0, placements=30, seed=7):
    return Study(BASE, np.zeros(6), what, power_w, np.arange(6), placements, seed)


def feeder(sweep):
    return sweep(parents=(0, 1, 2, 3, 4, 5), rated_a=70.0)


def one_by_one(engine, limits, s, placement):
    """Add devices one after the other until the power flow objects."""
    order = np.random.default_rng([s.seed, placement]).permutation(s.eligible)
    p = s.p_base_w.copy()
    for number in range(1, s.steps + 1):
        if s.what == "trade":
            p[order[2 * number - 2]] += s.power_w
            p[order[2 * number - 1]] -= s.power_w
        else:
            p[order[number - 1]] += s.power_w if s.what == "export" else -s.power_w
        state = engine.solve(p[None], np.zeros((1, 6)))
        if not limits.within(state)[0]:
            return number - 1, {f"{v.kind} at {v.element}" for v in limits.violations(state, 0)}
    return s.steps, set()


@pytest.mark.parametrize(("what", "power_w"), [("import", 9000.0), ("export", 10e3), ("trade", 25e3)])
def test_every_placement_hosts_what_one_power_flow_after_the_other_allows(sweep, band, what, power_w):
    engine = feeder(sweep)
    limits = band(engine.feeder, 0.95, 1.04)
    s = study(what, power_w)
    found = hosting(engine, limits, s)
    expected = [one_by_one(engine, limits, s, placement) for placement in range(s.placements)]
    assert found.hosted.tolist() == [number for number, _ in expected]
    assert len(set(found.hosted.tolist())) > 1  # placement matters
    assert set(found.binding) <= set().union(*(names for _, names in expected))
    assert sum(found.binding.values()) + found.full == s.placements


def test_the_mean_comes_with_an_interval_that_shrinks_with_the_sample(sweep, band):
    engine = feeder(sweep)
    limits = band(engine.feeder, 0.95, 1.04)
    few, many = (hosting(engine, limits, study(placements=n, power_w=9000.0)) for n in (50, 800))
    assert few.mean_half_width_w / many.mean_half_width_w == pytest.approx(4, rel=0.3)
    assert abs(few.mean_w - many.mean_w) < 2 * few.mean_half_width_w
    low, middle, high = many.quantile_w(0.05)
    assert low <= middle <= high <= many.mean_w
    assert few.hosted.tolist() == many.hosted[:50].tolist()  # more placements keep the first ones


def test_the_gate_lets_the_feeder_host_more(sweep, band):
    engine = feeder(sweep)
    limits = band(engine.feeder, 0.95, 1.04)
    s = study("import", 9000.0, placements=10)
    bare = hosting(engine, limits, s)
    gated = hosting_with_gate(TradeGate(engine, limits, 0.0, 0.0), s, accepted_share=0.9)
    assert (gated.hosted >= bare.hosted).all() and gated.hosted.sum() > bare.hosted.sum()
    assert gated.hosted.max() <= s.steps and gated.binding


def test_what_cannot_be_placed_is_refused(sweep, band):
    engine = feeder(sweep)
    for wrong in (
        replace(study(), eligible=np.arange(0)),
        replace(study(), placements=0),
        study(power_w=0.0),
    ):
        with pytest.raises(GateInputError, match="nothing to place"):
            hosting(engine, band(engine.feeder), wrong)


def test_the_search_from_what_needs_no_gate_finds_what_bisection_finds_whoever_searches(sweep, band):
    engine = feeder(sweep)
    asked = study("import", 9000.0, placements=12)
    gate = TradeGate(engine, band(engine.feeder, 0.95, 1.04), 0.001, 1.0)

    def share(placement, number):
        decision = gate.decide(_problem(asked, placement, number))
        return decision.accepted_wh.sum() / (number * 9000)

    expected = []
    for placement in range(asked.placements):
        low, high = 0, asked.steps + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if share(placement, middle) >= 0.95 else (low, middle)
        expected.append(low)
    alone = hosting_with_gate(gate, asked)
    assert alone.hosted.tolist() == expected and len(set(expected)) > 1
    together = hosting_with_gate(gate, asked, workers=2)
    assert together.hosted.tolist() == expected
    assert (together.binding, together.solves) == (alone.binding, alone.solves)

"""Whatever points do within their envelopes, no limit breaks; and the envelopes are not smaller than needed."""

import numpy as np
import pytest

from adapters.grid.engine import GridState
from twin.gate.envelope import envelope

ALLOCATIONS = ["proportional", "maximum", "equal"]
MOST = np.array([10e3, 20e3, 30e3, 15e3, 25e3])
BASE = np.array([-2e3, -500, -1e3, -3e3, -800.0])


def make(engine, limits, allocation, base=BASE, most=MOST):
    return envelope(engine, limits, base, np.full(5, -100.0), most, most, allocation)


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("tree", [(0, 1, 2, 3, 4), (0, 1, 1, 0, 4)])
def test_no_behaviour_within_the_envelopes_breaks_a_limit(sweep, band, allocation, tree):
    engine = sweep(parents=tree, rated_a=80.0)
    limits = band(engine.feeder, 0.95, 1.04)
    found = make(engine, limits, allocation)
    rng = np.random.default_rng(1)
    corner = rng.integers(0, 2, (400, 5))
    inside = rng.uniform(0, 1, (400, 5))
    mix = np.concatenate((corner, inside, np.zeros((1, 5)), np.ones((1, 5))))
    power = BASE - found.import_w + mix * (found.export_w + found.import_w)
    assert limits.within(engine.solve(power, np.full_like(power, -100.0))).all()
    assert (found.export_w <= MOST).all() and (found.import_w >= 0).all()
    assert found.export_w.sum() > 20e3 and found.import_w.sum() > 10e3


def test_the_allocations_mean_what_they_say(sweep, band):
    engine = sweep(rated_a=80.0)
    limits = band(engine.feeder, 0.95, 1.04)
    proportional, maximum, equal = (make(engine, limits, a) for a in ALLOCATIONS)
    share = proportional.export_w / MOST
    assert share == pytest.approx(share[0], abs=1e-4) and 0 < share[0] < 1
    cap = equal.export_w.max()
    assert equal.export_w.tolist() == np.minimum(MOST, cap).tolist()
    assert maximum.export_w.sum() > max(proportional.export_w.sum(), equal.export_w.sum())
    assert maximum.export_w[0] == MOST[0] and maximum.export_w[4] < MOST[4]  # far points cost the feeder most


@pytest.mark.parametrize("allocation", ["proportional", "equal"])
def test_a_little_more_would_break_the_limit_that_it_names(sweep, band, allocation):
    engine = sweep(rated_a=80.0)
    limits = band(engine.feeder, 0.95, 1.04)
    found = make(engine, limits, allocation)
    more = BASE + np.ceil(found.export_w * 1.002)
    state = engine.solve(more[None], np.full((1, 5), -100.0))
    assert found.binding_export in {f"{v.kind} at {v.element}" for v in limits.violations(state, 0)}


def test_a_feeder_with_room_gives_everything(sweep, band):
    engine = sweep(r_ohm=1e-4, rated_a=1e4)
    for allocation in ALLOCATIONS:
        found = make(engine, band(engine.feeder), allocation)
        assert (
            (found.export_w == MOST).all() and (found.import_w == MOST).all() and found.binding_export is None
        )


def test_where_the_feeder_is_broken_already_only_relief_is_given(sweep, band):
    engine = sweep()
    found = make(engine, band(engine.feeder), "proportional", base=np.full(5, -12e3))
    assert found.solved and not found.import_w.any() and found.export_w.any()


def test_a_baseline_without_solution_gives_nothing(sweep, band):
    engine = sweep()
    found = make(engine, band(engine.feeder), "proportional", base=np.full(5, -200e3))
    assert not found.solved and not found.export_w.any() and not found.import_w.any()


class Linear:
    """Voltages as a linear function of powers, one of them falling where another point feeds in (a meshed feeder)."""

    name = "linear"

    def __init__(self, feeder):
        self.feeder = feeder
        self.slope = np.full((6, 5), 1e-6)
        self.slope[0], self.slope[5, :2] = 0, -2e-6

    def solve(self, p, q):
        k = len(p)
        zero = np.zeros((k, 5))
        return GridState(
            1 + p @ self.slope.T, zero, zero, zero[:, 0], zero[:, 0], zero[:, 0], np.ones(k, bool)
        )


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_where_the_worst_corner_is_a_mixed_one_it_is_found(sweep, band, allocation):
    engine = Linear(sweep().feeder)
    limits = band(engine.feeder, 0.95, 1.05)
    found = make(engine, limits, allocation, base=np.zeros(5), most=np.full(5, 30e3))
    corners = np.array(np.meshgrid(*[[0, 1]] * 5)).reshape(5, -1).T
    power = np.where(corners, found.export_w, -found.import_w).astype(float)
    assert limits.within(engine.solve(power, power)).all()
    assert found.export_w.sum() > 20e3

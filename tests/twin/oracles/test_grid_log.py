"""The grid log against powers that were put in, with every engine's own flows."""

from dataclasses import replace

import numpy as np
import pytest

from adapters.grid.factory import make_engine
from adapters.grid.source import load_feeder
from twin.oracles.grid_log import BranchFlows, GridLog
from twin.plant import Plant

STREET = "pandapower:create_kerber_landnetz_freileitung_1"


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    return load_feeder(STREET, tmp_path_factory.mktemp("x"))


def flows_of(feeder, name, p_w):
    engine = make_engine(feeder, name)
    engine.keeps_ends = True
    state = engine.solve(p_w[None, :], np.zeros((1, len(p_w))))
    assert state.p_branch_to_w is not None
    a, b = state.p_branch_w[0], state.p_branch_to_w[0]
    return BranchFlows(a, b, a + b, float(state.p_slack_w[0]))


def log_of(feeder, accuracy=0.0, resolution=0.0, seed=0):
    return GridLog(feeder, np.random.default_rng(seed), accuracy, resolution)


@pytest.mark.parametrize("name", ["power_grid_model", "pandapower", "opendss"])
def test_what_was_put_in_comes_out(street, name):
    p_w = np.linspace(-6000, 4000, len(street.points))
    flows = flows_of(street, name, p_w)
    log = log_of(street)
    log.add(flows, 1800)
    log.add(replace(flows), 1800)
    reading = log.read()
    assert reading.known.all() and abs(flows.loss_w.sum()) > 10
    assert reading.energy_wh[log.site_of] == pytest.approx(p_w, abs=1.01), "an hour of it, in Wh"
    elsewhere = np.setdiff1d(np.arange(street.n_bus), log.site_of)
    assert np.abs(reading.energy_wh[elsewhere]).max() <= 1, "also where nobody is, and at the slack"
    log.add(flows, 900)
    assert log.read().energy_wh[log.site_of] == pytest.approx(p_w / 4, abs=1.01), "and then it begins anew"


def test_an_engine_keeps_the_ends_only_where_it_is_asked(street):
    engine = make_engine(street, "power_grid_model")
    assert engine.solve(np.zeros((1, 13)), np.zeros((1, 13))).p_branch_to_w is None
    assert Plant(engine) is not None


def test_noise_is_of_the_flow_and_the_stated_uncertainty_covers_it(street):
    p_w = np.full(len(street.points), -2000.0)
    flows = flows_of(street, "power_grid_model", p_w)
    errors, uncertainty = [], None
    log = log_of(street, accuracy=0.5, resolution=1)
    for _ in range(400):
        log.add(flows, 3600)
        reading = log.read()
        assert reading.known.all()
        errors.append(reading.energy_wh[log.site_of] - p_w)
        uncertainty = reading.uncertainty_wh[log.site_of]
    errors = np.array(errors)
    assert (np.abs(errors) <= uncertainty).mean() > 0.999
    assert 3 < uncertainty.mean() / errors.std() < 9, "and is not simply wide"
    assert np.abs(errors.mean(axis=0)).max() < 0.2 * uncertainty.max()


def test_the_same_seed_the_same_noise(street):
    flows = flows_of(street, "power_grid_model", np.full(13, -500.0))

    def read(seed):
        log = log_of(street, 1.0, 1.0, seed)
        log.add(flows, 900)
        return log.read().energy_wh.tolist()

    assert read(1) == read(1) != read(2)


def test_one_wrong_sensor_is_seen_by_the_log_itself(street):
    """One end of a line reads 5 kW too much: both its buses contradict the other end, and give no value."""
    flows = flows_of(street, "power_grid_model", np.full(13, -1500.0))
    wrong = flows.from_w.copy()
    wrong[3] += 5000
    log = log_of(street, 0.1, 1)
    log.add(replace(flows, from_w=wrong), 3600)
    reading = log.read()
    ends = {int(street.branch_from[3]), int(street.branch_to[3])}
    assert set(np.flatnonzero(~reading.known).tolist()) == ends


def test_an_unsolved_plant_says_nothing(street):
    flows = flows_of(street, "power_grid_model", np.full(13, -1500.0))
    log = log_of(street)
    log.add(replace(flows, from_w=flows.from_w * np.nan), 3600)
    assert not log.read().known[log.site_of].any()

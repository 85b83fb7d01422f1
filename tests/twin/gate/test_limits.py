from dataclasses import replace

import numpy as np
import pytest

from adapters.grid.engine import GridState


def state(v, loading, converged=True):
    v, loading = np.atleast_2d(np.asarray(v, float)), np.atleast_2d(np.asarray(loading, float))
    one = np.zeros(1)
    return GridState(v, loading, np.zeros_like(loading), one, one, one, np.array([converged]))


@pytest.fixture
def limits(sweep, band):
    return band(sweep(parents=(0, 1)).feeder)


def test_a_violation_names_element_value_and_limit(limits):
    found = limits.violations(state([1.0, 0.94, 1.06], [50, 120]), 0)
    assert [(v.kind, v.element, v.value, v.limit, v.unit) for v in found] == [
        ("voltage_min", "bus 1", 0.94, 0.95, "pu"),
        ("voltage_max", "bus 2", 1.06, 1.05, "pu"),
        ("line_loading", "line 1", 120.0, 100.0, "percent"),
    ]


def test_the_limit_itself_is_within(limits):
    assert limits.within(state([1.0, 0.95, 1.05], [100, 0])).all()


def test_nan_is_never_within_unless_the_element_is_not_watched(limits):
    broken = state([1.0, np.nan, 1.0], [0, 0])
    assert not limits.within(broken).any()
    assert [v.kind for v in limits.violations(broken, 0)] == ["voltage_min", "voltage_max"]
    assert limits.without_buses([1]).within(broken).all()
    assert not limits.without_buses([1]).violations(broken, 0)
    unrated = replace(limits, loading_max_percent=np.array([np.inf, 100.0]))
    assert unrated.within(state([1, 1, 1], [np.nan, 0])).all()
    assert not limits.within(state([1, 1, 1], [np.nan, 0])).any()


def test_a_row_that_did_not_converge_is_never_within(limits):
    lost = state([1, 1, 1], [0, 0], converged=False)
    assert not limits.within(lost).any()
    assert [v.kind for v in limits.violations(lost, 0)] == ["no_solution"]


def test_a_branch_without_rating_is_not_watched(sweep, band):
    feeder = replace(sweep(parents=(0, 1)).feeder, branch_rated_a=np.array([np.nan, 100.0]))
    assert band(feeder).loading_max_percent.tolist() == [np.inf, 100.0]


def test_the_margin_is_taken_from_both_ends(limits):
    tight = limits.tightened(0.01, 5.0)
    assert tight.v_min_pu[0] == pytest.approx(0.96) and tight.v_max_pu[0] == pytest.approx(1.04)
    assert tight.loading_max_percent[0] == 95.0


def test_where_the_feeder_is_beyond_a_limit_its_own_value_is_the_limit(limits):
    own = limits.no_worse_than(state([1.0, 0.94, 1.0], [120, 0]), 0, 1e-7)
    assert own.v_min_pu.tolist() == [0.95, 0.94 - 1e-7, 0.95]
    assert own.loading_max_percent.tolist() == pytest.approx([120 + 1e-5, 100])


@pytest.mark.parametrize("open_end", ["v_min_pu", "v_max_pu"])
def test_one_finite_limit_is_enough_for_nan_to_fail(limits, open_end):
    endless = np.full(3, -np.inf if open_end == "v_min_pu" else np.inf)
    one_sided = replace(limits, **{open_end: endless})
    assert not one_sided.within(state([1.0, np.nan, 1.0], [0, 0])).any()
    assert len(one_sided.violations(state([1.0, np.nan, 1.0], [0, 0]), 0)) == 1

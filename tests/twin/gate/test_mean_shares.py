"""Shares of means: they add up, weigh moments as the mean does, and one moment alone is the moment's own shares."""

import numpy as np
import pytest

from twin.gate.attribution import attribute
from twin.gate.limits import Violation
from twin.gate.mean_shares import Moment, attribute_mean

N = 5
LOW = Violation("voltage_min", 5, "bus 5", 0.0, 0.95)
LINE = Violation("line_loading", 0, "line 0", 0.0, 60.0)


def moment(engine, seconds, changes, base=-1000.0):
    p = np.full(N, base)
    return Moment(seconds, engine, p, np.zeros(N), p + np.array(changes, float), np.zeros(N))


@pytest.fixture
def moments(sweep):
    """Somebody buys a lot for a short time, somebody else a little for long, and one sells."""
    engine = sweep()
    return [moment(engine, 100, [0, 0, 0, -20e3, 0]), moment(engine, 500, [2e3, 0, 0, 0, -4e3])]


@pytest.mark.parametrize(("element", "sign"), [(LOW, -1), (LINE, 1)])
@pytest.mark.parametrize("squares", [True, False])
def test_shares_add_up_to_the_change_of_the_mean(moments, element, sign, squares):
    shares = attribute_mean(moments, element, squares)
    power = 2 if squares else 1
    ends = []
    for name in ("p_base_w", "p_traded_w"):
        values = []
        for m in moments:
            state = m.engine.solve(getattr(m, name)[None], np.zeros((1, N)))
            values.append(state.v_pu[0, 5] if element is LOW else state.loading_percent[0, 0])
        ends.append(np.average(np.array(values) ** power, weights=[100, 500]) ** (1 / power))
    assert shares.change == pytest.approx(sign * (ends[1] - ends[0]), abs=1e-12)
    assert shares.share_of_change.sum() + shares.residual == pytest.approx(shares.change, abs=1e-12)
    assert abs(shares.residual) < 1e-3 * shares.change
    excess = max(sign * (ends[1] - element.limit), 0) - max(sign * (ends[0] - element.limit), 0)
    assert shares.share_of_excess.sum() == pytest.approx(excess, abs=1e-3 * shares.change)
    assert shares.change_p_w == pytest.approx([2e3 * 5 / 6, 0, 0, -20e3 / 6, -4e3 * 5 / 6])


def test_who_is_behind_it_is_a_matter_of_energy_and_a_seller_relieves(moments):
    shares = attribute_mean(moments, LOW, True).share_of_change
    first, second = (attribute_mean([m], LOW, True).share_of_change for m in moments)
    assert first[3] > second[4], "in its moment the first is worse"
    assert shares[3] == pytest.approx(first[3] / 6, rel=0.02)
    assert shares[4] == pytest.approx(second[4] * 5 / 6, rel=0.02)
    assert shares[0] < 0 < min(shares[3], shares[4]) and shares[1] == 0


def test_one_moment_alone_has_the_moments_shares(moments):
    m = moments[0]
    alone = attribute(m.engine, m.p_base_w, m.q_base_var, m.p_traded_w, m.q_traded_var, LOW)
    for squares in (True, False):
        mean = attribute_mean([m], LOW, squares)
        assert mean.share_of_change == pytest.approx(alone.share_of_change, abs=1e-9)
        assert mean.change == pytest.approx(alone.change, abs=1e-12)


def test_a_moment_without_solution_leaves_no_number(sweep):
    engine = sweep()
    lost = moment(engine, 300, [0, 0, 0, 0, -1e6])
    shares = attribute_mean([moment(engine, 300, [0, 0, 0, 0, -1e3]), lost], LOW, True)
    assert np.isnan(shares.share_of_change).all() and np.isnan(shares.residual)

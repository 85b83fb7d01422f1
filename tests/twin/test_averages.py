"""Moving means of loadings: against plain numpy, just met, just exceeded, and what a lost step does."""

from types import SimpleNamespace

import numpy as np
import pytest

from adapters.grid.engine import GridState
from twin.averages import LINES, TRAFOS, LoadingAverages
from twin.plant import WITH, WITHOUT
from twin.scenario.limits_section import LimitsSection

FEEDER = SimpleNamespace(
    branch_names=("t", "l", "unrated"), branch_kind=("trafo", "line", "line"),
    branch_rated_a=np.array([np.nan, 100.0, np.nan]), branch_rated_va=np.array([1e5, np.nan, np.nan]),
)  # fmt: skip


def averages(window_s=3600, step_s=900, **limits):
    keys = {"line_short_time_loading_percent": 150, "transformer_short_time_loading_percent": 150}
    return LoadingAverages(LimitsSection(loading_average_s=window_s, **(keys | limits)), FEEDER, step_s)


def state(line, without=None, trafo=10.0, converged=True):
    loading = np.array([[trafo, line, np.nan], [trafo, line if without is None else without, np.nan]])
    zero = np.zeros(2)
    return GridState(np.ones((2, 1)), loading, loading, zero, zero, zero, np.full(2, converged))


def fed(made, lines, without=None):
    for step, line in enumerate(lines):
        made.look(step, state(line, None if without is None else without[step]))
    return made.tallies[LINES]


def test_the_mean_of_the_window_may_touch_the_rating():
    trades, _ = fed(averages(), [140, 120, 80, 60], [0] * 4)
    assert (trades.worst, trades.broken_steps, trades.worst_step) == (100.0, 0, 3)
    trades, feeder = fed(averages(), [140, 120, 80, 60.01, 0], [0] * 5)
    assert (trades.broken_steps, trades.first_step, trades.element) == (1, 3, "l")
    assert trades.worst == pytest.approx(100.0025) and feeder.broken_steps == 0


def test_it_is_numpys_moving_mean_over_a_long_run():
    rng = np.random.default_rng(3)
    line = rng.uniform(0, 90, 5000)
    made = averages(window_s=7 * 900)
    made_means = []
    for step, one in enumerate(line):
        made.look(step, state(one))
        made_means.append(made._sum[WITH, 0] / 7)
    want = np.convolve(line, np.ones(7) / 7, "valid")
    np.testing.assert_allclose(made_means[6:], want, atol=1e-9)
    assert made.tallies[LINES][WITH].worst == pytest.approx(want.max(), abs=1e-9)


def test_nothing_is_said_before_the_window_is_full():
    trades, _ = fed(averages(), [149] * 3, [0] * 3)
    assert np.isnan(trades.worst) and trades.broken_steps == 0


def test_a_lost_step_empties_the_window():
    made = averages()
    for step, (line, ok) in enumerate(
        [(149, True), (149, True), (149, True), (0, False), (149, True), (149, True)]
    ):
        made.look(step, state(line, 0, converged=ok))
    trades = made.tallies[LINES][WITH]
    assert (trades.broken_steps, trades.unknown_steps) == (0, 1)
    made.look(6, state(np.nan, 0))
    assert trades.unknown_steps == 2
    for step in range(7, 11):
        made.look(step, state(149, 0))
    assert (trades.broken_steps, trades.first_step) == (1, 10)


def test_the_feeders_own_overload_is_not_blamed_on_trades():
    trades, feeder = fed(averages(), [120] * 4, [120] * 4)
    assert (trades.broken_steps, feeder.broken_steps) == (0, 1)
    trades, _ = fed(averages(), [121] * 4, [120] * 4)
    assert trades.broken_steps == 1


def test_an_overload_that_lasts_is_one_row():
    made = averages()
    fed(made, [130] * 6 + [0] * 4, [0] * 10)
    (episode,) = made.log.all()
    assert (episode.kind, episode.row, episode.first_step, episode.steps, episode.by_trades) == (
        LINES,
        1,
        3,
        3,  # steps 3 to 5; at step 6 the mean is 97.5
        True,
    )


def test_only_what_has_a_short_time_rating_has_a_mean():
    made = averages(transformer_short_time_loading_percent=None)
    assert list(made.tallies) == [LINES]
    both = averages()
    for step in range(4):
        both.look(step, state(10, trafo=120))
    assert both.tallies[TRAFOS][WITHOUT].broken_steps == 1 and both.tallies[TRAFOS][WITH].element == "t"

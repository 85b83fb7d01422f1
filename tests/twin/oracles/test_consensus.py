"""Who is believed: one liar at a time, two at a time, two that agree on the same lie."""

from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.oracles.consensus import (
    AGREED,
    ALONE,
    DIFFER,
    GRID_LOG,
    HELD,
    METER,
    MODEL,
    NOBODY,
    NOTHING,
    OUTVOTED,
    RANGE,
    UNCLEAR,
    Rule,
    agree,
)
from twin.oracles.grid_log import LogReading
from twin.oracles.output_model import Band

TRUTH, LIE, OTHER_LIE = 1000, 1600, 400
RULE = Rule(tolerance_wh=20, tolerance_ppm=20_000, quorum=2)


def ints(*values):
    return np.array(values, dtype=np.int64)


def decide(meter, log, model=None, band=(0, 3000), rule=RULE, uncertainty=0, limits=(-5000, 5000), site=None):
    """One place per participant unless ``site`` says otherwise; None is a source without a value."""
    meters, n = (
        np.atleast_1d(np.array(meter, dtype=object)),
        np.atleast_1d(np.array(meter, dtype=object)).size,
    )
    logs = np.atleast_1d(np.array(log, dtype=object))

    def numbers(values):
        return ints(*(0 if v is None else v for v in values)), np.array([v is not None for v in values], bool)

    band_rows = [band] * n if np.ndim(band) == 1 else band
    low, high = ints(*(b[0] for b in band_rows)), ints(*(b[1] for b in band_rows))
    value = ints(*([0 if model is None else model] * n))
    made = Band(low, high, value, np.full(n, model is not None), np.full(n, limits[0]), np.full(n, limits[1]))
    log_wh, known = numbers(logs)
    reading = LogReading(log_wh, np.full(len(logs), uncertainty), known)
    site_of = np.arange(n) if site is None else np.array(site)
    return agree(rule, site_of, *numbers(meters), reading, made)


def seen(made, row=0):
    return int(made.status[row]), int(made.named[row]), int(made.value_wh[row])


def test_all_agree():
    assert seen(decide(TRUTH, TRUTH + 5, TRUTH - 7)) == (AGREED, NOBODY, TRUTH)
    assert seen(decide(TRUTH, TRUTH + 5)) == (AGREED, NOBODY, TRUTH), (
        "without a value of the model: the meter's"
    )


@pytest.mark.parametrize(
    ("sources", "liar"),
    [((LIE, TRUTH, TRUTH), METER), ((TRUTH, LIE, TRUTH), GRID_LOG), ((TRUTH, TRUTH, LIE), MODEL)],
)
def test_one_source_lies_and_the_other_two_outvote_it(sources, liar):
    assert seen(decide(*sources)) == (OUTVOTED, liar, TRUTH)


@pytest.mark.parametrize(
    ("meter", "log", "band", "liar"),
    [
        (LIE, TRUTH, (0, 1200), METER),
        (TRUTH, LIE, (0, 1200), GRID_LOG),
        (TRUTH, TRUTH, (1500, 1700), MODEL),
    ],
)
def test_with_a_band_in_place_of_a_value(meter, log, band, liar):
    assert seen(decide(meter, log, band=band)) == (OUTVOTED, liar, TRUTH)


@pytest.mark.parametrize("sources", [(LIE, LIE, TRUTH), (LIE, TRUTH, LIE), (TRUTH, LIE, LIE)])
def test_two_that_agree_on_the_same_lie_win_and_the_honest_one_is_named(sources):
    """The limit of any quorum of two; docs/explanation/settlement.md says so."""
    honest = (METER, GRID_LOG, MODEL)[sources.index(TRUTH)]
    assert seen(decide(*sources)) == (OUTVOTED, honest, LIE)


@pytest.mark.parametrize(
    "sources", [(LIE, OTHER_LIE, TRUTH), (LIE, TRUTH, OTHER_LIE), (TRUTH, LIE, OTHER_LIE)]
)
def test_two_that_lie_differently_only_hold_the_trade(sources):
    made = decide(*sources)
    assert (seen(made)[0], seen(made)[2], int(made.reason[0])) == (HELD, 0, DIFFER)


def test_a_lie_that_the_band_admits_is_held_and_the_meter_named():
    made = decide(LIE, TRUTH)
    assert seen(made) == (HELD, METER, 0) and made.reason[0] == DIFFER


def test_meter_and_log_that_lie_together_are_stopped_only_by_what_the_nameplate_allows():
    assert seen(decide(LIE, LIE, band=(0, 1200))) == (OUTVOTED, MODEL, LIE)
    made = decide(LIE, LIE, band=(0, 1200), limits=(-1000, 1500))
    assert seen(made)[0] == HELD and made.reason[0] == RANGE and made.value_wh[0] == 0, "held, never clamped"


@pytest.mark.parametrize(
    ("meter", "log", "reason", "named"),
    [(None, TRUTH, ALONE, METER), (TRUTH, None, ALONE, GRID_LOG), (None, None, NOTHING, METER)],
)
def test_one_source_alone_holds(meter, log, reason, named):
    made = decide(meter, log)
    assert seen(made) == (HELD, named, 0) and made.reason[0] == reason


def test_without_a_meter_log_and_a_value_of_the_model_are_a_quorum():
    assert seen(decide(None, TRUTH, TRUTH + 10)) == (OUTVOTED, METER, TRUTH)
    assert seen(decide(TRUTH, None, TRUTH + 10)) == (OUTVOTED, GRID_LOG, TRUTH)


def test_a_quorum_of_three_takes_three():
    three = Rule(20, 20_000, 3)
    assert seen(decide(TRUTH, TRUTH, TRUTH, rule=three))[0] == AGREED
    assert seen(decide(TRUTH, TRUTH, rule=three))[0] == AGREED, "the band admits it"
    assert seen(decide(TRUTH, TRUTH, band=(1500, 1700), rule=three)) == (HELD, MODEL, 0)
    assert seen(decide(LIE, TRUTH, TRUTH, rule=three)) == (HELD, METER, 0)


@pytest.mark.parametrize(("apart", "status"), [(20, AGREED), (21, HELD), (-20, AGREED), (-21, HELD)])
def test_the_tolerance_is_exact(apart, status):
    assert seen(decide(900, 900 + apart, rule=Rule(20, 0, 2)))[0] == status


@pytest.mark.parametrize(("apart", "status"), [(200, AGREED), (201, HELD)])
def test_a_relative_tolerance_is_of_the_smaller(apart, status):
    assert seen(decide(-10_000, -10_000 - apart, band=(-20_000, 0), limits=(-20_000, 0)))[0] == status


def test_the_log_says_how_well_it_knows():
    assert seen(decide(1000, 1100, uncertainty=80))[0] == AGREED
    assert seen(decide(1000, 1101, uncertainty=80))[0] == HELD


def test_a_bus_is_one_sensor():
    """Two neighbours, together 1500: what the log knows of one is the sum less the other's meter."""
    assert decide([1000, 500], [1500], site=[0, 0]).status.tolist() == [AGREED, AGREED]
    both = decide([1000, 900], [1500], site=[0, 0])
    assert both.status.tolist() == [HELD, HELD] and both.reason.tolist() == [UNCLEAR, UNCLEAR]
    assert both.named.tolist() == [NOBODY, NOBODY], "it cannot tell which of them"
    fits = decide([1000, 100], [1500], site=[0, 0], band=[(0, 1200), (0, 3000)])
    assert fits.status.tolist() == [AGREED, HELD] and fits.named.tolist() == [NOBODY, METER], (
        "only one can be it"
    )
    assert fits.log_wh.tolist() == [1000, 500]
    one = decide([1000, 900], [1500], site=[0, 0], band=[(0, 3000), (0, 700)])
    assert one.status.tolist() == [AGREED, OUTVOTED] and one.value_wh.tolist() == [1000, 500]
    silent = decide([1000, None], [1500], site=[0, 0])
    assert silent.status.tolist() == [AGREED, HELD] and silent.log_wh.tolist() == [1000, 500]
    assert silent.log_admitted.tolist() == [True, True]


def test_two_that_are_wrong_at_one_bus_leave_nothing_clear():
    """One is silent, one says what cannot be: nobody's energy follows from the sum, the third one's neither."""
    made = decide([26_000, None, -500], [1200], site=[0, 0, 0], band=[(0, 1500), (0, 1500), (-900, 0)])
    assert made.status.tolist() == [HELD] * 3 and made.named.tolist() == [METER, METER, NOBODY]
    assert not made.log_known.any() and not made.log_admitted.any(), "nor does it ever stand by rule"
    lone = decide([None, 9000], [1200], site=[0, 0])
    assert lone.status.tolist() == [HELD, HELD], "what is left for the silent one, -7800, is impossible"


def test_nobody_at_all():
    made = decide([], [])
    assert len(made.value_wh) == len(made.held) == 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-4000, 4000), min_size=3, max_size=3), st.integers(0, 200))
def test_against_a_median_written_out(values, tolerance):
    made = decide(*values, rule=Rule(tolerance, 0, 2))
    middle = int(median(values))
    near = [abs(v - middle) <= tolerance for v in values]
    if sum(near) >= 2:
        assert made.status[0] == (AGREED if all(near) else OUTVOTED) and made.value_wh[0] == middle
        assert all(near) or near[int(made.named[0]) - 1] is False
    else:
        assert made.status[0] == HELD

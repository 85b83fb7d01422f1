"""Ten-minute means: on the ticks of the clock, over squares, whatever the step and wherever the run begins."""

from datetime import datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from twin.clock_means import ClockMeans, full_windows, supply_rows


def epoch(text, zone="Europe/Berlin"):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def means(start_s, step_s, values):
    taker = ClockMeans(start_s, step_s, 600, (1,))
    one = [np.array([v]) if v is not None else None for v in values]
    return [(m.start_s, float(m.values[0])) for step, v in enumerate(one) for m in taker.take(step, v)]


def test_the_mean_is_of_the_squares():
    (only,) = means(epoch("2016-01-18T12:00"), 300, [3.0, 4.0])
    assert only == (epoch("2016-01-18T12:00"), pytest.approx(np.sqrt(12.5)))


def test_a_start_at_five_past_waits_for_the_next_tick():
    """Five minutes at 9 V belong to a window that the run saw half of; they are in no mean."""
    start = epoch("2016-01-18T12:05")
    assert means(start, 300, [9.0, 1.0, 1.0, 2.0, 2.0, 9.0]) == [
        (start + 300, 1.0),
        (start + 900, 2.0),
    ]


def test_a_step_over_a_tick_counts_on_both_sides():
    """Steps of 8 minutes from the hour: 12:00 to 12:10 holds 8 minutes of 1 and 2 of 2."""
    found = means(epoch("2016-01-18T12:00"), 480, [1.0, 2.0, 3.0, 4.0, 5.0])
    want = [np.sqrt((8 * 1 + 2 * 4) / 10), np.sqrt((6 * 4 + 4 * 9) / 10), np.sqrt((4 * 9 + 6 * 16) / 10),
            np.sqrt((2 * 16 + 8 * 25) / 10)]  # fmt: skip
    assert [v for _, v in found] == pytest.approx(want)


@pytest.mark.parametrize("day", ["2016-03-27", "2016-10-30"])
def test_summer_time_moves_no_tick(day):
    """From 1:00 on the night of the change: ticks stay ten minutes apart, and lie on the local ten minutes too."""
    start = epoch(f"{day}T01:00")
    found = [at for at, _ in means(start, 600, [1.0] * 24)]
    assert np.diff(found).tolist() == [600] * 23
    zone = ZoneInfo("Europe/Berlin")
    assert all(datetime.fromtimestamp(at, zone).minute % 10 == 0 for at in found)
    assert full_windows(start, start + 7 * 86400, 600) == 1008


def test_what_is_not_known_makes_its_window_unknown_and_no_other():
    start = epoch("2016-01-18T12:00")
    found = means(start, 300, [1.0, None, 2.0, 2.0])
    assert np.isnan(found[0][1]) and found[1][1] == 2.0


def test_a_value_that_stands_still_is_its_mean():
    """To the last digit, so that what stands at a limit is not beyond it."""
    rng = np.random.default_rng(7)
    for v in [0.9, 1.1, 0.85, 0.95, 1.05, *np.round(rng.uniform(0.8, 1.2, 200), 4)]:
        assert {m for _, m in means(0, 60, [v] * 20)} == {v}


@pytest.mark.parametrize(
    ("start", "days", "want"), [("12:00", 7, 1008), ("12:05", 7, 1007), ("12:05", 7 + 10 / 1440, 1008)]
)
def test_how_many_windows_a_run_holds(start, days, want):
    begin = epoch(f"2016-01-18T{start}")
    assert full_windows(begin, begin + round(days * 86400), 600) == want


def test_supply_terminals_are_where_somebody_is_connected():
    points = (SimpleNamespace(bus=3, phases="abc"), SimpleNamespace(bus=7, phases="b"))
    site = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert supply_rows(SimpleNamespace(points=points, site=site, balanced=False)).tolist() == [3, 4, 5, 7]
    one = (SimpleNamespace(bus=1, phases="abc"),) * 2
    assert supply_rows(SimpleNamespace(points=one, site=np.arange(3), balanced=True)).tolist() == [1]

"""EN 50160 and ANSI C84.1 on made-up weeks whose outcome is counted by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from adapters.grid.engine import GridState
from twin.ansi_c84 import A, AnsiC84, B
from twin.en50160 import EXTREME, UNBALANCE, VOLTAGE, WINDOWS_PER_WEEK, En50160
from twin.plant import WITH, WITHOUT

START = 1453114800  # 2016-01-18 12:00 at +01:00, a full ten minutes
WEEK_S = 7 * 86400


def feeder(vn_v=(400.0,), balanced=True):
    """One house per place; unbalanced: three rows each, the house on all three phases."""
    n, per = len(vn_v), 1 if balanced else 3
    names = tuple(f"h{i}" + ("" if balanced else f".{x}") for i in range(n) for x in "abc"[:per])
    points = tuple(SimpleNamespace(bus=i * per, phases="abc", name=f"p{i}") for i in range(n))
    return SimpleNamespace(
        bus_names=names, bus_vn_v=np.repeat(np.array(vn_v), per), points=points, n_bus=n * per,
        site=np.repeat(np.arange(n), per), balanced=balanced, bus_phase=tuple("abc" if balanced else x[-1] for x in names),
    )  # fmt: skip


def state(with_trades, without=None, unbalance=None, converged=True):
    v = np.array([with_trades, with_trades if without is None else without], float)
    u = None if unbalance is None else np.tile(np.array(unbalance, float), (2, 1))
    zero = np.zeros(2)
    return GridState(v, np.zeros((2, 1)), np.zeros((2, 1)), zero, zero, zero, np.full(2, converged), u)


def week(values, without=None, weeks=1, start_s=START, **keys):
    """A run of ten-minute steps, ``values`` (voltages of one house) repeated to full weeks."""
    made = En50160(feeder(**keys), start_s, 600, start_s + weeks * WEEK_S)
    for step in range(weeks * WINDOWS_PER_WEEK):
        base = None if without is None else [without[step % len(without)]]
        made.look(step, state([values[step % len(values)]], base))
    return made


def low_for(n, value=0.89, rest=1.0):
    return [value] * n + [rest] * (WINDOWS_PER_WEEK - n)


@pytest.mark.parametrize(
    ("vn_v", "allowed"),
    [(400.0, 50), (20000.0, 10)],  # 5 % of 1008 are 50.4, 1 % are 10.08
)
def test_the_share_of_means_just_kept_and_just_broken(vn_v, allowed):
    kept = week(low_for(allowed), vn_v=(vn_v,))
    assert kept.breaches == [] and kept.found[VOLTAGE][WITH].broken == 0
    broken = week(low_for(allowed + 1), [1.0], vn_v=(vn_v,))
    (breach,) = broken.breaches
    assert (breach.kind, breach.count, breach.by_trades) == (VOLTAGE, allowed + 1, True)
    assert breach.value == pytest.approx(100 * (1 - (allowed + 1) / 1008))
    assert breach.limit == (95.0 if vn_v < 1000 else 99.0)
    assert ("4.2.2.2" if vn_v < 1000 else "5.2.2.2") in breach.clause


def test_low_voltage_counts_both_ends_together_and_medium_voltage_each():
    both = [0.89] * 30 + [1.105] * 30 + [1.0] * (WINDOWS_PER_WEEK - 60)
    found = week(both, [1.0])
    assert [b.kind for b in found.breaches] == [VOLTAGE, EXTREME], (
        "60 of 1008 outside, and 1.105 is above +10 %"
    )
    each = [0.89] * 10 + [1.105] * 10 + [1.0] * (WINDOWS_PER_WEEK - 20)
    assert week(each, [1.0], vn_v=(20000.0,)).breaches == []


@pytest.mark.parametrize(
    ("vn_v", "kept", "broken"),
    [(400.0, 0.85, 0.8499), (400.0, 1.10, 1.1001), (20000.0, 0.85, 0.8499), (20000.0, 1.15, 1.1501)],
)
def test_every_mean_keeps_the_outer_band(vn_v, kept, broken):
    assert [b for b in week(low_for(1, kept), vn_v=(vn_v,)).breaches if b.kind == EXTREME] == []
    (breach,) = [b for b in week(low_for(1, broken), [1.0], vn_v=(vn_v,)).breaches if b.kind == EXTREME]
    assert (breach.value, breach.limit) == (pytest.approx(broken), pytest.approx(kept))
    assert breach.count == 1 and breach.first_s == breach.worst_s == START


def test_ten_minutes_at_the_band_are_within_it():
    assert week([0.9]).breaches == [] and week([1.1]).breaches == []
    assert len(week([np.nextafter(0.9, 0) - 1e-9], [1.0]).breaches) == 1


def test_weeks_are_judged_one_by_one_and_a_rest_is_none():
    """49 bad means at the end of one week and 49 at the beginning of the next break neither; 51 in one do."""
    split = [1.0] * (WINDOWS_PER_WEEK - 49) + [0.89] * 49 + [0.89] * 49 + [1.0] * (WINDOWS_PER_WEEK - 49)
    assert week(split, weeks=2).breaches == []
    second = [1.0] * WINDOWS_PER_WEEK + [0.89] * 51 + [1.0] * (WINDOWS_PER_WEEK - 51)
    (breach,) = week(second, [1.0], weeks=2).breaches
    assert breach.first_s == START + WEEK_S
    made = En50160(feeder(), START, 600, START + WEEK_S + 86400)
    for step in range(WINDOWS_PER_WEEK + 144):
        made.look(step, state([0.8 if step >= WINDOWS_PER_WEEK else 1.0]))
    assert (made.weeks, made.breaches) == (1, [])


def test_what_trades_do_not_worsen_is_the_feeders():
    same = week(low_for(60), low_for(60))
    assert [b.by_trades for b in same.breaches] == [False]
    relieved = week(low_for(55), low_for(60))
    assert [b.by_trades for b in relieved.breaches] == [False]
    worse = week(low_for(61), low_for(60))
    assert [b.by_trades for b in worse.breaches] == [True]
    assert worse.found[VOLTAGE][WITHOUT].broken == 1


def test_a_mean_without_value_is_neither_in_nor_out():
    made = En50160(feeder(), START, 600, START + WEEK_S)
    for step in range(WINDOWS_PER_WEEK):
        made.look(step, state([1.0], converged=step != 7))
    assert (made.weeks, made.unknown, made.breaches) == (1, 1, [])


@pytest.mark.parametrize(
    ("start_s", "step_s", "days", "words"),
    [
        (START, 900, 7, "solved every 900 s"),
        (START + 300, 300, 7, "holds 1007 full 10 minute windows"),
        (START, 600, 6, "holds 864"),
        (START, 600, 7, ""),
        (START + 300, 300, 7 + 1 / 144, ""),
    ],
)
def test_why_nothing_can_be_assessed(start_s, step_s, days, words):
    made = En50160(feeder(), start_s, step_s, start_s + round(days * 86400))
    assert words in made.why_not and bool(words) == bool(made.why_not)


def test_profiles_that_are_too_coarse_are_not_made_finer_by_steps():
    for profile_step_s, said in ((900, "means over 900 s"), (600, ""), (60, "")):
        assert said in (
            why := En50160(feeder(), START, 300, START + WEEK_S, profile_step_s).why_not
        ) and bool(said) == bool(why)


def test_high_voltage_has_no_band_here():
    assert "low or medium voltage" in En50160(feeder((110e3,)), START, 600, START + WEEK_S).why_not


@pytest.mark.parametrize(("bad", "broken"), [(50, 0), (51, 1)])
def test_unbalance_of_ten_minute_means(bad, broken):
    made = En50160(feeder(balanced=False), START, 600, START + WEEK_S)
    for step in range(WINDOWS_PER_WEEK):
        made.look(step, state([1.0] * 3, unbalance=[2.001 if step < bad else 2.0] * 3))
    assert [b.kind for b in made.breaches] == [UNBALANCE] * broken
    assert made.found[UNBALANCE][WITH].value == pytest.approx(100 * (1 - bad / 1008))


def ansi(values, without=None, asked=("ansi_c84_1_a",), step_s=600, vn_v=(240.0,), start_s=START):
    made = AnsiC84(list(asked), feeder(vn_v), start_s, step_s, start_s + len(values) * step_s)
    for step, v in enumerate(values):
        made.look(step, state([v], None if without is None else [without[step]]))
    return made


@pytest.mark.parametrize(
    ("vn_v", "value", "outcome"),
    [
        (240.0, 114 / 120, "within range A"),
        (240.0, 126 / 120, "within range A"),
        (240.0, 113.99 / 120, "within range B only"),
        (240.0, 126.01 / 120, "within range B only"),
        (240.0, 110 / 120, "within range B only"),
        (240.0, 127 / 120, "within range B only"),
        (240.0, 109.99 / 120, "outside range B"),
        (240.0, 127.01 / 120, "outside range B"),
        (12470.0, 117 / 120, "within range A"),
        (12470.0, 116.99 / 120, "within range B only"),
        (12470.0, 114 / 120, "within range B only"),
        (12470.0, 113.99 / 120, "outside range B"),
        (12470.0, 127.01 / 120, "outside range B"),
    ],
)
def test_the_ranges_on_a_120_volt_base(vn_v, value, outcome):
    assert ansi([value] * 3, vn_v=(vn_v,)).stay[WITH].worst == outcome


def test_a_short_excursion_is_not_sustained():
    """One minute in ten at 0.9 of 1.0 is a mean of about 0.99."""
    values = [0.9] + [1.0] * 9
    assert ansi(values, step_s=60).stay[WITH].worst == "within range A"


def test_how_far_b_is_used_is_counted():
    values = [1.0, 0.94, 0.94, 1.0, 0.94, 1.0, 0.90, 1.0]
    made = ansi(values, [1.0] * 8, asked=("ansi_c84_1_a", "ansi_c84_1_b"))
    stay = made.stay[WITH]
    assert (stay.windows, stay.times, stay.longest, len(stay.terminals)) == ([4, 3, 1], 2, 2, 1)
    rows = [(e.kind, e.first_step, e.steps, e.by_trades) for e in made.log.all()]
    assert rows == [(A, 1, 2, True), (A, 4, 1, True), (A, 6, 1, True), (B, 6, 1, True)]
    assert (made.extremes[B][WITH].value, made.extremes[B][WITH].limit) == (0.9, pytest.approx(110 / 120))


def test_only_what_is_asked_for_is_a_violation():
    made = ansi([0.94], [1.0], asked=("ansi_c84_1_b",))
    assert list(made.log.all()) == [] and made.stay[WITH].worst == "within range B only"


def test_a_feeder_that_leaves_the_range_itself_is_not_blamed_on_trades():
    made = ansi([0.94, 0.93, 0.94], [0.94, 0.94, 0.93])
    assert [e.by_trades_steps for e in made.log.all()] == [1]
    assert made.extremes[A][WITH].broken == 1 and made.extremes[A][WITHOUT].broken == 3


def test_a_range_just_left_by_trades_is_theirs():
    made = ansi([0.95 - 1e-9, 1.05 + 1e-9], [0.95, 1.05])
    assert [e.by_trades_steps for e in made.log.all()] == [2]
    assert made.extremes[A][WITH].broken == 2 and made.extremes[A][WITHOUT].broken == 0


def test_an_outer_band_just_left_by_trades_is_theirs():
    made = week([1.10 + 1e-9] + [1.0] * 1007, [1.10] + [1.0] * 1007)
    (breach,) = (b for b in made.breaches if b.kind == EXTREME)
    assert breach.by_trades and made.found[EXTREME][WITHOUT].broken == 0


def test_steps_that_are_longer_than_ten_minutes_are_the_means():
    made = ansi([1.0, 0.94, 1.0], [1.0] * 3, step_s=900, start_s=START + 300)
    (episode,) = made.log.all()
    assert (made.window_s, made.first_window_s, episode.first_step) == (900, 0, 1)
    assert made.extremes[A][WITH].first_s == START + 300 + 900


def test_a_start_between_ticks_is_told_by_the_first_full_window():
    made = ansi([1.0, 1.0, 1.0, 0.94, 0.94, 1.0], [1.0] * 6, step_s=300, start_s=START + 300)
    (episode,) = made.log.all()
    # 12:05 + 5 min is the first tick; the excursion is the window from 12:20
    assert (made.first_window_s, episode.first_step, episode.steps) == (300, 1, 1)


def test_an_unknown_mean_is_counted_and_ends_an_excursion():
    made = AnsiC84(["ansi_c84_1_a"], feeder(), START, 600, START + 3 * 600)
    for step, (v, ok) in enumerate([(0.94, True), (0.94, False), (0.94, True)]):
        made.look(step, state([v], [1.0], converged=ok))
    assert made.unknown == 1 and [e.steps for e in made.log.all()] == [1, 1]

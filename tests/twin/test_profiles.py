"""The calendar against pandas' time zones, profile files with every fault, and forecasts."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adapters.grid.profiles import ProfileTable
from twin.profile_file import UserTable, read_user_table
from twin.profiles import Calendar, Forecaster, ProfileError, Profiles
from twin.scenario.schema import Scenario

YEAR = 366 * 96


def scenario(start="2016-01-18T12:00:00+01:00", days=1.0, **more) -> Scenario:
    return Scenario.model_validate(
        {"name": "s", "start": start, "duration_days": days, "seed": 1, "grid": {"source": "x.json"}, **more}
    )


@pytest.fixture(scope="module")
def simbench_year():
    """A year as SimBench has it: the value of a row is its number."""
    rows = np.arange(YEAR, dtype=float)[:, None]
    return ProfileTable(("a",), rows, rows, ("sun",), rows, 900, datetime(2016, 1, 1))


@pytest.mark.parametrize(
    "start, days",
    [
        ("2016-01-01T00:00:00+01:00", 3),
        ("2016-03-26T00:00:00+01:00", 3),  # the clock jumps on the 27th at 2:00
        ("2016-07-01T00:00:00+02:00", 1),
        ("2016-06-30T22:00:00+00:00", 1),  # the same moment, said in UTC
        ("2016-10-29T00:00:00+02:00", 3),  # the clock goes back on the 30th at 3:00
        ("2016-02-28T00:00:00+01:00", 3),
        ("2016-12-30T00:00:00+01:00", 2),
    ],
)
def test_simbench_rows_are_german_local_time(simbench_year, start, days):
    """Oracle: pandas' clock of Europe/Berlin, stamps as SimBench prints them (they skip and repeat an hour)."""
    stamps = pd.date_range("2016-01-01", periods=YEAR, freq="15min", tz="Europe/Berlin")
    s = scenario(start, days)
    rows = Calendar(simbench_year, s).rows(0, 900, s.n_intervals)
    expected = stamps.get_indexer(pd.date_range(pd.Timestamp(start), periods=s.n_intervals, freq="15min"))
    assert (expected >= 0).all()
    assert rows.tolist() == expected.tolist()
    assert rows[0] == simbench_year.row_at(s.start)


def test_the_same_date_of_another_year(simbench_year):
    """Month, day and time of day in the winter clock; the table's own year decides how long February is."""
    calendar = Calendar(simbench_year, scenario("2019-02-28T12:00:00+01:00", 2))
    rows = calendar.rows(0, 900, 192)
    day = 58 * 96
    assert rows[0] == day + 48
    assert rows[47] == day + 95
    assert rows[48] == day + 2 * 96, "2019 has no 29 February: on to the first of March"
    summer = Calendar(simbench_year, scenario("2019-07-01T12:00:00+02:00")).rows(0, 900, 1)
    assert summer[0] == simbench_year.row_at(datetime.fromisoformat("2016-07-01T12:00:00+02:00"))


def test_29_february_in_a_table_without_one():
    table = user_table(365, datetime(2015, 1, 1))
    rows = Calendar(table, scenario("2016-02-28T00:00:00+01:00", 3)).rows(0, 900, 3 * 96)
    day = 58 * 96
    assert rows.tolist() == [*range(day, day + 96), *range(day, day + 96), *range(day + 96, day + 192)]


def test_a_table_from_july_to_june_covers_every_date():
    table = user_table(366, datetime(2023, 7, 1))
    rows = Calendar(table, scenario("2019-06-30T00:00:00+02:00", 2)).rows(0, 900, 2 * 96)
    assert rows[:96].tolist() == list(range(365 * 96, 366 * 96)), "30 June lies in the table's second year"
    assert rows[96:].tolist() == list(range(96)), "1 July in its first"
    leap = Calendar(table, scenario("2020-02-29T00:00:00+01:00", 1)).rows(0, 900, 96)
    assert leap[0] == (datetime(2024, 2, 29) - datetime(2023, 7, 1)).days * 96
    noon = user_table(366, datetime(2023, 7, 1, 12))
    around = Calendar(noon, scenario("2024-07-01T06:00:00+02:00", 1)).rows(0, 900, 48)
    assert around.tolist() == [*range(366 * 96 - 24, 366 * 96), *range(24)]


def test_a_run_over_new_year_begins_the_year_again(simbench_year):
    rows = Calendar(simbench_year, scenario("2016-12-31T23:00:00+01:00", 1)).rows(0, 900, 8)
    assert rows.tolist() == [YEAR - 4, YEAR - 3, YEAR - 2, YEAR - 1, 0, 1, 2, 3]
    fixed = scenario("2016-12-31T23:00:00+01:00", 1, profiles={"repeat_year": False})
    with pytest.raises(
        ProfileError, match=r"cover 2016-01-01 00:00:00 to 2017-01-01 00:00:00, the run needs"
    ):
        Calendar(simbench_year, fixed).rows(0, 900, 8)
    assert Calendar(simbench_year, fixed).rows(0, 900, 4).tolist() == [YEAR - 4, YEAR - 3, YEAR - 2, YEAR - 1]


def test_without_a_zone_the_scenarios_own_clock_counts():
    table = user_table(2, datetime(2016, 7, 1))
    rows = Calendar(table, scenario("2016-07-01T06:00:00+02:00")).rows(0, 900, 2)
    assert rows.tolist() == [24, 25]


def test_a_run_before_the_table_is_refused():
    table = user_table(2, datetime(2016, 7, 1))
    with pytest.raises(ProfileError, match="fall outside: give a whole year"):
        Calendar(table, scenario("2016-06-30T06:00:00+02:00")).rows(0, 900, 2)
    with pytest.raises(ProfileError, match="the run needs 2016-06-30"):
        Calendar(
            table, scenario("2016-06-30T06:00:00+02:00", profiles={"repeat_year": False})
        ).rows(0, 900, 2)  # fmt: skip


def user_table(days, start, step_s=900, names=("a", "b")):
    n = days * 86400 // step_s
    p = np.arange(n, dtype=float)[:, None] + np.array([0, 1000.0])
    return UserTable(names, p, p / 10, ("sun",), p[:, :1] / n, step_s, start)


@pytest.fixture
def pair(make_people):
    return make_people(
        2, load_p_rated_w=[10, 20], load_q_rated_var=[1, 2], load_profile=[0, 1], pv_rated_w=[0, 5000]
    )


def test_powers_are_profile_times_rating(pair):
    table = user_table(2, datetime(2016, 1, 18))
    profiles = Profiles(table, scenario(), pair)
    assert profiles.load_w(0).tolist() == [48 * 10, 1048 * 20]
    assert profiles.load_var(0).tolist() == pytest.approx([4.8 * 1, 104.8 * 2])
    assert profiles.pv_w(3).tolist() == pytest.approx([0, 51 / 192 * 5000])


def test_finer_tables_are_averaged_and_coarser_ones_held(pair):
    fine = Profiles(user_table(2, datetime(2016, 1, 18), step_s=300), scenario(), pair)
    assert fine.load_w(0)[0] == pytest.approx((144 + 145 + 146) / 3 * 10)
    assert fine.load_w(95)[0] == pytest.approx((429 + 430 + 431) / 3 * 10)
    coarse = Profiles(user_table(2, datetime(2016, 1, 18), step_s=3600), scenario(), pair)
    assert [coarse.load_w(k)[0] for k in range(5)] == [120, 120, 120, 120, 130]


def test_interval_means_are_means_of_sub_steps(pair):
    profiles = Profiles(user_table(2, datetime(2016, 1, 18), step_s=300), scenario(substep_s=300), pair)
    assert profiles.load_w(4)[0] == 1480
    load, var, _ = profiles.interval_means(1)
    assert load[0] == pytest.approx((147 + 148 + 149) / 3 * 10)
    assert var[1] == pytest.approx((114.7 + 114.8 + 114.9) / 3 * 2)


def forecaster(table, s, people):
    return Forecaster(Profiles(table, s, people), s, people)


def test_persistence_is_yesterday(pair):
    s = scenario("2016-01-19T12:00:00+01:00", participants={"forecast": {"kind": "persistence"}})
    table = user_table(3, datetime(2016, 1, 18))
    profiles = Profiles(table, s, pair)
    believed = Forecaster(profiles, s, pair).interval(5)
    assert believed[0].tolist() == [(48 + 5) * 10, (1048 + 5) * 20]
    assert profiles.load_w(5)[0] == (48 + 5 + 96) * 10
    for substep in (450, 900):
        s = scenario(
            "2016-01-19T12:00:00+01:00", participants={"forecast": {"kind": "persistence"}}, substep_s=substep
        )
        assert forecaster(table, s, pair).interval(5)[0].tolist() == believed[0].tolist()


def test_persistence_needs_the_day_before(pair):
    s = scenario(participants={"forecast": {"kind": "persistence"}}, profiles={"repeat_year": False})
    with pytest.raises(ProfileError, match="the run needs 2016-01-17 12:00:00"):
        Profiles(user_table(2, datetime(2016, 1, 18)), s, pair)


def test_perfect_is_what_comes(pair):
    s = scenario(participants={"forecast": {"kind": "perfect"}})
    profiles = Profiles(user_table(2, datetime(2016, 1, 18)), s, pair)
    for believed, actual in zip(
        Forecaster(profiles, s, pair).interval(7),
        (profiles.load_w(7), profiles.load_var(7), profiles.pv_w(7)),
        strict=True,
    ):
        assert believed.tolist() == actual.tolist()


def test_noise_has_the_size_asked_for_and_is_one_sky_for_all(make_people):
    people = make_people(40, load_p_rated_w=1.0, pv_rated_w=1.0)
    flat = UserTable(
        ("a",), np.ones((96, 1)), np.ones((96, 1)), ("sun",), np.ones((96, 1)), 900, datetime(2016, 1, 18)
    )
    s = scenario(
        "2016-01-18T00:00:00+01:00",
        participants={"forecast": {"kind": "noisy", "load_error_percent": 10, "pv_error_percent": 20}},
    )
    f = forecaster(flat, s, people)
    draws = [f.interval(k) for k in range(96)]
    load, pv = np.array([d[0] for d in draws]), np.array([d[2] for d in draws])
    assert abs(load.mean() - 1) < 0.01 and abs(load.std() - 0.1) < 0.01
    assert abs(pv[:, 0].mean() - 1) < 0.07 and abs(pv[:, 0].std() - 0.2) < 0.05
    assert (pv == pv[:, :1]).all(), "clouds are everybody's"
    assert np.abs(np.corrcoef(load.T) - np.eye(40)).max() < 0.5, "households differ"
    assert not (load[0] == load[1]).any()
    again = forecaster(flat, s, people)
    assert (again.interval(95)[0] == load[95]).all(), "whichever interval is asked for first"


def test_adding_a_house_leaves_the_others_forecasts(make_people):
    """By name, wherever the new house stands in the table."""
    s = scenario("2016-01-18T00:00:00+01:00")
    flat = UserTable(
        ("a",), np.ones((96, 1)), np.ones((96, 1)), (), np.zeros((96, 0)), 900, datetime(2016, 1, 18)
    )
    few = forecaster(flat, s, make_people(2, names=("x", "z"))).interval(3)[0]
    more = forecaster(flat, s, make_people(3, names=("x", "y", "z"))).interval(3)[0]
    assert more[[0, 2]].tolist() == few.tolist()


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.csv"
    path.write_text(text)
    return path


GOOD = "time,load:a,load_q:a,pv:sun\n2016-01-18T00:00:00,0.5,0.1,0\n2016-01-18T00:15:00,0.6,0.2,1.1\n"


def test_a_users_file(tmp_path):
    table = read_user_table(write(tmp_path, GOOD))
    assert (table.names, table.pv_names, table.step_s) == (("a",), ("sun",), 900)
    assert (table.start, table.zone) == (datetime(2016, 1, 18), "")
    assert table.p[:, 0].tolist() == [0.5, 0.6]
    assert table.q[:, 0].tolist() == [0.1, 0.2]
    assert table.pv[:, 0].tolist() == [0, 1.1]
    parquet = tmp_path / "p.parquet"
    pd.read_csv(tmp_path / "p.csv").to_parquet(parquet)
    assert read_user_table(parquet).p[:, 0].tolist() == [0.5, 0.6]
    bare = read_user_table(write(tmp_path, "time,load:a\n2016-01-18 00:00,1\n2016-01-18 01:00,1\n"))
    assert (bare.step_s, bare.q.tolist(), bare.pv.shape) == (3600, [[0], [0]], (2, 0))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a,b\n1,2\n", ["no column 'time'; got columns a, b"]),
        ("", ["cannot be read"]),
        (GOOD.replace("2016-01-18T00:15:00", "soon"), ["line 3: time is not a date: 'soon'"]),
        (GOOD + "2016-01-18T01:00:00,1,1,1\n", ["line 4: gap or jump: 2016-01-18 00:15:00 is followed by 2016-01-18 01:00:00"]),
        (GOOD + "2016-01-18T00:15:00,1,1,1\n", ["line 4: gap or jump"]),
        (GOOD.replace("00:15:00", "00:00:00"), ["line 3: time does not rise"]),
        (GOOD.replace(":00,", ":00+01:00,"), ["carries a time zone"]),
        (GOOD + "2016-01-18T01:30:00,1,1,1\n", ["line 4: gap or jump", "are the clocks changed here?"]),
        (GOOD.replace("00:00,", "00:00+01:00,").replace("15:00,", "15:00+02:00,"), ["carries a time zone or offset", "tz_convert"]),
        (GOOD.replace(":00,", ":00Z,"), ["carries a time zone or offset"]),
        ("time,load:a\n2016-01-18T00:00:00,1\n", ["needs at least two rows"]),
        (GOOD.replace("0.6", "-0.6"), ["column load:a, line 3: got -0.6, allowed a number >= 0"]),
        (GOOD.replace("0.6", ""), ["column load:a, line 3: got nan"]),
        (GOOD.replace("0.6", "inf"), ["column load:a, line 3: got inf"]),
        ("time,load:a\n0,1\n900,1\n", ["steps are whole seconds, got 9e-07 s"]),
        (GOOD.replace("0.6", "many"), ["column load:a: holds text where numbers are allowed"]),
        (GOOD.replace("1.1", "1.3"), ["column pv:sun, line 3: got 1.3, allowed 0..1.2"]),
        (GOOD.replace("load:a", "consumption"), ["column 'consumption': allowed are load:NAME", "no column load:NAME", "load_q:a has no load:a"]),
        (GOOD.replace("pv:sun", "pv:"), ["column 'pv:': allowed are"]),
        (GOOD.replace("load_q:a", "load:a"), ["column 'load:a' is there 2 times"]),
        (GOOD.replace("0.6", "-1").replace("1.1", "9"), ["load:a, line 3", "pv:sun, line 3"]),
    ],
)  # fmt: skip
def test_every_fault_of_a_file_is_told(tmp_path, text, expected):
    with pytest.raises(ProfileError) as caught:
        read_user_table(write(tmp_path, text))
    for part in expected:
        assert part in str(caught.value)
    assert all(line.startswith("p.csv: ") for line in str(caught.value).splitlines())


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ProfileError, match=r"none\.csv: cannot be read"):
        read_user_table(tmp_path / "none.csv")
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(ProfileError, match=r"x\.parquet: cannot be read"):
        read_user_table(tmp_path / "x.parquet")

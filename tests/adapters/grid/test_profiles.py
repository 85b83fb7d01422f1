"""Profiles of the case; the oracle is SimBench's own absolute values."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import simbench

from adapters.grid.errors import GridInputError
from adapters.grid.feeder import Feeder
from adapters.grid.profiles import ProfileTable, case_profiles
from adapters.grid.simbench_source import simbench_net

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def table(street: Feeder) -> ProfileTable:
    found = case_profiles(street)
    assert found is not None
    return found


def test_absolute_values_are_simbenchs(street: Feeder, table: ProfileTable) -> None:
    net = simbench_net("1-LV-semiurb4--2-sw")
    absolute = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    for row, point in enumerate(street.points):
        column = table.names.index(str(point.profile))
        np.testing.assert_allclose(
            table.p[:, column] * point.p_rated_w, absolute["load", "p_mw"][row] * 1e6, rtol=1e-12, atol=1e-9
        )
        np.testing.assert_allclose(
            table.q[:, column] * point.q_rated_var,
            absolute["load", "q_mvar"][row] * 1e6,
            rtol=1e-12,
            atol=1e-9,
        )
    plants = [asset for asset in street.assets if asset.kind == "pv"]
    for row, asset in enumerate(plants):
        column = table.pv_names.index(str(asset.profile))
        np.testing.assert_allclose(
            table.pv[:, column] * asset.p_rated_w, absolute["sgen", "p_mw"][row] * 1e6, rtol=1e-12, atol=1e-9
        )


def test_a_leap_year_of_quarter_hours(table: ProfileTable) -> None:
    assert (table.n_steps, table.step_s, table.start) == (366 * 96, 900, datetime(2016, 1, 1))
    assert table.p.shape == table.q.shape == (table.n_steps, len(table.names))
    assert table.pv.shape == (table.n_steps, len(table.pv_names))
    assert table.pv.min() >= 0
    assert table.pv.max() <= 1.0


def test_rows_follow_elapsed_time_through_both_clock_changes(table: ProfileTable) -> None:
    """The oracle is the case's own column of stamps."""
    stamps = simbench_net("1-LV-semiurb4--2-sw").profiles["load"]["time"]
    when = datetime(2015, 12, 31, 23, 0, tzinfo=UTC)
    for row in (0, 8252, 8253, 29000, 29100, 35135):
        moment = when + timedelta(seconds=900 * row)
        assert table.row_at(moment) == row
        assert moment.astimezone(BERLIN).strftime("%d.%m.%Y %H:%M") == stamps.iloc[row]
    assert table.row_at(datetime(2016, 7, 1, 12, 7, tzinfo=BERLIN)) == stamps.tolist().index(
        "01.07.2016 12:00"
    )


def test_a_case_without_profiles(baran_wu: Feeder) -> None:
    assert case_profiles(baran_wu) is None


def test_gaps_and_missing_profiles_are_refused(street: Feeder) -> None:
    import copy
    import dataclasses

    native = copy.copy(street.native)
    load = street.native.profiles["load"]
    for wrong, match in (
        (load.drop(index=5), "different steps"),
        (
            load.assign(
                **{load.columns[1]: np.where(np.arange(len(load)) == 7, np.nan, load[load.columns[1]])}
            ),
            "gaps",
        ),
        (load.drop(columns=["H0-A_pload", "H0-A_qload"]), "H0-A, which is missing"),
    ):
        native["profiles"] = {**street.native.profiles, "load": wrong}
        with pytest.raises(GridInputError, match=match):
            case_profiles(dataclasses.replace(street, native=native))
    assert isinstance(load, pd.DataFrame)

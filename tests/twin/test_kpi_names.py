"""A scenario may only expect KPIs that exist."""

import pytest
import yaml

from twin.kpi_names import KPI_NAMES
from twin.prepare import prepare
from twin.scenario.load import load_scenario
from twin.scenario.problems import ScenarioError


def test_the_list_is_what_a_run_writes(run_street):
    assert set(run_street(duration_days=0.05).kpis) == KPI_NAMES


def test_an_expectation_of_no_kpi_is_refused_before_the_run(tmp_path, street_text, write_day_profiles):
    write_day_profiles(tmp_path / "profiles.csv")
    scenario = yaml.safe_load(street_text()) | {"expectations": [{"kpi": "ev_short_counts", "max": 0}]}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(scenario))
    with pytest.raises(ScenarioError, match=r"expectations\[0\].kpi: no such KPI.*ev_short_count"):
        prepare(load_scenario(tmp_path / "s.yaml"))

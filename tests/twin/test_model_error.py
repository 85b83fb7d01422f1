"""A plant that is not what the records say: each line off by its own draw, houses on other phases."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from adapters.grid.factory import make_engine
from adapters.grid.phases import per_phase
from adapters.grid.source import load_feeder
from twin import ScenarioError
from twin.model_error import model_error, plant_feeder
from twin.scenario.grid_section import PlantSection

STREET = "pandapower:create_kerber_landnetz_freileitung_1"


@pytest.fixture(scope="module")
def street():
    return load_feeder(STREET, Path())


def scenario(seed=7, **plant):
    return SimpleNamespace(seed=seed, grid=SimpleNamespace(plant=PlantSection(**plant)))


def test_every_line_is_off_by_its_own_draw_in_every_engine(street):
    error = model_error(scenario(line_impedance_spread_percent=30), street)
    factors = np.array(error.line_factors)
    assert len(factors) == street.branch_kind.count("line") and len(set(factors.tolist())) == len(factors)
    assert 0.7 <= factors.min() < 0.9 and 1.1 < factors.max() <= 1.3
    assert error == model_error(scenario(line_impedance_spread_percent=30), street)
    assert error != model_error(scenario(8, line_impedance_spread_percent=30), street)
    p = -np.full((1, len(street.points)), 4000.0)
    v = {
        name: make_engine(street, name, error).solve(p, 0.3 * p).v_pu
        for name in ("power_grid_model", "pandapower")
    }
    assert v["power_grid_model"] == pytest.approx(v["pandapower"], abs=1e-8)
    planned = make_engine(street, "power_grid_model").solve(p, 0.3 * p).v_pu
    assert np.abs(v["power_grid_model"] - planned).max() > 1e-3
    assert model_error(scenario(), street).line_factors == ()


def test_a_share_of_single_phase_houses_is_on_another_phase_and_nothing_else_moves(street):
    single = [replace(p, phases="abc"[i % 3]) for i, p in enumerate(street.points)]
    single[0] = street.points[0]  # a three-phase house
    feeder = per_phase(replace(street, points=tuple(single)))
    real = plant_feeder(scenario(swapped_phases_percent=50), feeder)
    moved = [i for i, (a, b) in enumerate(zip(feeder.points, real.points, strict=True)) if a != b]
    assert len(moved) == round((len(single) - 1) / 2) and 0 not in moved
    for i in moved:
        before, after = feeder.points[i], real.points[i]
        assert before.phases != after.phases and after.name == before.name
        assert feeder.site[after.bus] == feeder.site[before.bus]
        assert feeder.bus_phase[after.bus] == after.phases
    assert plant_feeder(scenario(), feeder) is feeder


def test_a_gated_schedule_breaks_limits_on_a_feeder_that_is_not_what_the_gate_believes(run_street):
    run = run_street(
        grid={"plant": {"line_impedance_factor": 1.3, "line_impedance_spread_percent": 30}},
        outputs={"report": True},
    )
    broken, needed = (run.kpis[f"gate_{k}"] for k in ("broken_intervals_count", "margin_needed_pu"))
    assert broken > 0 and needed > 0.001
    text = (run.folder / "report.html").read_text()
    assert f"still broke a limit in the plant in {broken} of" in text
    assert "would have prevented it" in text
    wider = run_street(
        grid={"plant": {"line_impedance_factor": 1.3, "line_impedance_spread_percent": 30}},
        coordination={"margin_v_pu": 1.2 * needed},
    )
    assert wider.kpis["gate_broken_intervals_count"] < broken, "the margin that it names helps"


def test_a_balanced_feeder_has_no_phases_to_swap(run_street):
    with pytest.raises(ScenarioError, match="no single-phase connection point"):
        run_street(grid={"plant": {"swapped_phases_percent": 10}})

"""What makes a run slow is told before it, with numbers that follow from the scenario; a fast run is not measured."""

from types import SimpleNamespace

import pytest

from twin import pace
from twin.attributed import MOST_EPISODES, MOST_ONE_BY_ONE


def run_of(gate="pandapower", plant="pandapower", days=1, substep=None, mode="gate", notes=()):
    n = round(days * 96)
    scenario = SimpleNamespace(
        n_intervals=n, interval_s=900, step_s=substep or 900, coordination=SimpleNamespace(mode=mode)
    )
    return SimpleNamespace(scenario=scenario, gate_engine=gate, plant_engine=plant, notes=notes)


def prepared(**runs):
    return SimpleNamespace(runs=runs)


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(pace, "seconds_per_state", lambda run: 0.05)


def test_states_are_those_of_gate_and_plant():
    alone = run_of(notes=("gate: ... pandapower is used instead.",))
    assert pace.states_of(alone, ["gate", "plant"]) == (
        4 * 96,
        pace.STATES_PER_SHARES * (2 * MOST_ONE_BY_ONE + 2),
    )
    ends = pace.STATES_OF_ENDS  # shares come from power-grid-model's equivalent of the feeder
    assert pace.states_of(run_of(), ["gate", "plant"]) == (4 * 96, ends * (2 * MOST_EPISODES + 2))
    assert pace.states_of(run_of(substep=300), ["plant"])[0] == 2 * 3 * 96
    assert pace.states_of(run_of(mode="none"), ["gate", "plant"])[0] == 2 * 96


def test_a_slow_run_is_told_with_its_time(slow):
    (note,) = pace.slow_notes(
        prepared(a=run_of(), b=run_of(days=0.1), c=run_of("power_grid_model", "opendss"))
    )
    # 384 states of 50 ms are 19 s, 402 attributions of 3 states 60 s
    assert (
        note.startswith("a: gate and plant solve with pandapower") and "about 19 s, up to 60 s more" in note
    )
    assert "power_grid_model is some thousand times faster" in note


def test_a_feeder_that_needs_it_is_not_sent_elsewhere(slow):
    (note,) = pace.slow_notes(prepared(a=run_of(notes=("gate: ... pandapower is used instead.",))))
    assert "No faster engine here can model the feeder" in note


def test_only_what_is_run_is_measured(monkeypatch):
    def never(run):
        raise AssertionError("measured")

    monkeypatch.setattr(pace, "seconds_per_state", never)
    assert list(pace.slow_notes(prepared(a=run_of(), b=run_of("power_grid_model", "opendss")), ["b"])) == []

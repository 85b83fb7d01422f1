"""Powers in a user's OpenDSS file count as the twin sets them, whatever the file says of load levels and models."""

from pathlib import Path

import numpy as np
import pytest

from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.source import load_feeder

STREET = """New Circuit.c basekv=0.4 phases=3 bus1=s r1=0 x1=0.0001 r0=0 x0=0.0001
New Line.l bus1=s bus2=h phases=3 r1=0.2 x1=0.05 r0=0.2 x0=0.05 c1=0 c0=0 normamps=100
New Load.one bus1=h.1 phases=1 kv=0.23094 kw=2 kvar=0
New Load.fixed bus1=h phases=3 kv=0.4 kw=6 kvar=1 status=fixed
{extra}
Set voltagebases=[0.4]
Calcv
{end}
"""


def street(folder: Path, extra: str = "", end: str = "Solve") -> Feeder:
    (folder / "street.dss").write_text(STREET.format(extra=extra, end=end))
    return load_feeder("street.dss", folder)


@pytest.mark.parametrize(
    ("setting", "nominal_w", "note"),
    [
        ("", (2000, 6000), ""),
        ("Set loadmult=0.5", (1000, 6000), "LoadMult of the file is 0.5"),
        ("Set year=5", (2000, 6000), "Year 5 of the file is not applied"),
        ("Set loadmodel=admittance", (2000, 6000), "LoadModel=admittance of the file is not applied"),
        ("Set algorithm=newton", (2000, 6000), ""),
    ],
)
@pytest.mark.parametrize("place", ["extra", "end"])
def test_a_kilowatt_is_a_kilowatt(
    setting: str, nominal_w: tuple[float, float], note: str, place: str, tmp_path: Path
) -> None:
    """What comes out of the source is what was asked for, and the losses in the line: 3 R I² of its phases."""
    feeder = street(tmp_path, **{place: f"{setting}\nSolve"})
    assert tuple(point.p_rated_w for point in feeder.points) == nominal_w
    assert any(note in each for each in feeder.notes)
    p = np.array([[-3000.0, 0.0], [0.0, -6000.0], [1000.0, -1500.0], [0.0, 0.0]])
    state = make_engine(feeder, "opendss").solve(p, np.zeros_like(p))
    assert state.p_slack_w - state.loss_w == pytest.approx(-p.sum(axis=1), abs=0.01)
    amps = 2000 / (400 / np.sqrt(3) * state.v_pu[1, -3:])  # a third of 6 kW on each phase, nothing else
    assert state.loss_w[1] == pytest.approx(0.2 * (amps**2).sum(), rel=1e-3)


def test_loads_at_the_files_own_level_give_the_files_own_voltages(tmp_path: Path) -> None:
    """Half of ``one`` is what LoadMult says: the taps and notes of the feeder belong to that state."""
    half = street(tmp_path, "Set loadmult=0.5")
    p = np.array([[-point.p_rated_w for point in half.points]])
    q = np.array([[-point.q_rated_var for point in half.points]])
    v_half = make_engine(half, "opendss").solve(p, q).v_pu[0]
    (tmp_path / "other").mkdir()
    written = street(tmp_path / "other", "Load.one.kw=1")
    assert make_engine(written, "opendss").solve(p, q).v_pu[0] == pytest.approx(v_half, abs=1e-9)


@pytest.mark.parametrize(
    ("element", "told"),
    [
        ("New Generator.g bus1=h.2 phases=1 kv=0.23094 kw=3 pf=1", "Generator g"),
        ("New Storage.s bus1=h.2 phases=1 kv=0.23094 kwrated=3 kwhrated=9", "Storage s"),
        ("New Isource.i bus1=h.2 phases=1 amps=10", "Isource i"),
        ("New Vsource.v bus1=h basekv=0.4 r1=1 x1=1", "Vsource v"),
        ("New Fault.f bus1=h.1 phases=1 r=50", "Fault f"),
    ],
)
def test_whatever_else_feeds_or_draws_is_told(element: str, told: str, tmp_path: Path) -> None:
    said = [note for note in street(tmp_path, element).notes if told in note]
    assert len(said) == 1 and "as the file states" in said[0]


def test_what_is_disabled_or_only_measures_is_not_told(tmp_path: Path) -> None:
    feeder = street(tmp_path, "New Fault.f bus1=h.1 phases=1 r=50 enabled=no\nNew Monitor.m element=line.l")
    assert not any("Fault" in note or "Monitor" in note for note in feeder.notes)


def test_a_capacitor_stays_where_its_control_left_it(tmp_path: Path) -> None:
    """Also where the file itself never solves: the engine's own context has no controls any more."""
    switched = (
        "New Capacitor.k bus1=h phases=3 kv=0.4 kvar=30\n"
        "New CapControl.kc element=line.l capacitor=k type=kvar onsetting=20 offsetting=-20 delay=0"
    )
    feeder = street(tmp_path, switched, end="")
    off = make_engine(feeder, "opendss").solve(*np.zeros((2, 1, 2))).q_slack_var[0]
    (tmp_path / "other").mkdir()
    never = street(tmp_path / "other", switched.splitlines()[0])
    on = make_engine(never, "opendss").solve(*np.zeros((2, 1, 2))).q_slack_var[0]
    assert on == pytest.approx(-30e3, rel=0.02)  # feeds 30 kvar back
    assert off == pytest.approx(0, abs=1.0)
    assert any("CapControl kc: acts when the file is loaded" in note for note in feeder.notes)


def test_a_load_that_became_an_impedance_is_no_solution(tmp_path: Path) -> None:
    """Beyond 9 pu OpenDSS converges on other powers than were asked for."""
    feeder = street(tmp_path)
    p = np.array([[0.0, 2e6], [0.0, 6e8]])
    state = make_engine(feeder, "opendss").solve(p, np.zeros_like(p))
    assert state.converged.tolist() == [True, False] and np.isnan(state.v_pu[1]).all()
    assert state.p_slack_w[0] - state.loss_w[0] == pytest.approx(-2e6, rel=1e-6)


def test_an_engine_whose_first_scenario_diverges_solves_the_next(tmp_path: Path) -> None:
    """OpenDSS builds its matrices at the first solution; from a diverged one it never came back."""
    feeder = street(tmp_path)
    p = np.array([[-1e7, 0.0], [-2e3, -6e3]])
    state = make_engine(feeder, "opendss").solve(p, np.zeros_like(p))
    alone = make_engine(feeder, "opendss").solve(p[1:], np.zeros((1, 2)))
    assert state.converged.tolist() == [False, True]
    assert state.v_pu[1] == pytest.approx(alone.v_pu[0], abs=1e-10)

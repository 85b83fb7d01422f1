"""The equivalent of an OpenDSS file gives what OpenDSS gives, and derivatives of that; or says that there is none."""

from pathlib import Path

import numpy as np
import pytest

from adapters.grid import opendss_thevenin
from adapters.grid.compare import nominal_powers
from adapters.grid.engine import ModelError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.source import load_feeder
from adapters.grid.thevenin import Thevenin

DATA = Path(__file__).parent / "data"
OFF = ModelError(line_impedance_factor=1.2, source_voltage_pu=1.01)


@pytest.fixture(
    scope="module",
    params=["ieee13/IEEE13Nodeckt.dss", "ieee34/ieee34Mod1.dss", "loads_of_all_kinds.dss"],
)
def feeder(request: pytest.FixtureRequest) -> Feeder:
    return load_feeder(request.param, DATA)


def seen_of(feeder: Feeder, error: ModelError = OFF) -> Thevenin | None:
    found: Thevenin | None = make_engine(feeder, "opendss", error).thevenin  # type: ignore[attr-defined]
    return found


def powers(feeder: Feeder) -> tuple[np.ndarray, np.ndarray]:
    """From feeding in to a little more than nominal, every load by itself."""
    p, q = nominal_powers(feeder)
    factor = np.random.default_rng(1).uniform(-1.0, 1.1, (4, len(p)))
    return p * factor, q * np.abs(factor)


def test_it_gives_what_opendss_gives(feeder: Feeder) -> None:
    seen = seen_of(feeder)
    assert seen is not None
    p, q = powers(feeder)
    state = make_engine(feeder, "opendss", OFF).solve(p, q)
    current, _ = seen.injected(p, q)
    v = seen.v.constant + current @ seen.v.slope.T
    assert np.abs(v) == pytest.approx(state.v_pu, abs=1e-8)
    sides = [
        np.abs(side.constant + current @ side.slope.T) * percent
        for side, percent in zip((seen.into_from, seen.into_to), seen.percent_per_va, strict=True)
    ]
    assert np.maximum(*sides) == pytest.approx(state.loading_percent, abs=1e-5, nan_ok=True)
    into = seen.into_from.constant + current @ seen.into_from.slope.T
    tolerance_w = 1e-7 * np.abs(p).sum()
    assert (v[:, seen.branch_from] * np.conj(into)).real == pytest.approx(state.p_branch_w, abs=tolerance_w)
    head = seen.head.constant + current @ seen.head.slope.T
    delivered = (np.conj(seen.source.constant + current @ seen.source.slope.T) * head).sum(axis=1)
    assert delivered.real == pytest.approx(state.p_slack_w, abs=tolerance_w)
    assert delivered.imag == pytest.approx(state.q_slack_var, abs=tolerance_w)
    pairs = v[:, seen.together]  # (k, n_bus, 3)
    turn = np.exp(2j * np.pi / 3)
    negative, positive = pairs @ np.array([1, turn**2, turn]), pairs @ np.array([1, turn, turn**2])
    whole = (seen.together >= 0).all(axis=1)
    found = 100 * np.abs(negative) / np.abs(positive)
    assert state.unbalance_percent is not None
    assert found[:, whole] == pytest.approx(state.unbalance_percent[:, whole], abs=1e-5)


def test_slopes_are_those_of_opendss(feeder: Feeder) -> None:
    """Differences of whole power flows, where loads follow their voltage too."""
    engine = make_engine(feeder, "opendss", OFF)
    seen = seen_of(feeder)
    assert seen is not None
    p, q = (each[0] for each in powers(feeder))
    n, step, row = len(p), 20.0, int(feeder.points[0].bus)
    current, v = seen.injected(p[None], q[None])
    phasor = seen.v.at(current, row)[0]
    exact = seen.slopes(np.conj(phasor) / abs(phasor) * seen.v.slope[row], current[0], v[0])
    shift = step * np.concatenate((np.eye(n), -np.eye(n)))
    for moved, wanted in (((p + shift, q + 0 * shift), exact.real), ((p + 0 * shift, q + shift), exact.imag)):
        size = engine.solve(*moved).v_pu[:, row]
        found = (size[:n] - size[n:]) / (2 * step)
        assert found == pytest.approx(wanted, rel=2e-3, abs=2e-3 * np.abs(wanted).max())


@pytest.mark.parametrize(
    "extra",
    [
        "New Generator.g bus1=h.1 phases=1 kv=0.23 kw=3",
        "New Storage.s bus1=h.1 phases=1 kv=0.23 kwrated=3 kwhrated=9",
        "Load.zip.model=6",
        "Load.exponents.CVRwatts=0.7",
        "Load.to_neutral.rneut=3",
    ],
)
def test_what_does_not_reduce_has_none(extra: str, tmp_path: Path) -> None:
    text = (DATA / "loads_of_all_kinds.dss").read_text()
    (tmp_path / "feeder.dss").write_text(text.replace("Set voltagebases", f"{extra}\nSet voltagebases"))
    assert seen_of(load_feeder("feeder.dss", tmp_path)) is None


def test_with_too_many_ports_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opendss_thevenin, "MOST_PORTS", 10)
    assert seen_of(load_feeder("loads_of_all_kinds.dss", DATA)) is None

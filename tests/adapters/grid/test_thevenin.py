"""The equivalent that connection points see gives what the whole feeder's power flow gives, and its derivatives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from adapters.grid import pgm_thevenin
from adapters.grid.compare import nominal_powers
from adapters.grid.engine import ModelError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.pandapower_net import feeder_from_net

Net = Callable[..., Any]


@pytest.fixture(params=["rich", "street", "unbalanced"])
def feeder(request: pytest.FixtureRequest, rich_net: Net, single_phase_net: Net, street: Feeder) -> Feeder:
    if request.param == "street":
        return street
    net = rich_net() if request.param == "rich" else single_phase_net()
    return feeder_from_net(net, request.param, "test")


def powers(feeder: Feeder) -> tuple[np.ndarray, np.ndarray]:
    p, q = nominal_powers(feeder)
    factor = np.random.default_rng(1).uniform(-1.5, 1.5, (3, len(p)))
    return p * factor, q * np.abs(factor)


def test_it_gives_what_the_reference_gives(feeder: Feeder) -> None:
    """Against pandapower (balanced) and OpenDSS (per phase), with a model error in it."""
    error = ModelError(line_impedance_factor=1.2, source_voltage_pu=1.01)
    seen = make_engine(feeder, "power_grid_model", error).thevenin  # type: ignore[attr-defined]
    reference = make_engine(feeder, "pandapower" if feeder.balanced else "opendss", error)
    p, q = powers(feeder)
    state, (current, _) = reference.solve(p, q), seen.injected(p, q)
    v = seen.v.constant + current @ seen.v.slope.T
    assert np.abs(v) == pytest.approx(
        state.v_pu, abs=1e-8 if feeder.balanced else 5e-7
    )  # its source is not quite stiff
    sides = [
        np.abs(side.constant + current @ side.slope.T) * percent
        for side, percent in zip((seen.into_from, seen.into_to), seen.percent_per_va, strict=True)
    ]
    assert np.maximum(*sides) == pytest.approx(state.loading_percent, abs=2e-4, nan_ok=True)
    into = seen.into_from.constant + current @ seen.into_from.slope.T
    tolerance_w = (1e-7 if feeder.balanced else 1e-5) * np.abs(p).sum()
    assert (v[:, seen.branch_from] * np.conj(into)).real == pytest.approx(state.p_branch_w, abs=tolerance_w)
    head = seen.head.constant + current @ seen.head.slope.T
    delivered = (np.conj(seen.source.constant + current @ seen.source.slope.T) * head).sum(axis=1)
    assert delivered.real == pytest.approx(state.p_slack_w, abs=tolerance_w)
    assert delivered.imag == pytest.approx(state.q_slack_var, abs=tolerance_w)


def test_slopes_are_those_of_differences(feeder: Feeder) -> None:
    seen = make_engine(feeder, "power_grid_model").thevenin  # type: ignore[attr-defined]
    p, q = (each[0] for each in powers(feeder))
    row, step, n = feeder.points[-1].bus, 1.0, len(p)
    current, v = seen.injected(p[None], q[None])
    phasor = seen.v.at(current, row)[0]
    exact = seen.slopes(np.conj(phasor) / abs(phasor) * seen.v.slope[row], current[0], v[0])
    shift = step * np.concatenate((np.eye(n), -np.eye(n)))
    for moved, wanted in (((p + shift, q + 0 * shift), exact.real), ((p + 0 * shift, q + shift), exact.imag)):
        size = np.abs(seen.v.at(seen.injected(*moved)[0], row))
        assert (size[:n] - size[n:]) / (2 * step) == pytest.approx(wanted, rel=1e-4, abs=1e-13)


def test_a_state_without_solution_is_nan_and_leaves_the_others(street: Feeder) -> None:
    seen = make_engine(street, "power_grid_model").thevenin  # type: ignore[attr-defined]
    p, q = nominal_powers(street)
    factor = np.array([[1.0], [60.0], [0.5]])
    current, v = seen.injected(p * factor, q * factor)
    assert np.isfinite(v).all(axis=1).tolist() == [True, False, True]
    assert np.isnan(current[1]).all()


def test_with_too_many_nodes_there_is_none(street: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgm_thevenin, "MOST_NODES", 10)
    assert make_engine(street, "power_grid_model").thevenin is None  # type: ignore[attr-defined]


def test_the_slow_engines_have_that_of_power_grid_model(two_bus_net: Net) -> None:
    """With their own model error; None where power-grid-model cannot model the feeder."""
    net, error = two_bus_net(r_ohm=0.1), ModelError(line_impedance_factor=2.0)
    feeder = feeder_from_net(net, "two", "test")
    for name in ("pandapower", "opendss"):
        seen = make_engine(feeder, name, error).thevenin  # type: ignore[attr-defined]
        ohm = (seen.v.slope[1, 0] * 400**2).real
        assert ohm == pytest.approx(0.2)
    pp.create_bus(net, 0.4, name="far")
    pp.create_impedance(net, 1, 2, 0.01, 0.01, 0.1)
    pp.create_load(net, 2, 0.001)
    assert make_engine(feeder_from_net(net, "odd", "test"), "pandapower").thevenin is None  # type: ignore[attr-defined]

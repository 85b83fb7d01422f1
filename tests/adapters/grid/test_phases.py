"""Single-phase connection points: three engines on the IEEE European low-voltage feeder, and what they need."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from adapters.grid.compare import compare_engines, nominal_powers
from adapters.grid.errors import GridInputError, UnsupportedElementError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.pandapower_net import feeder_from_net
from adapters.grid.phases import unbalance_percent
from adapters.grid.source import load_feeder

Net = Callable[..., Any]


@pytest.fixture(scope="module")
def european() -> Feeder:
    return load_feeder("pandapower:ieee_european_lv_asymmetric", Path())


def phase_net(make: Net) -> Any:
    net = make(r_ohm=0.05, x_ohm=0.02)
    net.load = net.load.iloc[:0]
    net.line["r0_ohm_per_km"], net.line["x0_ohm_per_km"], net.line["c0_nf_per_km"] = 0.2, 0.06, 0.0
    pp.create_asymmetric_load(net, 1, p_a_mw=0.004, q_a_mvar=0.001, name="single")
    pp.create_asymmetric_load(net, 1, p_a_mw=0.001, p_b_mw=0.001, p_c_mw=0.001, name="three")
    pp.create_asymmetric_load(net, 1, p_b_mw=0.002, p_c_mw=0.003, name="two")
    return net


def test_fifty_five_single_phase_houses(european: Feeder) -> None:
    assert len(european.points) == 55
    phases = [point.phases for point in european.points]
    assert (phases.count("a"), phases.count("b"), phases.count("c")) == (21, 19, 15)
    assert european.n_bus == 3 * 907
    for point in european.points:
        assert european.bus_phase[point.bus] == point.phases


def test_power_grid_model_and_opendss_agree(european: Feeder) -> None:
    found = compare_engines(european)
    assert found.reference == "opendss"
    assert found.voltage is not None
    assert found.voltage.value < 1e-8
    assert found.agrees


def test_pandapower_agrees(european: Feeder) -> None:
    """Its three-phase run, with the zero-sequence magnetising branch that the others lack made negligible."""
    p, q = nominal_powers(european)
    fast = make_engine(european, "power_grid_model").solve(p[None], q[None])
    reference = make_engine(european, "pandapower").solve(p[None], q[None])
    assert reference.converged.all()
    np.testing.assert_allclose(fast.v_pu, reference.v_pu, atol=5e-6)
    np.testing.assert_allclose(fast.loading_percent, reference.loading_percent, atol=2e-3)
    np.testing.assert_allclose(fast.unbalance_percent, reference.unbalance_percent, atol=1e-4)
    np.testing.assert_allclose(fast.p_branch_w, reference.p_branch_w, atol=2)


@pytest.mark.parametrize("name", ["power_grid_model", "opendss", "pandapower"])
def test_a_line_by_hand(name: str, two_bus_net: Net) -> None:
    """Phase a alone: loop impedance (2 Z1 + Z0) / 3, constant power, solved by fixed point."""
    net = phase_net(two_bus_net)
    net.asymmetric_load = net.asymmetric_load.iloc[:1]
    feeder = feeder_from_net(net, "one", "test")
    state = make_engine(feeder, name).solve(np.array([[-4000.0]]), np.array([[-1000.0]]))
    z_own = (2 * (0.05 + 0.02j) + (0.2 + 0.06j)) / 3
    z_mutual = ((0.2 + 0.06j) - (0.05 + 0.02j)) / 3
    source = 400 / np.sqrt(3)
    v = source + 0j
    for _ in range(60):
        v = source - z_own * np.conj((4000 + 1000j) / v)
    current = np.conj((4000 + 1000j) / v)
    v_b = source * np.exp(-2j * np.pi / 3) - z_mutual * current
    assert state.v_pu[0, 3:5] == pytest.approx(np.abs([v, v_b]) / source, abs=2e-7)
    assert state.loading_percent[0, 0] == pytest.approx(abs(current), rel=1e-5)  # rated 100 A
    assert feeder.branch_phase[0] == "a"


def test_loads_become_points_per_phase(two_bus_net: Net) -> None:
    feeder = feeder_from_net(phase_net(two_bus_net), "houses", "test")
    assert [(p.name, p.phases, p.p_rated_w) for p in feeder.points] == [
        ("single", "a", 4000),
        ("three", "abc", 3000),
        ("two (b)", "b", 2000),
        ("two (c)", "c", 3000),
    ]


@pytest.mark.parametrize("name", ["power_grid_model", "opendss", "pandapower"])
def test_divergence_is_marked(name: str, two_bus_net: Net) -> None:
    feeder = feeder_from_net(phase_net(two_bus_net), "houses", "test")
    p, q = nominal_powers(feeder)
    factors = np.array([[1.0], [500.0], [0.5]])
    state = make_engine(feeder, name).solve(p * factors, q * factors)
    assert state.converged.tolist() == [True, False, True]
    assert np.isnan(state.v_pu[1]).all()
    assert np.isnan(state.unbalance_percent[1]).all()


def test_missing_zero_sequence_data_are_named(two_bus_net: Net) -> None:
    net = phase_net(two_bus_net)
    net.line.loc[0, "x0_ohm_per_km"] = np.nan
    with pytest.raises(GridInputError, match=r"cable \(x0_ohm_per_km\)"):
        feeder_from_net(net, "houses", "test")


def test_delta_loads_are_refused(two_bus_net: Net) -> None:
    net = phase_net(two_bus_net)
    net.asymmetric_load.loc[0, "type"] = "delta"
    with pytest.raises(GridInputError, match=r"single: connected in delta"):
        feeder_from_net(net, "houses", "test")


def test_vector_groups_that_pandapower_cannot_do_are_refused(european: Feeder) -> None:
    import copy
    import dataclasses

    native = copy.deepcopy(european.native)
    native.trafo["vector_group"] = "Yy0"
    with pytest.raises(UnsupportedElementError, match=r"Trafo \(vector group Yy0\)"):
        make_engine(dataclasses.replace(european, native=native), "pandapower")


def test_unbalance_of_a_known_set() -> None:
    """One phase 10 % high: V2 / V1 = 0.1/3 / (1 + 0.1/3)."""
    turn = np.exp(-2j * np.pi / 3)
    voltage = np.array([1.1, turn, turn**2])
    assert unbalance_percent(voltage) == pytest.approx(100 * (0.1 / 3) / (1 + 0.1 / 3))
    assert unbalance_percent(np.array([1, turn, turn**2])) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("clock", [1, 3, 5, 7, 9, 11])
def test_a_delta_winding_of_every_clock_carries_the_same_in_opendss(
    single_phase_net: Net, clock: int
) -> None:
    """Voltages behind it do not tell: which phase of the upper side a house loads depends on the clock number."""
    feeder = feeder_from_net(single_phase_net(30.0 * clock), "turned", "test")
    p, q = nominal_powers(feeder)
    states = [
        make_engine(feeder, name).solve(p[None], q[None])
        for name in ("power_grid_model", "opendss", "pandapower")
    ]
    upper = states[0].loading_percent[0, -3:]
    assert np.ptp(upper) > 1  # the phases differ
    for other in states[1:]:
        assert other.v_pu == pytest.approx(states[0].v_pu, abs=1e-6)
        assert other.loading_percent == pytest.approx(states[0].loading_percent, abs=1e-4)
        assert other.p_branch_w == pytest.approx(states[0].p_branch_w, abs=0.1)


@pytest.mark.parametrize(("group", "degrees"), [("Dyn", 0.0), ("YNyn", 30.0), ("Yyn", 0.0), ("Yzn", 150.0)])
def test_a_group_that_is_not_modelled_is_refused_by_name(
    single_phase_net: Net, group: str, degrees: float
) -> None:
    feeder = feeder_from_net(single_phase_net(degrees, group), "odd", "test")
    refuses = {"Dyn": ("power_grid_model", "opendss"), "YNyn": ("power_grid_model",)}.get(group, ("opendss",))
    for name in refuses:
        with pytest.raises(UnsupportedElementError, match=rf"trafo \(.*group {group}"):
            make_engine(feeder, name)


def test_a_capacitor_bank_among_single_phase_houses(single_phase_net: Net) -> None:
    """Without a zero sequence of its own power-grid-model would find no solution at all."""
    net = single_phase_net()
    pp.create_shunt(net, 1, q_mvar=-0.01, p_mw=0.001, name="capacitor")
    feeder = feeder_from_net(net, "capacitor", "test")
    assert any("neutral on earth" in note for note in feeder.notes)
    p, q = nominal_powers(feeder)
    fast, third = (
        make_engine(feeder, name).solve(p[None], q[None]) for name in ("power_grid_model", "opendss")
    )
    assert fast.converged.all() and fast.v_pu == pytest.approx(third.v_pu, abs=1e-6)
    bare = make_engine(feeder_from_net(single_phase_net(), "bare", "test"), "power_grid_model")
    assert np.abs(bare.solve(p[None], q[None]).v_pu - fast.v_pu).max() > 1e-3

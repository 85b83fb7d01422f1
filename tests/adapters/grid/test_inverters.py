"""Inverter functions against EPRI's OpenDER, and their fixed point with the power flow."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.grid.compare import nominal_powers
from adapters.grid.errors import GridInputError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.inverter_curves import (
    IEEE_1547_B_VOLT_VAR,
    PRESETS,
    VDE_4105_VOLT_VAR_LARGE,
    VDE_4105_VOLT_VAR_SMALL,
    VDE_4105_WATT_VAR_LARGE,
    Curve,
    InverterSettings,
    inverter_output,
)
from adapters.grid.inverter_fleet import InverterFleet, solve_with_inverters
from adapters.grid.pandapower_net import feeder_from_net

Net = Callable[..., Any]
S_VA = 100_000.0


def opender(category: str, voltage: float, p_pu: float, s_va: float = S_VA) -> tuple[float, float]:
    """Steady state of a unit of 100 kW with volt-var and volt-watt on, default settings."""
    from opender import DER_PV, DERCommonFileFormat

    settings = DERCommonFileFormat(
        NP_NORMAL_OP_CAT=category, NP_VA_MAX=s_va, NP_P_MAX=S_VA, NP_P_MAX_UNDER_PF=S_VA, NP_P_MAX_OVER_PF=S_VA,
        NP_Q_MAX_INJ=0.44 * s_va, NP_Q_MAX_ABS=0.44 * s_va,
    )  # fmt: skip
    settings.QV_MODE_ENABLE = settings.PV_MODE_ENABLE = "ENABLED"
    DER_PV.t_s = 100_000  # far longer than every response time
    unit = DER_PV(settings)
    unit.update_der_input(v_pu=voltage, f=60, p_dc_pu=p_pu)
    for _ in range(3):
        unit.run()
    return float(unit.p_out_w), float(unit.q_out_var)


@pytest.fixture(autouse=True)
def quiet_opender(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    import logging

    with caplog.at_level(logging.ERROR):
        yield


@pytest.mark.parametrize(("category", "preset"), [("CAT_A", "ieee_1547_a"), ("CAT_B", "ieee_1547_b")])
def test_curves_are_openders(category: str, preset: str) -> None:
    voltages = np.array([0.89, 0.9, 0.915, 0.92, 0.95, 0.99, 1.0, 1.01, 1.03, 1.055, 1.065, 1.08, 1.09])
    for available in (0.3, 0.9, 1.0):
        p_w, q_var = inverter_output(
            PRESETS[preset],
            voltages[:, None],
            np.full((len(voltages), 1), available * S_VA),
            np.array([S_VA]),
        )
        expected = np.array([opender(category, v, available) for v in voltages])
        np.testing.assert_allclose(p_w[:, 0], expected[:, 0], atol=0.02)
        np.testing.assert_allclose(q_var[:, 0], expected[:, 1], atol=0.02)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_rating_is_never_exceeded_and_high_voltage_is_never_raised(preset: str) -> None:
    v = np.linspace(0.8, 1.2, 81)[:, None] * np.ones(5)
    p = np.linspace(-1.5, 1.5, 5) * S_VA * np.ones((81, 1))
    rated = np.full(5, S_VA)
    p_w, q_var = inverter_output(PRESETS[preset], v, p, rated)
    assert (np.hypot(p_w, q_var) <= S_VA * (1 + 1e-12)).all()
    assert (q_var[v > 1.03] <= 1e-9).all()
    assert (p_w <= p + 1e-9)[p > 0].all()


def test_fixed_power_factor() -> None:
    settings = InverterSettings(power_factor=0.95, excitation="absorb", priority="watt")
    p_w, q_var = inverter_output(settings, np.ones((1, 1)), np.array([[50_000.0]]), np.array([S_VA]))
    assert p_w[0, 0] / np.hypot(p_w[0, 0], q_var[0, 0]) == pytest.approx(0.95)
    assert q_var[0, 0] < 0


@pytest.mark.parametrize(
    ("volt_var", "power_factor", "per_active"),
    [(VDE_4105_VOLT_VAR_SMALL, 0.95, 0.328684), (VDE_4105_VOLT_VAR_LARGE, 0.90, 0.484322)],
)
def test_vde_reactive_power_is_pandapowers(volt_var: Curve, power_factor: float, per_active: float) -> None:
    """pandapower 3's ``PQArea4105`` is per rated active power, which is 0.95 or 0.90 of the apparent power.

    Its numbers are written down here, because the class needs a library that is no dependency.
    """
    assert (volt_var.y[0], -volt_var.y[-1]) == pytest.approx((per_active * power_factor,) * 2, abs=1e-6)


@pytest.mark.parametrize("s_over_p", [1.0, 1.1, 1.25])
@pytest.mark.parametrize("priority", ["var", "watt"])
def test_rated_active_below_rated_apparent_power(s_over_p: float, priority: str) -> None:
    """By hand, at 1.08 pu: volt-watt leaves half of rated active, volt-var takes 0.44 of rated apparent power.

    At 1.06 volt-watt leaves all of it: what does not fit beside the reactive power gives way by priority.
    """
    settings = replace(PRESETS["ieee_1547_b"], priority=priority)
    p_rated, s_rated = np.array([10_000.0]), np.array([10_000.0 * s_over_p])
    v, sun = np.array([[1.08], [1.06]]), np.full((2, 1), 12_000.0)
    p_w, q_var = inverter_output(settings, v, sun, s_rated, p_rated)
    assert (p_w[0, 0], q_var[0, 0]) == pytest.approx((5_000.0, -4_400 * s_over_p))
    asked_var = 0.44 * 10_000 * s_over_p * (1.06 - 1.02) / 0.06
    room_w = np.sqrt((10_000 * s_over_p) ** 2 - asked_var**2)
    room_var = 10_000 * np.sqrt(s_over_p**2 - 1)
    wanted = (min(10_000, room_w), -asked_var) if priority == "var" else (10_000, -min(asked_var, room_var))
    assert (p_w[1, 0], q_var[1, 0]) == pytest.approx(wanted)


@pytest.mark.parametrize(("category", "preset"), [("CAT_A", "ieee_1547_a"), ("CAT_B", "ieee_1547_b")])
def test_an_oversized_inverter_is_openders(category: str, preset: str) -> None:
    """110 kVA for 100 kW: reactive power by the apparent, volt-watt by the active rating, var before watt."""
    voltages = np.array([0.91, 0.95, 1.0, 1.03, 1.05, 1.065, 1.08, 1.09])
    for available in (0.5, 1.0):
        p_w, q_var = inverter_output(
            PRESETS[preset], voltages[:, None], np.full((8, 1), available * S_VA), np.array([1.1 * S_VA]),
            np.array([S_VA]),
        )  # fmt: skip
        expected = np.array([opender(category, v, available, 1.1 * S_VA) for v in voltages])
        np.testing.assert_allclose(p_w[:, 0], expected[:, 0], atol=0.02)
        np.testing.assert_allclose(q_var[:, 0], expected[:, 1], atol=0.02)


def test_vde_cos_phi_of_p() -> None:
    """Cos phi 1 up to half of rated active power, 0.90 at rated power, linear between."""
    settings = InverterSettings(watt_var=VDE_4105_WATT_VAR_LARGE)
    for share, cos in ((0.3, 1.0), (0.5, 1.0), (0.75, 0.95), (1.0, 0.90)):
        p = share * 0.9 * S_VA
        p_w, q_var = inverter_output(
            settings, np.ones((1, 1)), np.array([[p]]), np.array([S_VA]), np.array([0.9 * S_VA])
        )
        assert p_w[0, 0] == pytest.approx(p)
        assert p / np.hypot(p, q_var[0, 0]) == pytest.approx(cos, abs=2e-4)


@pytest.mark.parametrize(
    "bad", [((1.0, 1.0), (0.0, 1.0)), ((1.1, 1.0), (0.0, 1.0)), ((1.0,), (1.0, 2.0)), ((), ())]
)
def test_curves_that_are_no_function(bad: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    with pytest.raises(GridInputError, match="rising"):
        Curve(*bad)


def test_contradicting_settings() -> None:
    with pytest.raises(GridInputError, match="cannot both"):
        InverterSettings(volt_var=IEEE_1547_B_VOLT_VAR, watt_var=VDE_4105_WATT_VAR_LARGE)
    with pytest.raises(GridInputError, match="power_factor"):
        InverterSettings(power_factor=0.0)


def test_fixed_point_on_one_line_by_bisection(two_bus_net: Net) -> None:
    """Volt-var alone on a line: the oracle finds the voltage by bisection of the line's own equation."""
    r, x, p = 0.2, 0.2, 30_000.0
    feeder = feeder_from_net(two_bus_net(r_ohm=r, x_ohm=x, p_mw=0.0), "line", "test")
    settings = InverterSettings(volt_var=IEEE_1547_B_VOLT_VAR)
    rated = 40_000.0

    def mismatch(v: float) -> float:
        q = float(IEEE_1547_B_VOLT_VAR(np.array(v))) * rated
        u = v * 400.0
        # |U0|^2 = |U - Z conj(S/U)|^2 with U real
        return abs(u - (r + 1j * x) * np.conj((p + 1j * q) / u)) - 400.0

    low, high = 0.95, 1.2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if mismatch(middle) < 0 else (low, middle)
    for name in ("power_grid_model", "pandapower", "opendss"):
        found = solve_with_inverters(
            make_engine(feeder, name),
            np.zeros((1, 1)),
            np.zeros((1, 1)),
            InverterFleet(settings, np.array([0]), np.array([rated])),
            np.array([[p]]),
        )
        assert found.converged.all()
        assert found.residual_pu[0] <= 1e-4
        assert found.state.v_pu[0, 1] == pytest.approx(low, abs=2e-5)


def test_many_scenarios_at_once_are_each_alone(rural: Feeder) -> None:
    engine = make_engine(rural, "power_grid_model")
    p, q = nominal_powers(rural)
    rng = np.random.default_rng(4)
    factor = 0.4 * rng.random((6, 1))
    points = np.arange(0, len(rural.points), 2)
    fleet = InverterFleet(PRESETS["ieee_1547_b"], points, np.full(len(points), 10_000.0))
    available = rng.random((6, 1)) * fleet.s_rated_va
    together = solve_with_inverters(engine, p * factor, q * factor, fleet, available)
    assert together.converged.all()
    for k in range(6):
        alone = solve_with_inverters(
            engine, (p * factor[k])[None], (q * factor[k])[None], fleet, available[k : k + 1]
        )
        assert np.array_equal(alone.q_var[0], together.q_var[k])
    passive = solve_with_inverters(
        engine, p * factor, q * factor, InverterFleet(PRESETS["unity"], points, fleet.s_rated_va), available
    )
    assert together.state.v_pu.max() < passive.state.v_pu.max() - 0.005


def test_a_cliff_is_flagged_not_hidden(two_bus_net: Net) -> None:
    """A curve steeper than the feeder has no fixed point that relaxation holds: flagged, with its residual."""
    feeder = feeder_from_net(two_bus_net(r_ohm=0.5, x_ohm=0.5, p_mw=0.0), "line", "test")
    cliff = Curve((1.0499999, 1.05), (1.0, -1.0))
    fleet = InverterFleet(InverterSettings(volt_var=cliff), np.array([0]), np.array([30_000.0]))
    found = solve_with_inverters(
        make_engine(feeder, "power_grid_model"),
        np.zeros((1, 1)),
        np.zeros((1, 1)),
        fleet,
        np.array([[5_000.0]]),
    )
    assert not found.converged.any()
    assert found.residual_pu[0] > 1e-4


def test_a_power_flow_that_fails_is_flagged(street: Feeder) -> None:
    p, q = nominal_powers(street)
    fleet = InverterFleet(PRESETS["ieee_1547_b"], np.array([0]), np.array([5_000.0]))
    factor = np.array([[1.0], [60.0]])
    found = solve_with_inverters(
        make_engine(street, "power_grid_model"), p * factor, q * factor, fleet, np.full((2, 1), 4_000.0)
    )
    assert found.converged.tolist() == [True, False]


def test_wrong_fleets_are_refused(street: Feeder) -> None:
    engine = make_engine(street, "power_grid_model")
    zero = np.zeros((1, len(street.points)))
    with pytest.raises(GridInputError, match="fit"):
        solve_with_inverters(
            engine, zero, zero, InverterFleet(PRESETS["unity"], np.array([0]), np.ones(2)), zero[:, :1]
        )
    with pytest.raises(GridInputError, match="no rated"):
        solve_with_inverters(
            engine, zero, zero, InverterFleet(PRESETS["unity"], np.array([0]), np.zeros(1)), zero[:, :1]
        )

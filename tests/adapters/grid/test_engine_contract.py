"""What every grid engine must do, run over every engine."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.grid.compare import nominal_powers
from adapters.grid.engine import ModelError
from adapters.grid.errors import GridInputError, UnsupportedElementError
from adapters.grid.factory import ENGINE_NAMES, make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.pandapower_net import feeder_from_net

FIELDS = ("v_pu", "loading_percent", "p_branch_w", "p_slack_w", "q_slack_var", "loss_w")
Net = Callable[..., Any]
engines = pytest.mark.parametrize("name", ENGINE_NAMES)


def scaled(feeder: Feeder, *factors: float) -> tuple[np.ndarray, np.ndarray]:
    p, q = nominal_powers(feeder)
    column = np.array(factors)[:, None]
    return p * column, q * column


@engines
def test_one_line_by_hand(name: str, two_bus_net: Net) -> None:
    """Constant power P over a resistance R at U: V = (1 + sqrt(1 - 4 R P / U^2)) / 2."""
    feeder = feeder_from_net(two_bus_net(r_ohm=0.1, p_mw=0.01), "two", "test")
    state = make_engine(feeder, name).solve(np.array([[-10_000.0]]), np.zeros((1, 1)))
    v = (1 + np.sqrt(1 - 4 * 0.1 * 10_000 / 400**2)) / 2
    current_a = 10_000 / (np.sqrt(3) * 400 * v)
    assert state.v_pu[0] == pytest.approx([1.0, v], abs=1e-9)
    assert state.loading_percent[0, 0] == pytest.approx(current_a, rel=1e-8)  # rated 100 A
    assert state.loss_w[0] == pytest.approx(3 * 0.1 * current_a**2, rel=1e-6)
    assert state.p_slack_w[0] == pytest.approx(10_000 + state.loss_w[0], abs=0.01)
    assert state.p_branch_w[0, 0] == pytest.approx(state.p_slack_w[0], abs=0.01)
    assert state.q_slack_var[0] == pytest.approx(0, abs=0.01)


@engines
def test_shapes_and_signs(name: str, street: Feeder) -> None:
    p, q = scaled(street, 1.0, 0.0, -1.0)
    state = make_engine(street, name).solve(p, q)
    assert state.v_pu.shape == (3, street.n_bus)
    assert state.loading_percent.shape == state.p_branch_w.shape == (3, street.n_branch)
    assert (
        state.p_slack_w.shape
        == state.q_slack_var.shape
        == state.loss_w.shape
        == state.converged.shape
        == (3,)
    )
    assert state.converged.all()
    assert state.p_slack_w[0] > 0 > state.p_slack_w[2]  # loads import, generation exports
    assert state.v_pu[0].min() < state.v_pu[1].min()
    assert state.v_pu[2].max() > state.v_pu[1].max()
    assert (state.loss_w > 0).all()
    trafo = street.branch_kind.index("trafo")
    assert state.p_branch_w[0, trafo] == pytest.approx(state.p_slack_w[0], rel=1e-6)


@engines
def test_power_balance(name: str, rural: Feeder) -> None:
    p, q = scaled(rural, 0.2, 1.0, -0.5)
    state = make_engine(rural, name).solve(p, q)
    tolerance_w = 0.5 if name == "opendss" else 0.01  # of 350 kW
    assert p.sum(axis=1) + state.p_slack_w - state.loss_w == pytest.approx(np.zeros(3), abs=tolerance_w)


@engines
def test_a_scenario_that_diverges_is_marked_and_leaves_the_others(name: str, street: Feeder) -> None:
    p, q = scaled(street, 1.0, 60.0, 0.5)
    engine = make_engine(street, name)
    state = engine.solve(p, q)
    assert state.converged.tolist() == [True, False, True]
    for field in FIELDS:
        assert np.isnan(getattr(state, field)[1]).all(), field
    alone = engine.solve(p[[0, 2]], q[[0, 2]])
    for field in FIELDS:
        np.testing.assert_allclose(getattr(state, field)[[0, 2]], getattr(alone, field), rtol=1e-9, atol=1e-9)


FAR = (-60, -50, -44, -32, -20, -14, -12, -10, 3.5, 4.0, 4.4, 5.0, 8.0)


@engines
def test_what_converges_far_out_is_the_feeders_own_solution(name: str, street: Feeder) -> None:
    """Feeding in many times the rated load, Newton's method can end with collapsed or reversed voltages.

    Such a state satisfies every equation. OpenDSS's fixed point cannot reach it, so what it finds is the oracle; where
    it finds nothing, a voltage that feeding in has lowered cannot be.
    """
    p, q = scaled(street, *FAR)
    state, oracle = (make_engine(street, each).solve(p, q) for each in (name, "opendss"))
    both = state.converged & oracle.converged
    assert both.sum() >= 5
    assert state.v_pu[both] == pytest.approx(oracle.v_pu[both], abs=1e-4)
    alone = state.converged & ~oracle.converged
    assert all(state.v_pu[row].min() > (1.0 if FAR[row] < 0 else 0.5) for row in np.flatnonzero(alone))


@engines
def test_the_upper_of_two_solutions_by_hand(name: str, two_bus_net: Net) -> None:
    """x² - x + R P / U² = 0 of a resistive line: up to the tip of the curve (U² / 4 R = 400 kW) it is the upper root."""
    feeder = feeder_from_net(two_bus_net(r_ohm=0.1, p_mw=0.01), "two", "test")
    p = np.array([[-399e3], [-300e3], [-100e3], [200e3], [800e3], [2e6], [5e6], [20e6]])
    state = make_engine(feeder, name).solve(p, np.zeros_like(p))
    upper = (1 + np.sqrt(1 + 4 * 0.1 * p[:, 0] / 400**2)) / 2
    assert state.converged[1:4].all()
    assert state.v_pu[state.converged, 1] == pytest.approx(upper[state.converged], abs=1e-5)


@engines
def test_all_scenarios_diverge(name: str, street: Feeder) -> None:
    p, q = scaled(street, 60.0, 80.0)
    assert not make_engine(street, name).solve(p, q).converged.any()


@engines
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_input_is_refused_by_name(name: str, bad: float, street: Feeder) -> None:
    p, q = scaled(street, 1.0, 1.0)
    p[1, 7] = bad
    engine = make_engine(street, name)
    with pytest.raises(
        GridInputError, match=rf"p_gen_w.*scenario 1.*{street.points[7].name}$|{street.points[7].name}"
    ):
        engine.solve(p, q)
    with pytest.raises(GridInputError, match="q_gen_var"):
        engine.solve(q, p)


@engines
def test_wrong_shapes_are_refused(name: str, street: Feeder) -> None:
    p, q = scaled(street, 1.0)
    engine = make_engine(street, name)
    for wrong_p, wrong_q in ((p[0], q[0]), (p[:, :-1], q[:, :-1]), (p, q[:, :-1]), (np.vstack([p, p]), q)):
        with pytest.raises(GridInputError, match="shape"):
            engine.solve(wrong_p, wrong_q)


@engines
def test_order_of_scenarios_does_not_matter_and_input_is_left_alone(name: str, rural: Feeder) -> None:
    p, q = scaled(rural, 0.1, 0.6, 1.0, -0.4)
    engine = make_engine(rural, name)
    before = p.copy(), q.copy()
    forward = engine.solve(p, q)
    assert np.array_equal(p, before[0])
    assert np.array_equal(q, before[1])
    kept = {field: getattr(forward, field).copy() for field in FIELDS}
    order = [2, 0, 3, 1]
    shuffled = engine.solve(p[order], q[order])
    for field in FIELDS:
        assert np.array_equal(getattr(forward, field), kept[field], equal_nan=True), "a later call changed it"
        assert np.array_equal(getattr(shuffled, field), kept[field][order], equal_nan=True), field


@engines
def test_no_scenarios_and_no_points(name: str, street: Feeder, two_bus_net: Net) -> None:
    empty = np.zeros((0, len(street.points)))
    assert make_engine(street, name).solve(empty, empty).v_pu.shape == (0, street.n_bus)
    net = two_bus_net()
    net.load = net.load.iloc[:0]
    bare = feeder_from_net(net, "bare", "test")
    state = make_engine(bare, name).solve(np.zeros((2, 0)), np.zeros((2, 0)))
    assert state.v_pu == pytest.approx(np.ones((2, 2)))


@engines
def test_impedance_error(name: str, two_bus_net: Net) -> None:
    """Twice the impedance is the same line twice as long."""
    wrong = feeder_from_net(two_bus_net(0.1, 0.05), "two", "test")
    right = feeder_from_net(two_bus_net(0.2, 0.1), "two", "test")
    p, q = np.array([[-20_000.0]]), np.array([[-5_000.0]])
    doubled = make_engine(wrong, name, ModelError(line_impedance_factor=2.0)).solve(p, q)
    expected = make_engine(right, name).solve(p, q)
    np.testing.assert_allclose(doubled.v_pu, expected.v_pu, atol=1e-9)
    assert not np.allclose(doubled.v_pu, make_engine(wrong, name).solve(p, q).v_pu, atol=1e-3)


@engines
def test_source_voltage_error(name: str, street: Feeder) -> None:
    p, q = scaled(street, 0.0)
    state = make_engine(street, name, ModelError(source_voltage_pu=0.97)).solve(p, q)
    assert state.v_pu[0, street.slack_bus] == pytest.approx(0.97, abs=1e-9)
    assert state.v_pu[0] == pytest.approx(np.full(street.n_bus, 0.97), abs=2e-3)


@engines
def test_tap_error_moves_the_voltage_by_its_step(name: str, rural: Feeder) -> None:
    """A ratio tap of 2.5 % on the high-voltage side: at rest the low voltage is 1 / (1 + 0.025 n)."""
    p, q = scaled(rural, 0.0)
    low = int(rural.branch_to[rural.branch_kind.index("trafo")])
    neutral = make_engine(rural, name, ModelError(tap_pos=0)).solve(p, q).v_pu[0, low]
    for position in (-2, -1, 1, 2):
        state = make_engine(rural, name, ModelError(tap_pos=position)).solve(p, q)
        assert state.v_pu[0, low] == pytest.approx(neutral / (1 + 0.025 * position), abs=2e-5)
    with pytest.raises(GridInputError, match=r"-2\.\.2.*LV2\.101-Trafo"):
        make_engine(rural, name, ModelError(tap_pos=3))


@engines
def test_tap_error_without_a_tap_is_refused(name: str, baran_wu: Feeder) -> None:
    with pytest.raises(GridInputError, match="no transformer"):
        make_engine(baran_wu, name, ModelError(tap_pos=1))


@engines
def test_baran_wu_as_published(name: str, baran_wu: Feeder) -> None:
    """Baran and Wu 1989: 202.68 kW of losses, lowest voltage 0.9131 pu at their bus 18."""
    p, q = scaled(baran_wu, 1.0)
    state = make_engine(baran_wu, name).solve(p, q)
    assert state.loss_w[0] / 1e3 == pytest.approx(202.68, abs=0.005)
    assert state.v_pu[0].min() == pytest.approx(0.9131, abs=5e-5)
    assert int(np.argmin(state.v_pu[0])) == 17
    assert np.isnan(state.loading_percent).all()  # the case states no ratings


@engines
def test_rich_net_against_pandapower_as_it_came(name: str, rich_net: Net) -> None:
    """Every kind of element at once; the oracle is pandapower on the net before we touched it."""
    import pandapower as pp

    original = rich_net()
    original.sgen["in_service"] = original.storage["in_service"] = False
    pp.runpp(original, trafo_model="pi", calculate_voltage_angles=True, tolerance_mva=1e-10, numba=False)
    feeder = feeder_from_net(rich_net(), "rich", "test")
    p, q = scaled(feeder, 1.0)
    state = make_engine(feeder, name).solve(p, q)
    by_name = dict(zip(original.bus.name, original.res_bus.vm_pu, strict=True))
    assert state.v_pu[0] == pytest.approx([by_name[bus] for bus in feeder.bus_names], abs=1e-8)
    loading = dict(zip(original.line.name, original.res_line.loading_percent, strict=True))
    loading |= dict(zip(original.trafo.name, original.res_trafo.loading_percent, strict=True))
    assert state.loading_percent[0] == pytest.approx([loading[b] for b in feeder.branch_names], abs=1e-5)
    assert state.p_slack_w[0] == pytest.approx(original.res_ext_grid.p_mw.sum() * 1e6, abs=0.5)
    assert state.q_slack_var[0] == pytest.approx(original.res_ext_grid.q_mvar.sum() * 1e6, abs=5)


def test_unknown_engine(two_bus_net: Net) -> None:
    feeder = feeder_from_net(two_bus_net(), "two", "test")
    with pytest.raises(GridInputError, match="power_grid_model, pandapower"):
        make_engine(feeder, "matpower")


def test_power_grid_model_names_what_it_cannot_model(rich_net: Net) -> None:
    import pandapower as pp

    net = rich_net()
    pp.create_gen(net, 1, 1.0, name="gas turbine")
    pp.create_impedance(net, 3, 4, 0.01, 0.01, 1.0, name="choke")
    net.trafo.loc[0, "shift_degree"] = 45.0
    net.trafo.loc[1, "tap_changer_type"] = "Ideal"
    feeder = feeder_from_net(net, "odd", "test")
    with pytest.raises(UnsupportedElementError) as caught:
        make_engine(feeder, "power_grid_model")
    text = " ".join(caught.value.elements)
    for named in ("gas turbine", "choke", "hv-mv (phase shift of 45", "mv-lv (ideal phase shifter"):
        assert named in text
    p, q = nominal_powers(feeder)
    assert make_engine(feeder, "pandapower").solve(p[None], q[None]).converged.all()


def test_what_the_core_did_not_write_is_no_result(street: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    p, q = scaled(street, 1.0)
    engine = make_engine(street, "power_grid_model")
    assert engine.solve(p, q).converged.all()
    monkeypatch.setattr(engine._model, "calculate", lambda *arguments: [])
    assert not engine.solve(p, q).converged.any()


def test_small_and_large_batches_agree_to_the_bit(street: Feeder) -> None:
    """power-grid-model solves small batches one by one, and large ones as a batch of its own."""
    p, q = scaled(street, 1.0, 60.0, 0.5, 0.2, 2.0, 3.0, 0.0)
    engine = make_engine(street, "power_grid_model")
    whole = engine.solve(p, q)
    assert whole.converged.tolist() == [True, False, True, True, True, True, True]
    for rows in ([0, 1], [2], [3, 4, 5, 6]):
        part = engine.solve(p[rows], q[rows])
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(part, field), getattr(whole, field)[rows], field)

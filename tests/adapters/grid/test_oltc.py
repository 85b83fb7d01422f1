"""The on-load tap changer of the plant."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from adapters.grid.compare import nominal_powers
from adapters.grid.engine import ModelError
from adapters.grid.errors import GridInputError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.oltc import Following, TapChanger, TapControl
from adapters.grid.pandapower_net import feeder_from_net

Net = Callable[..., Any]


def secondary(feeder: Feeder, state: Any) -> float:
    return float(state.v_pu[0, feeder.branch_to[feeder.branch_kind.index("trafo")]])


def best_positions(feeder: Feeder, changer: TapChanger, p: Any, q: Any, control: TapControl) -> list[int]:
    """Every position whose voltage is in the band, by trying all."""
    found = []
    for position in range(changer.low, changer.high + 1):
        v = secondary(feeder, changer.engine((position,)).solve(p, q))
        if abs(v - control.v_set_pu) <= control.band_pu / 2:
            found.append(position)
    return found


@pytest.mark.parametrize("engine", ["power_grid_model", "pandapower", "opendss"])
def test_tap_reaches_the_band(engine: str, rural: Feeder) -> None:
    control = TapControl(v_set_pu=1.0, band_pu=0.03)
    changer = TapChanger(rural, engine, control)
    assert changer.position == -1
    p, q = nominal_powers(rural)
    for factor in (0.0, 1.0):
        state = changer.settle(factor * p[None], factor * q[None])
        allowed = best_positions(rural, changer, factor * p[None], factor * q[None], control)
        assert changer.position in allowed
        assert abs(secondary(rural, state) - 1.0) <= 0.015


def test_tap_rests_within_its_band(rural: Feeder) -> None:
    changer = TapChanger(rural, "power_grid_model", TapControl(1.05, 0.06))
    p, q = nominal_powers(rural)
    for factor in (0.0, 0.3, 0.1, 0.4):
        changer.settle(factor * p[None], factor * q[None])
        assert changer.position == -1


def test_tap_stops_at_the_end_of_its_range(rural: Feeder) -> None:
    changer = TapChanger(rural, "power_grid_model", TapControl(0.9, 0.03))
    zero = np.zeros((1, len(rural.points)))
    state = changer.settle(zero, zero)
    assert changer.position == changer.high == 2
    assert secondary(rural, state) > 0.915


def test_tap_on_the_low_voltage_side_moves_the_other_way(rich_net: Net) -> None:
    net = rich_net()
    net.trafo.loc[0, "tap_changer_type"] = None
    net.trafo.loc[0, "tap_side"] = None
    feeder = feeder_from_net(net, "rich", "test")
    changer = TapChanger(feeder, "power_grid_model", TapControl(1.0, 0.03))
    p, q = nominal_powers(feeder)
    before = changer.position
    start = changer.engine().solve(p[None], q[None]).v_pu[0, feeder.bus_names.index("lv")]
    after = changer.settle(p[None], q[None]).v_pu[0, feeder.bus_names.index("lv")]
    assert start > 1.015
    assert changer.position < before
    assert abs(after - 1.0) <= 0.015


BOTH = (TapControl(1.0, 0.032, "hv-mv"), TapControl(1.0, 0.052, "mv-lv"))


def test_two_transformers_in_series_each_hold_their_own_bus(rich_net: Net) -> None:
    """Oracle: of all pairs of positions, those at which both secondaries are in their bands."""
    feeder = feeder_from_net(rich_net(), "rich", "test")
    p, q = nominal_powers(feeder)
    rows = [feeder.bus_names.index(name) for name in ("mv", "lv")]
    bands = np.array([0.016, 0.026])
    changer = TapChanger(feeder, "power_grid_model", BOTH)
    assert changer.positions == (-2, -1) and [tap.name for tap in changer.taps] == ["hv-mv", "mv-lv"]
    for factor in (1.0, 6.0):
        state = changer.settle(factor * p[None], factor * q[None])
        assert (np.abs(state.v_pu[0, rows] - 1.0) <= bands).all()
        allowed = [
            (a, b)
            for a in range(-9, 10)
            for b in range(-9, 10)
            if (np.abs(changer.engine((a, b)).solve(factor * p[None], factor * q[None]).v_pu[0, rows] - 1.0)
                <= bands).all()
        ]  # fmt: skip
        assert changer.positions in allowed and len(allowed) < 12
    assert changer.positions != (-2, -1)


def test_the_tap_nearer_to_the_source_moves_first_and_one_that_is_not_named_stays(rich_net: Net) -> None:
    feeder = feeder_from_net(rich_net(), "rich", "test")
    p, q = nominal_powers(feeder)
    low = ModelError(source_voltage_pu=0.9)
    seen: list[tuple[int, ...]] = []
    both = TapChanger(feeder, "power_grid_model", BOTH, low)
    both.rest(lambda engine: (seen.append(both.positions), engine.solve(p[None], q[None]))[1], lambda s: s)
    first = [before for before in seen if before[1] != -1][:1]
    done = both.positions[0]
    assert done < -2 and all(before[0] == done for before in first), "the lower tap waits for the upper one"
    alone = TapChanger(feeder, "power_grid_model", BOTH[1], low)
    alone.settle(p[None], q[None])
    assert alone.positions[0] == -2 and alone.positions[1] > both.positions[1]


def test_taps_that_would_work_against_each_other_are_refused_by_name(rich_net: Net) -> None:
    net = rich_net()
    pp.create_transformer_from_parameters(
        *(net, 1, 2, 0.4, 20, 0.42, 1.4, 6, 0.6, 0.3), 330, name="second", vector_group="Dyn", tap_side="lv",
        tap_neutral=0, tap_min=-9, tap_max=9, tap_step_degree=0, tap_pos=0, tap_step_percent=2.5,
        tap_changer_type="Ratio",
    )  # fmt: skip
    feeder = feeder_from_net(net, "rich", "test")
    with pytest.raises(GridInputError, match="mv-lv: its secondary is fed another way"):
        TapChanger(feeder, "power_grid_model", TapControl(1.0, 0.06))
    assert TapChanger(feeder, "power_grid_model", BOTH[0]).taps[0].name == "hv-mv"
    with pytest.raises(GridInputError, match="no transformer 'mvlv' with a tap; there is 'hv-mv', 'mv-lv'"):
        TapChanger(feeder, "power_grid_model", TapControl(1.0, 0.06, "mvlv"))


def test_the_operator_believes_the_plants_positions(rich_net: Net) -> None:
    feeder = feeder_from_net(rich_net(), "rich", "test")
    p, q = nominal_powers(feeder)
    following = Following(feeder, "power_grid_model", (-2, -1))
    plan = make_engine(feeder, "power_grid_model").solve(p[None], q[None]).v_pu
    assert np.array_equal(following.solve(p[None], q[None]).v_pu, plan)
    before = following.at()
    following.positions = (-4, 1)
    oracle = make_engine(feeder, "pandapower", ModelError(tap_positions=(-4, 1)))
    moved = following.solve(p[None], q[None]).v_pu
    np.testing.assert_allclose(moved, oracle.solve(p[None], q[None]).v_pu, atol=1e-7)
    assert np.array_equal(before.solve(p[None], q[None]).v_pu, plan), "what was frozen stays"


def test_a_power_flow_that_fails_moves_nothing(rural: Feeder) -> None:
    changer = TapChanger(rural, "power_grid_model", TapControl())
    p, q = nominal_powers(rural)
    assert not changer.settle(80 * p[None], 80 * q[None]).converged[0]
    assert changer.position == -1


def test_what_is_refused(rural: Feeder, baran_wu: Feeder) -> None:
    with pytest.raises(GridInputError, match="never rest"):
        TapChanger(rural, "power_grid_model", TapControl(1.0, 0.02))
    with pytest.raises(GridInputError, match="has none"):
        TapChanger(baran_wu, "power_grid_model", TapControl())
    with pytest.raises(GridInputError, match="outside the range"):
        TapChanger(rural, "power_grid_model", TapControl(), ModelError(tap_pos=5)).engine()

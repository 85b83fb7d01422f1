"""The on-load tap changer of the plant."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.grid.compare import nominal_powers
from adapters.grid.engine import ModelError
from adapters.grid.errors import GridInputError
from adapters.grid.feeder import Feeder
from adapters.grid.oltc import TapChanger, TapControl
from adapters.grid.pandapower_net import feeder_from_net

Net = Callable[..., Any]


def secondary(feeder: Feeder, state: Any) -> float:
    return float(state.v_pu[0, feeder.branch_to[feeder.branch_kind.index("trafo")]])


def best_positions(feeder: Feeder, changer: TapChanger, p: Any, q: Any, control: TapControl) -> list[int]:
    """Every position whose voltage is in the band, by trying all."""
    found = []
    for position in range(changer.low, changer.high + 1):
        v = secondary(feeder, changer.engine(position).solve(p, q))
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


def test_a_power_flow_that_fails_moves_nothing(rural: Feeder) -> None:
    changer = TapChanger(rural, "power_grid_model", TapControl())
    p, q = nominal_powers(rural)
    assert not changer.settle(80 * p[None], 80 * q[None]).converged[0]
    assert changer.position == -1


def test_what_is_refused(rural: Feeder, baran_wu: Feeder) -> None:
    with pytest.raises(GridInputError, match="never rest"):
        TapChanger(rural, "power_grid_model", TapControl(1.0, 0.02))
    with pytest.raises(GridInputError, match="has 0"):
        TapChanger(baran_wu, "power_grid_model", TapControl())
    with pytest.raises(GridInputError, match="outside the range"):
        TapChanger(rural, "power_grid_model", TapControl(), ModelError(tap_pos=5)).engine()

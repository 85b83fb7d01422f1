"""A case with values that no power flow can be run with is refused, all of them named; odd but possible ones run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.grid.errors import GridInputError
from adapters.grid.pandapower_net import feeder_from_net

Net = Callable[..., Any]


@pytest.mark.parametrize(
    ("table", "column", "value", "says"),
    [
        ("line", "r_ohm_per_km", np.nan, r"line 0 \(twin cable\): r_ohm_per_km is nan; a finite number is needed"),
        ("line", "length_km", -0.3, r"line 0 \(twin cable\): length_km is -0.3; 0 or more is needed"),
        ("line", "max_i_ka", 0.0, r"line 0 \(twin cable\): max_i_ka is 0; above 0 is needed, or nothing"),
        ("line", "to_bus", 999, r"line 0 \(twin cable\): to_bus is 999; there is no such bus"),
        ("trafo", "sn_mva", 0.0, r"trafo 0 \(hv-mv\): sn_mva is 0; above 0 is needed"),
        ("trafo", "vkr_percent", 50.0, r"trafo 0 \(hv-mv\): vkr_percent 50 exceeds vk_percent 12"),
        ("ext_grid", "vm_pu", np.inf, r"ext_grid 0: vm_pu is inf; above 0 is needed"),
        ("bus", "vn_kv", 0.0, r"bus 0 \(hv\): vn_kv is 0; above 0 is needed"),
        ("shunt", "q_mvar", np.nan, r"shunt 0 \(capacitor\): q_mvar is nan; a finite number is needed"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be(rich_net: Net, table: str, column: str, value: float, says: str) -> None:
    net = rich_net()
    net[table].at[0, column] = value
    with pytest.raises(GridInputError, match=says):
        feeder_from_net(net, "rich", "test")


def test_all_are_told_at_once_and_what_is_out_of_service_is_not(rich_net: Net) -> None:
    net = rich_net()
    net.line.loc[0, "x_ohm_per_km"] = net.trafo.loc[1, "vk_percent"] = np.nan
    net.line.loc[2, "r_ohm_per_km"], net.line.loc[2, "in_service"] = np.nan, False
    with pytest.raises(GridInputError) as caught:
        feeder_from_net(net, "rich", "test")
    text = str(caught.value)
    assert "line 0 (twin cable)" in text and "trafo 1 (mv-lv)" in text and "line 2" not in text


def test_a_rating_that_is_unknown_is_none(rich_net: Net) -> None:
    net = rich_net()
    net.line.loc[0, "max_i_ka"] = np.nan
    assert np.isnan(feeder_from_net(net, "rich", "test").branch_rated_a[0])

"""Feeders, and small pandapower nets with what a real one may have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandapower as pp
import pytest

from adapters.grid.feeder import Feeder
from adapters.grid.source import load_feeder


def _loaded(source: str) -> Feeder:
    return load_feeder(source, Path())


@pytest.fixture(scope="session")
def street() -> Feeder:
    """The 44-bus SimBench street."""
    return _loaded("simbench:1-LV-semiurb4--2-sw")


@pytest.fixture(scope="session")
def rural() -> Feeder:
    """The 97-bus SimBench street whose transformer tap is off neutral."""
    return _loaded("simbench:1-LV-rural2--2-sw")


@pytest.fixture(scope="session")
def baran_wu() -> Feeder:
    return _loaded("pandapower:case33bw")


@pytest.fixture(scope="session")
def cigre_mv() -> Feeder:
    return _loaded('pandapower:create_cigre_network_mv(with_der="all")')


def _two_bus_net(r_ohm: float = 0.1, x_ohm: float = 0.0, p_mw: float = 0.01) -> Any:
    """An ideal 0.4 kV source, one line without capacitance, one load: solvable by hand."""
    net = pp.create_empty_network(f_hz=50)
    source, house = pp.create_bus(net, 0.4, name="source"), pp.create_bus(net, 0.4, name="house")
    pp.create_ext_grid(net, source, vm_pu=1.0)
    pp.create_line_from_parameters(net, source, house, 1.0, r_ohm, x_ohm, 0.0, 0.1, name="cable")
    pp.create_load(net, house, p_mw, name="house load")
    return net


def _rich_net() -> Any:
    """Parallel and derated lines, line conductance, taps on both sides, parallel transformers, a shunt, a loop."""
    net = pp.create_empty_network(f_hz=50)
    hv, mv, lv, end, far = (
        pp.create_bus(net, kv, name=name)
        for kv, name in ((110, "hv"), (20, "mv"), (0.4, "lv"), (0.4, "end"), (0.4, "far"))
    )
    pp.create_ext_grid(net, hv, vm_pu=1.02, va_degree=10.0)
    common = {"vector_group": "Dyn", "tap_neutral": 0, "tap_min": -9, "tap_max": 9, "tap_step_degree": 0}
    pp.create_transformer_from_parameters(
        *(net, hv, mv, 25, 110, 20, 0.41, 12, 14, 0.07), 150, name="hv-mv", parallel=2, **common,
        tap_side="hv", tap_pos=-2, tap_step_percent=1.5, tap_changer_type="Ratio",
    )  # fmt: skip
    pp.create_transformer_from_parameters(
        *(net, mv, lv, 0.4, 20, 0.42, 1.4, 6, 0.6, 0.3), 330, name="mv-lv", df=0.8, **common,
        tap_side="lv", tap_pos=-1, tap_step_percent=2.5, tap_changer_type="Ratio",
    )  # fmt: skip
    pp.create_line_from_parameters(
        *(net, lv, end, 0.3, 0.2, 0.08, 210, 0.27), parallel=2, df=0.9, g_us_per_km=30.0, name="twin cable"
    )
    pp.create_line_from_parameters(net, end, far, 0.2, 0.4, 0.08, 210, 0.14, name="cable")
    pp.create_line_from_parameters(net, lv, far, 0.5, 0.4, 0.08, 0, 0.14, g_us_per_km=50.0, name="ring")
    pp.create_shunt(net, end, q_mvar=-0.02, p_mw=0.001, vn_kv=0.41, step=2, name="capacitor")
    pp.create_load(net, end, 0.06, 0.02, name="shop", scaling=0.5)
    pp.create_load(net, far, 0.04, 0.01, name="house")
    pp.create_sgen(net, far, 0.03, name="roof", type="PV")
    pp.create_storage(net, lv, 0.02, 0.04, min_p_mw=-0.03, max_p_mw=0.02, name="street battery")
    return net


def _single_phase_net(shift_degree: float = 150.0, vector_group: str = "Dyn") -> Any:
    """Houses on single phases, one three-phase, behind a transformer."""
    net = _two_bus_net(r_ohm=0.05, x_ohm=0.02)
    net.load = net.load.iloc[:0]
    net.line["r0_ohm_per_km"], net.line["x0_ohm_per_km"], net.line["c0_nf_per_km"] = 0.2, 0.06, 0.0
    lv, mv = 0, pp.create_bus(net, 10.0, name="mv")
    pp.create_transformer_from_parameters(
        *(net, mv, lv, 0.1, 10, 0.4, 1.2, 4, 0.3, 0.4), shift_degree, vector_group=vector_group, vk0_percent=4, vkr0_percent=1.2,
        mag0_percent=100, mag0_rx=0, si0_hv_partial=0.9, name="trafo",
    )  # fmt: skip
    net.ext_grid["bus"] = mv
    end = pp.create_bus(net, 0.4, name="end")
    pp.create_line_from_parameters(
        *(net, 1, end, 0.5, 0.3, 0.08, 200, 0.1), r0_ohm_per_km=1.2, x0_ohm_per_km=0.3, c0_nf_per_km=100, name="spur"
    )  # fmt: skip
    pp.create_asymmetric_load(net, 1, p_a_mw=0.004, q_a_mvar=0.001, name="single")
    pp.create_asymmetric_load(net, end, p_a_mw=0.001, p_b_mw=0.001, p_c_mw=0.001, name="three")
    pp.create_asymmetric_load(net, end, p_b_mw=0.002, p_c_mw=0.003, name="two")
    return net


@pytest.fixture
def single_phase_net() -> Callable[..., Any]:
    return _single_phase_net


@pytest.fixture
def two_bus_net() -> Callable[..., Any]:
    return _two_bus_net


@pytest.fixture
def rich_net() -> Callable[[], Any]:
    return _rich_net

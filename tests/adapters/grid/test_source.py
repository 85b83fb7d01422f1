"""Feeders as they come in: what is understood, what is assumed, what is refused."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks
import pytest

from adapters.grid.compare import nominal_powers
from adapters.grid.errors import GridInputError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.pandapower_net import feeder_from_net
from adapters.grid.source import load_feeder

Net = Callable[..., Any]


def solved_as_it_came(net: Any) -> dict[str, float]:
    """Voltages by bus name from pandapower on the untouched net, without what becomes an asset."""
    net.sgen["in_service"] = net.storage["in_service"] = False
    pp.runpp(net, trafo_model="pi", calculate_voltage_angles=True, tolerance_mva=1e-10, numba=False)
    return dict(zip(net.bus.name, net.res_bus.vm_pu, strict=True))


@pytest.mark.filterwarnings("ignore:tap_dependency_table is missing:DeprecationWarning")
@pytest.mark.parametrize(
    "make",
    [
        pandapower.networks.case33bw,
        pandapower.networks.create_cigre_network_mv,
        pandapower.networks.create_cigre_network_lv,
        pytest.param(pandapower.networks.mv_oberrhein, marks=pytest.mark.slow),
        pandapower.networks.example_multivoltage,
        pandapower.networks.create_kerber_landnetz_freileitung_1,
    ],
)
def test_reduction_changes_no_voltage(make: Callable[[], Any]) -> None:
    """Open lines, fused busbars, dropped elements: the reduced net has the voltages of the net as it came."""
    net = make()
    net.bus["name"] = [f"b{i}" for i in net.bus.index]
    feeder = feeder_from_net(net, "net", "test")
    original = make()
    for table in ("trafo", "trafo3w"):
        if len(original[table]):
            original[table]["tap_changer_type"] = np.where(original[table].tap_side.notna(), "Ratio", None)
            original[table]["tap_dependency_table"] = False
    original.bus["name"] = [f"b{i}" for i in original.bus.index]
    expected = solved_as_it_came(original)
    p, q = nominal_powers(feeder)
    state = make_engine(feeder, "pandapower").solve(p[None], q[None])
    for row, bus in enumerate(feeder.bus_names):
        if bus in expected:  # the bus at an open end is ours alone
            assert state.v_pu[0, row] == pytest.approx(expected[bus], abs=1e-9), bus
    assert len(set(feeder.bus_names) & set(expected)) >= 0.4 * len(
        expected
    )  # the rest are busbars joined by switches


def test_rural_tap_is_honoured(rural: Feeder) -> None:
    """Measured: 1.0250 pu at rest with the tap of the case, 1.0089 where pandapower ignores it."""
    assert rural.native.trafo.tap_changer_type.tolist() == ["Ratio"]
    assert any("tap -1" in note for note in rural.notes)


def test_street_as_published(street: Feeder) -> None:
    assert (street.n_bus, len(street.points)) == (44, 58)
    assert sum(asset.kind == "pv" for asset in street.assets) == 6
    assert sum(asset.kind == "battery" for asset in street.assets) == 4
    battery = next(asset for asset in street.assets if asset.kind == "battery")
    assert battery.capacity_wh == pytest.approx(27_400)
    assert battery.p_rated_w == pytest.approx(13_700)
    assert battery.efficiency == pytest.approx(0.95)
    assert street.points[battery.point].profile == "H0-A"  # the battery's profile is Storage_PV5_H0-A
    lines = [i for i, kind in enumerate(street.branch_kind) if kind == "line"]
    assert street.branch_rated_a[lines[0]] == pytest.approx(270)
    assert street.branch_rated_va[street.branch_kind.index("trafo")] == pytest.approx(400_000)
    assert np.isfinite(street.xy).all()
    length = np.hypot(*(street.xy[street.branch_from] - street.xy[street.branch_to]).T)
    assert 1 < np.median(length[lines]) < 200  # metres


def test_rich_net_as_feeder(rich_net: Net) -> None:
    feeder = feeder_from_net(rich_net(), "rich", "test")
    shop, house, *extra = feeder.points
    assert (shop.name, shop.p_rated_w, shop.q_rated_var) == ("shop", 30_000, 10_000)  # scaling 0.5
    assert [point.name for point in extra] == ["street battery connection"]
    roof, battery = feeder.assets
    assert (roof.kind, roof.point, roof.p_rated_w) == ("pv", 1, 30_000)
    assert (battery.kind, battery.point, battery.p_rated_w) == ("battery", 2, 30_000)
    assert battery.capacity_wh == pytest.approx(40_000)
    assert feeder.branch_names == ("twin cable", "cable", "ring", "hv-mv", "mv-lv")
    assert feeder.branch_rated_a[:3] == pytest.approx([0.27e3 * 2 * 0.9, 140, 140])
    assert feeder.branch_rated_va[3:] == pytest.approx([50e6, 0.32e6])
    assert house.bus == feeder.bus_names.index("far")
    text = " ".join(feeder.notes)
    assert "street battery states no efficiency" in text
    assert "1 shunt element(s) stay" in text
    assert "computed tree" in text


def test_tree_layout_puts_the_source_on_top(rich_net: Net) -> None:
    feeder = feeder_from_net(rich_net(), "rich", "test")
    assert feeder.xy[feeder.slack_bus, 1] == feeder.xy[:, 1].max()
    assert len(np.unique(feeder.xy, axis=0)) == feeder.n_bus


def test_switches(two_bus_net: Net) -> None:
    """A zero-impedance switch joins buses, one with impedance is a line, an open one is nothing."""
    net = two_bus_net(x_ohm=0.05)
    joined, behind, stub = (pp.create_bus(net, 0.4, name=name) for name in ("joined", "behind", "stub"))
    pp.create_switch(net, 1, joined, et="b", closed=True)
    pp.create_switch(net, joined, behind, et="b", closed=True, z_ohm=0.05)
    pp.create_switch(net, behind, stub, et="b", closed=False)
    pp.create_load(net, behind, 0.02, name="load behind")
    original = solved_as_it_came(copy.deepcopy(net))
    feeder = feeder_from_net(net, "switches", "test")
    assert feeder.bus_names == ("source", "house", "behind")
    lines = np.array(feeder.branch_kind) == "line"
    wire_m, switch_m = feeder.branch_length_m[lines]
    assert wire_m == float(net.line.length_km.iloc[0]) * 1e3 and switch_m == pytest.approx(1.0)
    assert np.isnan(feeder.branch_length_m[~lines]).all()
    assert any("house = joined" in note for note in feeder.notes)
    assert any("stub" in note and "De-energised" in note for note in feeder.notes)
    p, q = nominal_powers(feeder)
    for name in ("power_grid_model", "pandapower"):
        state = make_engine(feeder, name).solve(p[None], q[None])
        assert state.v_pu[0] == pytest.approx([original[bus] for bus in feeder.bus_names], abs=1e-8)


def test_doubled_and_missing_names(two_bus_net: Net) -> None:
    net = two_bus_net()
    for name in ("house load", None, "house load"):
        pp.create_load(net, 1, 0.001, name=name)
    feeder = feeder_from_net(net, "names", "test")
    assert [p.name for p in feeder.points] == ["house load", "house load #2", "load 2", "house load #3"]
    assert any("more than once" in note for note in feeder.notes)


def test_isolated_load_is_refused_by_name(two_bus_net: Net) -> None:
    net = two_bus_net()
    island = pp.create_bus(net, 0.4, name="island")
    pp.create_load(net, island, 0.001, name="lighthouse")
    with pytest.raises(GridInputError, match=r"isolated.*lighthouse at bus island"):
        feeder_from_net(net, "island", "test")


def test_open_switch_that_cuts_a_load_off_is_refused(two_bus_net: Net) -> None:
    net = two_bus_net()
    pp.create_switch(net, 0, 0, et="l", closed=False)
    with pytest.raises(GridInputError, match="house load at bus house"):
        feeder_from_net(net, "cut", "test")


def test_no_external_grid_is_refused(two_bus_net: Net) -> None:
    net = two_bus_net()
    net.ext_grid["in_service"] = False
    with pytest.raises(GridInputError, match="no external grid"):
        feeder_from_net(net, "dark", "test")


def test_a_line_without_impedance_is_refused(two_bus_net: Net) -> None:
    net = two_bus_net()
    net.line[["r_ohm_per_km", "x_ohm_per_km"]] = 0.0
    with pytest.raises(GridInputError, match="without impedance"):
        feeder_from_net(net, "short", "test")


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("column", ["p_mw", "q_mvar"])
def test_a_load_that_is_no_number_is_refused(two_bus_net: Net, column: str, value: float) -> None:
    net = two_bus_net()
    net.load.loc[0, column] = value
    with pytest.raises(GridInputError, match="house load"):
        feeder_from_net(net, "bad", "test")


def test_bad_power_is_refused(two_bus_net: Net) -> None:
    net = two_bus_net()
    pp.create_sgen(net, 1, -0.01, name="odd plant")
    with pytest.raises(GridInputError, match="odd plant"):
        feeder_from_net(net, "bad", "test")


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("simbench:1-LV-rural2--2-wx", "nearest: 1-LV-rural2--2-sw"),
        ("simbench:", "allowed are"),
        ("pandapower:case33bx", "case33bw"),
        ("pandapower:os", "no function 'os'"),
        ("pandapower:__import__('os').system('true')", "not understood"),
        ("pandapower:create_cigre_network_mv(with_der='sun')", "failed"),
        ("pandapower:create_cigre_network_mv(with_der=open('x'))", "not understood"),
        ("missing.json", "does not exist"),
        ("matpower:case9", "allowed are"),
        ("grid.csv", "allowed are"),
    ],
)
def test_sources_that_are_not_understood(source: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(GridInputError, match=match):
        load_feeder(source, tmp_path)


def test_json_file(tmp_path: Path, rich_net: Net) -> None:
    pp.to_json(rich_net(), str(tmp_path / "rich.json"))
    feeder = load_feeder("rich.json", tmp_path)
    direct = feeder_from_net(rich_net(), "rich", "rich.json")
    assert feeder.bus_names == direct.bus_names
    assert feeder.points == direct.points
    assert feeder.name == "rich"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '"text"'])
def test_json_file_that_is_no_net(content: str, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(content)
    with pytest.raises(GridInputError, match=r"net\.json is not a pandapower"):
        load_feeder("net.json", tmp_path)


@pytest.mark.parametrize("escape", ['"', '\\"'])
def test_json_file_may_not_name_foreign_classes(escape: str, tmp_path: Path) -> None:
    text = '{"_module": "subprocess", "_class": "Popen", "_object": "{}"}'.replace('"', escape)
    (tmp_path / "net.json").write_text('{"x": "' + text + '"}')
    with pytest.raises(GridInputError, match=r"net\.json asks for Python classes of subprocess"):
        load_feeder("net.json", tmp_path)


def test_direct_current_is_refused(two_bus_net: Net) -> None:
    net = two_bus_net()
    pp.create_dcline(net, 0, 1, 0.01, 1, 0, 1.0, 1.0, name="dc link")
    with pytest.raises(GridInputError, match="dc link"):
        feeder_from_net(net, "dc", "test")

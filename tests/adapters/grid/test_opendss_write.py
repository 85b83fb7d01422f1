"""A feeder written as an OpenDSS file and read again."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from adapters.grid.errors import GridInputError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.opendss_write import dss_text, write_dss
from adapters.grid.pandapower_net import feeder_from_net
from adapters.grid.source import load_feeder

Net = Callable[..., Any]


def test_a_street_survives_its_file(street: Feeder, tmp_path: Path) -> None:
    path = tmp_path / "street.dss"
    assert write_dss(street, path) <= 1e-8
    again = load_feeder("street.dss", tmp_path)
    assert len(again.points) == len(street.points)
    assert [p.p_rated_w for p in again.points] == pytest.approx([p.p_rated_w for p in street.points])
    rated = again.branch_rated_a[~np.isnan(again.branch_rated_a)][::3]
    assert rated == pytest.approx(street.branch_rated_a[street.branch_rated_a > 0])
    # another state than the one that was compared on writing
    p = -np.linspace(500.0, 3000.0, len(street.points))[None]
    here = make_engine(street, "power_grid_model").solve(p, 0.2 * p)
    there = make_engine(again, "opendss").solve(p, 0.2 * p)
    row = [again.bus_names.index(f"b{i}.a") for i in range(street.n_bus)]
    assert there.v_pu[:, row] == pytest.approx(here.v_pu, abs=1e-7)


def test_names_stand_beside_numbers(street: Feeder) -> None:
    text = dss_text(street)
    assert f"! b0: {street.bus_names[0]}\n" in text and f"! p3: {street.points[3].name}\n" in text


def test_what_is_no_dss_file_or_one_already(street: Feeder, tmp_path: Path) -> None:
    with pytest.raises(GridInputError, match=r"must end in \.dss"):
        write_dss(street, tmp_path / "street.txt")
    write_dss(street, tmp_path / "street.dss")
    with pytest.raises(GridInputError, match="is an OpenDSS file already"):
        dss_text(load_feeder("street.dss", tmp_path))


def test_shunts_are_written_and_do_what_they_do_in_pandapower(rich_net: Net, tmp_path: Path) -> None:
    """A capacitor with losses, a reactor and a conductance alone, beside parallel lines, taps and a loop."""
    net = rich_net()
    pp.create_shunt(net, 4, q_mvar=0.015, name="reactor")
    pp.create_shunt(net, 2, q_mvar=0.0, p_mw=0.004, name="heater")
    feeder = feeder_from_net(net, "rich", "test")
    assert write_dss(feeder, tmp_path / "rich.dss") <= 1e-8
    text = (tmp_path / "rich.dss").read_text()
    assert "! Capacitor.s0: capacitor\n" in text and "! Reactor.s1: reactor\n" in text
    again = load_feeder("rich.dss", tmp_path)
    assert len(again.points) == len(feeder.points)
    row = [again.bus_names.index(f"b{i}.a") for i in range(feeder.n_bus)]
    p = np.array([[-20e3, 10e3, 5e3], [0, 0, 0]])
    there = make_engine(again, "opendss").solve(p, 0.1 * p)
    here = make_engine(feeder, "pandapower").solve(p, 0.1 * p)
    assert there.v_pu[:, row] == pytest.approx(here.v_pu, abs=1e-7)
    assert there.q_slack_var == pytest.approx(here.q_slack_var, abs=1.0)
    without = deepcopy(net)
    without.shunt = without.shunt.iloc[:0]
    bare = make_engine(feeder_from_net(without, "bare", "test"), "pandapower").solve(p, 0.1 * p)
    assert np.abs(bare.v_pu - here.v_pu).max() > 1e-3, "the shunts matter here"

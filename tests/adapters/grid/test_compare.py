"""The comparison that every run makes on loading."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from adapters.grid import compare
from adapters.grid.compare import compare_engines
from adapters.grid.engine import ModelError
from adapters.grid.errors import FeederNotSolvableError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.pandapower_net import feeder_from_net
from adapters.grid.pgm import PgmEngine

Net = Callable[..., Any]


@pytest.mark.parametrize(
    "fixture", ["street", pytest.param("rural", marks=pytest.mark.slow), "baran_wu", "cigre_mv"]
)
def test_engines_agree(fixture: str, request: pytest.FixtureRequest) -> None:
    found = compare_engines(request.getfixturevalue(fixture))
    assert found.agrees
    assert found.voltage is not None
    assert 0 < found.voltage.value <= 1e-8
    assert found.refused == ()
    assert found.t_model.value < 2e-5
    assert not found.t_model_warning
    assert len(found.states) == 3
    assert "agree" in found.sentences()[0]


def test_engines_agree_on_the_rich_net(rich_net: Net) -> None:
    found = compare_engines(feeder_from_net(rich_net(), "rich", "test"))
    assert found.agrees, found.sentences()


def test_a_wrong_engine_is_found_and_named(street: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = PgmEngine(street, ModelError(line_impedance_factor=1.001))
    monkeypatch.setattr(
        compare,
        "make_engine",
        lambda feeder, name: wrong if name == "power_grid_model" else make_engine(feeder, name),
    )
    found = compare_engines(street)
    assert not found.agrees
    assert found.voltage is not None
    assert found.voltage.value > 1e-5
    assert found.voltage.element in street.bus_names
    assert "DISAGREE" in found.sentences()[0]


def test_an_engine_that_does_not_converge_never_agrees(
    street: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = make_engine(street, "power_grid_model")

    class Broken:
        def solve(self, p: Any, q: Any) -> Any:
            state = real.solve(p, q)
            state.v_pu[1, 5] = np.nan
            return state

    monkeypatch.setattr(
        compare,
        "make_engine",
        lambda feeder, name: Broken() if name == "power_grid_model" else make_engine(feeder, name),
    )
    found = compare_engines(street)
    assert not found.agrees
    assert found.voltage is not None
    assert found.voltage.value == np.inf
    assert found.voltage.element == street.bus_names[5]


def test_a_large_magnetising_current_warns_of_the_transformer_model(rich_net: Net) -> None:
    net = rich_net()
    net.trafo["vk_percent"] = net.trafo["i0_percent"] = 20.0
    found = compare_engines(feeder_from_net(net, "rich", "test"))
    assert found.agrees
    assert found.t_model_warning
    assert "matters" in found.sentences()[1]


def test_every_engine_that_can_is_compared_loading_included(
    single_phase_net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Per phase pandapower is the third; one whose currents alone are off is found as well."""
    feeder = feeder_from_net(single_phase_net(), "houses", "test")
    found = compare_engines(feeder, every=True)
    assert found.agrees and found.phases is not None and found.phases_loading is not None
    assert 0 < found.phases.value < 1e-6 and found.phases_loading.value < 1e-3
    assert found.highest is not None and found.highest.value > 5 and found.loss_w > 0

    class Off:
        def __init__(self, engine: Any) -> None:
            self.engine = engine

        def solve(self, p: Any, q: Any) -> Any:
            state = self.engine.solve(p, q)
            state.loading_percent[:, 0] += 0.02
            return state

    monkeypatch.setattr(
        compare,
        "make_engine",
        lambda feeder, name: (Off if name == "pandapower" else lambda e: e)(make_engine(feeder, name)),
    )
    found = compare_engines(feeder, every=True)
    assert not found.agrees
    assert "pandapower DISAGREES" in found.sentences()[1] and feeder.branch_names[0] in found.sentences()[1]


def test_what_power_grid_model_cannot_model_runs_on_pandapower_alone(two_bus_net: Net) -> None:
    net = two_bus_net(r_ohm=0.05)
    far = pp.create_bus(net, 0.4, name="far")
    pp.create_impedance(net, 1, far, 0.01, 0.01, 0.1, name="choke")
    pp.create_load(net, far, 0.001)
    found = compare_engines(feeder_from_net(net, "choke", "test"))
    assert found.voltage is None and found.agrees
    assert any("choke" in element for element in found.refused)
    assert "stands alone" in found.sentences()[0]


def test_a_feeder_that_does_not_converge_is_refused(two_bus_net: Net) -> None:
    feeder = feeder_from_net(two_bus_net(r_ohm=0.1, p_mw=1.0), "heavy", "test")
    with pytest.raises(
        FeederNotSolvableError, match=r"heavy.*nominal load, without generation; it does at no load"
    ):
        compare_engines(feeder)

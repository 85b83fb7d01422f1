"""What ``twin feeder`` tells of a feeder."""

from pathlib import Path

import numpy as np
import pytest

from adapters.grid.describe import describe_feeder
from adapters.grid.feeder import Feeder
from adapters.grid.source import load_feeder


def test_rural_street(rural: Feeder) -> None:
    found = describe_feeder(rural)
    assert (found.places, found.bus_rows, found.lines, found.transformers) == (97, 97, 95, 1)
    assert (found.points, found.phases, found.pv_plants, found.batteries) == (118, (("abc", 118),), 11, 8)
    assert found.voltage_levels == ((20_000.0, 1), (400.0, 96))
    (tap,) = found.taps
    assert (tap.side, tap.position, tap.low, tap.high, tap.step_percent) == ("hv", -1, -2, 2, 2.5)
    limits = {limit.quantity: limit for limit in found.limits}
    assert limits["trafo rating"].high == pytest.approx(250_000)
    assert (limits["voltage"].low, limits["voltage"].high) in ((0.9, 1.1), (0.965, 1.055))
    assert sum(limit.elements for limit in found.limits if limit.quantity == "voltage") == 97
    assert dict(found.engines) == dict.fromkeys(("power_grid_model", "pandapower", "opendss"), "balanced")
    assert any("tap -1" in note for note in found.notes)


def test_missing_ratings_are_counted(baran_wu: Feeder) -> None:
    found = describe_feeder(baran_wu)
    (rating,) = [limit for limit in found.limits if limit.quantity == "line rating"]
    assert (rating.elements, rating.without) == (0, 32)
    assert np.isnan(rating.high)


def test_unbalanced_file() -> None:
    found = describe_feeder(load_feeder("ieee13/published_taps.dss", Path(__file__).parent / "data"))
    assert not found.balanced
    assert found.places == 16
    assert found.lines == 12
    assert dict(found.phases)["abc"] == 1
    engines = dict(found.engines)
    assert engines["opendss"] == "per phase"
    assert "OpenDSS file" in engines["pandapower"]

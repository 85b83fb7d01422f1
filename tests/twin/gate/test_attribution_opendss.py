"""Shares of a user's OpenDSS file: by its equivalent as by brute force, for every kind of limit."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from adapters.grid.compare import nominal_powers
from adapters.grid.factory import make_engine
from adapters.grid.opendss_write import write_dss
from adapters.grid.source import load_feeder
from twin.gate.attribution import attribute
from twin.gate.limits import Violation

DATA = Path(__file__).parents[2] / "adapters" / "grid" / "data"


def both(engine, element, seed=0, most=1.5):
    """Shares by the equivalent, and by power flows of OpenDSS alone."""
    p, q = nominal_powers(engine.feeder)
    rng = np.random.default_rng(seed)
    traded, reactive = p * rng.uniform(-1.2, most, len(p)), q * rng.uniform(0.5, most, len(p))
    plain = SimpleNamespace(feeder=engine.feeder, name="opendss", solve=engine.solve)
    return (attribute(each, p, q, traded, reactive, element) for each in (engine, plain))


def same(exact, brute, solves):
    size = np.abs(brute.share_of_change).max()
    assert exact.share_of_change == pytest.approx(brute.share_of_change, abs=2e-4 * size)
    assert exact.share_of_excess == pytest.approx(brute.share_of_excess, abs=2e-4 * size)
    assert exact.change == brute.change and exact.solves <= solves < brute.solves
    assert abs(exact.residual) <= 1e-4 * size


@pytest.fixture(scope="module")
def ieee13():
    return make_engine(load_feeder("ieee13/IEEE13Nodeckt.dss", DATA), "opendss")


@pytest.mark.parametrize(
    ("kind", "name", "limit"),
    [
        ("voltage_max", "675.b", 1.04),
        ("voltage_min", "611.c", 0.98),
        ("voltage_rise", "671.a", 3.0),
        ("voltage_unbalance", "671.a", 1.5),
        ("transformer_loading", "Transformer.sub.a", 60.0),
        ("reverse_power", "", 1e5),
        ("feeder_cap", "", 2e6),
        ("feeder_cap_apparent", "", 2e6),
    ],
)
def test_the_equivalent_blames_as_brute_force_does(ieee13, kind, name, limit):
    feeder = ieee13.feeder
    row = -1
    if name:
        row = (feeder.branch_names if "loading" in kind else feeder.bus_names).index(name)
    same(*both(ieee13, Violation(kind, row, name, 0.0, limit)), solves=3)


@pytest.mark.slow
def test_on_a_street_of_900_buses(tmp_path):
    """The European test feeder, 2,721 rows, written as an OpenDSS file: what was capped at ten episodes before."""
    write_dss(load_feeder("pandapower:ieee_european_lv_asymmetric", Path()), tmp_path / "street.dss")
    engine = make_engine(load_feeder("street.dss", tmp_path), "opendss")
    for kind, row in (("voltage_min", engine.feeder.points[50].bus), ("line_loading", 30)):
        same(*both(engine, Violation(kind, row, "x", 0.0, 0.9), most=4.0), solves=2)

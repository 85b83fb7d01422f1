"""Feeders of a library are read once in a process, files every time; what was read is not changed by a run."""

from pathlib import Path

import numpy as np
import pandapower
import pytest
from pandapower import networks

from adapters.grid import source
from adapters.grid.errors import GridInputError
from twin.shipped_feeders import compared_feeder, feeder_profiles, forget

STREET = "pandapower:create_kerber_landnetz_freileitung_1"


@pytest.fixture
def reads(monkeypatch):
    """Every source that is read from now on, with nothing known before."""
    forget()
    load, seen = source.load_feeder, []
    monkeypatch.setattr(source, "load_feeder", lambda name, home: seen.append(name) or load(name, home))
    yield seen
    forget()


def test_a_feeder_of_a_library_is_read_once(reads):
    first, comparison = compared_feeder(STREET, Path("here"), False)
    again, same = compared_feeder(STREET, Path("elsewhere"), False)
    assert (again is first, same is comparison, reads) == (True, True, [STREET])
    assert comparison.opendss is None
    more, every = compared_feeder(STREET, Path(), True)
    assert more is first and every.opendss is not None, "OpenDSS is compared where it is asked for"
    assert feeder_profiles(first) is None and reads == [STREET]


def test_a_file_is_read_every_time(reads, tmp_path):
    net = networks.create_kerber_landnetz_freileitung_1()
    pandapower.to_json(net, str(tmp_path / "net.json"))
    short = compared_feeder("net.json", tmp_path, False)[1]
    net.line["length_km"] *= 1.5
    pandapower.to_json(net, str(tmp_path / "net.json"))
    feeder, long = compared_feeder("net.json", tmp_path, False)
    assert long.v_min_pu < short.v_min_pu and feeder_profiles(feeder) is None
    assert reads == ["net.json", "net.json"]


def test_what_cannot_be_read_is_told_every_time(reads):
    for _ in range(2):
        with pytest.raises(GridInputError, match="no function 'nonsense'"):
            compared_feeder("pandapower:nonsense", Path(), False)
    assert len(reads) == 2


def test_a_run_leaves_the_feeder_as_it_was_read(reads, run_street):
    feeder, _ = compared_feeder(STREET, Path(), False)
    arrays = {k: v.copy() for k, v in vars(feeder).items() if isinstance(v, np.ndarray)}
    tables = {k: v.copy() for k, v in feeder.native.items() if hasattr(v, "columns") and len(v)}
    run_street(duration_days=0.0625, grid={"source": STREET, "engine": "pandapower"})
    assert compared_feeder(STREET, Path(), False)[0] is feeder
    for name, before in arrays.items():
        np.testing.assert_array_equal(getattr(feeder, name), before, err_msg=name)
    for name, before in tables.items():
        assert before.equals(feeder.native[name]), name

"""The cache of SimBench nets: the same net back, whatever happens to the file."""

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks
import pandas as pd
import pyarrow.parquet as pq
import pytest
import simbench

from adapters.grid import simbench_source
from adapters.grid.simbench_source import default_cache_dir, simbench_net

CODE = "1-LV-rural1--0-sw"


@pytest.fixture(scope="module")
def original() -> Any:
    """A small net with profiles of several lengths and names, as the data set gives them; the real one is slow."""
    net = pp.networks.create_kerber_landnetz_freileitung_1()
    rows = np.random.default_rng(1).uniform(0, 1, (2000, 5)).round(6)
    net["profiles"] = {
        "load": pd.DataFrame(rows[:, :3], columns=["H0-A_pload", "H0-A_qload", "G1-B_pload"]),
        "renewables": pd.DataFrame(rows[:1500, 3:], columns=["PV5", "WP4"]),
    }
    return net


@pytest.mark.slow
def test_round_trip_of_the_data_set_itself(tmp_path: Path) -> None:
    real = simbench.get_simbench_net(CODE)
    simbench_net(CODE, tmp_path)
    same(simbench_net(CODE, tmp_path), real)


@pytest.fixture
def reader(original: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for the five seconds of reading; counts how often the data set is read."""
    reads: list[str] = []

    def read(code: str) -> Any:
        reads.append(code)
        return copy.deepcopy(original)

    monkeypatch.setattr(simbench, "get_simbench_net", read)
    return reads


def same(net: Any, original: Any) -> None:
    for table in ("bus", "line", "trafo", "load", "sgen", "storage", "switch", "ext_grid"):
        columns = [c for c in original[table].columns if original[table][c].notna().any()]
        pd.testing.assert_frame_equal(net[table][columns], original[table][columns], check_dtype=False)
    for name, frame in original.profiles.items():
        pd.testing.assert_frame_equal(net.profiles[name], frame)
    pp.runpp(net, numba=False)
    pp.runpp(original, numba=False)
    pd.testing.assert_series_equal(net.res_bus.vm_pu, original.res_bus.vm_pu, check_exact=True)


def test_round_trip(reader: list[str], original: Any, tmp_path: Path) -> None:
    same(simbench_net(CODE, tmp_path), original)
    same(simbench_net(CODE, tmp_path), original)
    assert reader == [CODE]
    assert [p.suffix for p in tmp_path.iterdir()] == [".parquet"], "no partial file is left"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "other net"])
def test_damaged_file_is_made_anew(
    damage: str, reader: list[str], original: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    simbench_net(CODE, tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 20] ^= 0xFF  # inside a column of profiles
    elif damage == "empty":
        content = bytearray()
    elif damage == "text":
        content = bytearray(b"no parquet")
    else:
        table = pq.read_table(path)
        net = table.schema.metadata[b"net"].replace(b"vn_kv", b"vn_kx")
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"net": net}), path)
        content = bytearray(path.read_bytes())
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        same(simbench_net(CODE, tmp_path), original)
    assert len(reader) == 2
    assert "unusable" in caplog.text
    simbench_net(CODE, tmp_path)
    assert len(reader) == 2, "the file was mended"


def test_other_versions_use_another_file(
    reader: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simbench_net(CODE, tmp_path)
    monkeypatch.setattr(simbench_source, "version", lambda name: "0.0")
    simbench_net(CODE, tmp_path)
    assert len(reader) == len(list(tmp_path.iterdir())) == 2


def test_folder_that_cannot_be_written(
    reader: list[str], original: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        same(simbench_net(CODE, blocked), original)
    assert "cannot be written" in caplog.text


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "p2p-grid-twin"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache_dir() == Path.home() / ".cache" / "p2p-grid-twin"

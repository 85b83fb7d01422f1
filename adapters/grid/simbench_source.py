"""SimBench nets, read once and kept in a cache: reading the data set's tables takes about five seconds."""

import difflib
import hashlib
import json
import logging
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from adapters.grid.errors import GridInputError

_LOG = logging.getLogger(__name__)
_LAYOUT = "1"  # of the cache file; raise it when what is stored changes
_TABLES = ("load", "renewables", "storage", "powerplants")


def simbench_net(code: str, cache_dir: Path | None = None) -> Any:
    """The pandapower net of a SimBench code, with ``net.profiles`` as simbench gives it.

    The cache is one Parquet file per code and version of simbench, pandapower and pandas, with checksums over
    the net and over every page. A file that is missing, damaged or from other versions is made anew; if it
    cannot be written the net is read from simbench every time.

    Args:
        code: a SimBench code such as ``1-LV-rural2--2-sw``.
        cache_dir: folder of the cache; default ``$XDG_CACHE_HOME/p2p-grid-twin``.

    Raises:
        GridInputError: the code is unknown; the nearest known codes are named.
    """
    import simbench

    known = simbench.collect_all_simbench_codes()
    if code not in known:
        near = ", ".join(difflib.get_close_matches(code, known, 4, 0.4)) or "none close"
        raise GridInputError(f"SimBench has no code {code!r}; nearest: {near}.")
    path = (cache_dir or default_cache_dir()) / f"simbench-{_key(code)}.parquet"
    net = _read(path)
    if net is None:
        net = simbench.get_simbench_net(code)
        _write(path, net)
    return net


def default_cache_dir() -> Path:
    """The user's cache folder by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "p2p-grid-twin"


def _key(code: str) -> str:
    parts = [code, _LAYOUT, *(f"{name}={version(name)}" for name in ("simbench", "pandapower", "pandas"))]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:24]


def _read(path: Path) -> Any:
    if not path.is_file():
        return None
    import pandapower
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
        header = table.schema.metadata or {}
        text = header[b"net"]
        if hashlib.sha256(text).hexdigest().encode() != header[b"sha256"]:
            raise ValueError("checksum of the net differs")
        net = pandapower.from_json_string(text.decode())
        columns = json.loads(header[b"profiles"])
        frame = table.to_pandas()
        net["profiles"] = {
            name: frame[[f"{name}/{c}" for c in own]].set_axis(own, axis=1).dropna(how="all")
            for name, own in columns.items()
        }
    except Exception as error:  # whatever is wrong with a cache file, the data set itself still has the net
        _LOG.warning("cache file %s is unusable and will be made anew: %s", path, error)
        return None
    return net


def _write(path: Path, net: Any) -> None:
    import pandapower
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    profiles = net.profiles
    bare = pandapower.pandapowerNet({k: v for k, v in net.items() if k != "profiles"})
    text = pandapower.to_json(bare).encode()
    frames = [frame.add_prefix(f"{name}/") for name, frame in profiles.items()]
    table = pa.Table.from_pandas(pd.concat(frames, axis=1), preserve_index=False)
    metadata = {
        "net": text,
        "sha256": hashlib.sha256(text).hexdigest().encode(),
        "profiles": json.dumps({name: list(frame.columns) for name, frame in profiles.items()}).encode(),
    }
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            schema_metadata = {**(table.schema.metadata or {}), **metadata}
            pq.write_table(
                table.replace_schema_metadata(schema_metadata),
                stream,
                compression="zstd",
                write_page_checksum=True,
            )
        Path(temporary).replace(
            path
        )  # atomic: a reader or another writer sees the old file or the whole new one
    except OSError as error:
        _LOG.warning("the feeder cache cannot be written, the next run reads SimBench again: %s", error)
        if temporary:
            Path(temporary).unlink(missing_ok=True)

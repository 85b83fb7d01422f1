"""The folder a run writes: readable at any moment, also after a kill; its manifest says what it is.

Tables are written in parts (``<table>.parts/part-00000.parquet``), whole or absent, by a thread of their own, so that
the run goes on meanwhile; ``finish`` merges them.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.export.buffer import Column, TableBuffer
from adapters.export.errors import FolderExistsError, TableError
from adapters.export.files import to_json, write_atomically, write_text_atomically

FORMAT = "p2p-grid-twin run folder 1"
MANIFEST = "manifest.json"
ROW_GROUP_ROWS = 65536
MAX_PENDING_ROWS = 262144


class RunFolder:
    """Writer of one run folder. Not thread-safe. Made by ``create``.

    The table ``tick`` sets the rhythm: when it holds ``flush_rows`` rows, or a flush is ``due``, all tables are
    flushed together *before* its next row is taken. Append it first in each interval, and the parts of all tables
    end at the same interval. Who writes rarely asks ``due`` and flushes by itself.
    """

    def __init__(
        self,
        path: Path,
        schemas: Mapping[str, pa.Schema],
        manifest: dict[str, Any],
        *,
        tick: str = "intervals",
        flush_rows: int = 672,
        max_age_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self._buffers = {name: TableBuffer(name, schema) for name, schema in schemas.items()}
        self._parts = dict.fromkeys(schemas, 0)
        self._tick = tick
        self._flush_rows = flush_rows
        self._max_age_s = max_age_s
        self._clock = clock
        self._flushed_at_s = self._opened_at_s = clock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="run-folder")
        self._writing: list[Future[None]] = []

    @classmethod
    def create(
        cls,
        path: Path,
        manifest: Mapping[str, Any],
        *,
        schemas: Mapping[str, pa.Schema],
        replace: bool = False,
        **options: Any,
    ) -> "RunFolder":
        """Make the folder and write its manifest with status ``running``.

        Args:
            path: the folder; parents are made; an empty folder may exist.
            manifest: what is known at the start; ``format`` and ``status`` are added.
            schemas: table name to Arrow schema; other tables cannot be written.
            replace: delete an older run there. Only a folder whose manifest is ours is ever deleted.
            options: ``tick``, ``flush_rows``, ``max_age_s``, ``clock`` of the constructor.

        Raises:
            FolderExistsError: the path is a file, or a folder that is not empty and may not be replaced.
        """
        _make_room(path, replace)
        path.mkdir(parents=True, exist_ok=True)
        folder = cls(path, schemas, {"format": FORMAT, **manifest, "status": "running"}, **options)
        folder.write_json(MANIFEST, folder.manifest)
        return folder

    def append(self, table: str, columns: Mapping[str, Column]) -> None:
        """Buffer rows of a table; a column left out is null; list columns take a matrix or a list of vectors.

        Raises:
            TableError: unknown table or column, columns differ in length; on a flush, a wrong type.
        """
        buffer = self._buffers.get(table)
        if buffer is None:
            raise TableError(f"unknown table {table!r}; this folder holds: {', '.join(self._buffers)}")
        if table == self._tick:
            if buffer.rows >= self._flush_rows or (buffer.rows and self.due()):
                self.flush(wait=False)
        elif buffer.rows > MAX_PENDING_ROWS:
            self._flush_table(table)
        buffer.append(columns)

    def due(self) -> bool:
        """Whether the last flush is ``max_age_s`` ago, and a thousandth of the time since the folder was made.

        The thousandth keeps the number of parts of a run of days within some thousands.
        """
        now_s = self._clock()
        return now_s - self._flushed_at_s >= max(self._max_age_s, (now_s - self._opened_at_s) / 1000)

    def flush(self, wait: bool = True) -> None:
        """Write the pending rows of every table as a part each, the tick last, by a thread of the folder's own.

        So an interval that can be read of a run that was killed has its rows in the other tables as well. With
        ``wait`` the parts are on the disk when it returns.
        """
        self.wait()  # at most one flush is on its way, and its error is told
        for table in sorted(self._buffers, key=lambda name: name == self._tick):
            self._flush_table(table)
        self._flushed_at_s = self._clock()
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until what was flushed is on disk. Raises what kept it from being written."""
        writing, self._writing = self._writing, []
        wait(writing)
        for part in writing:
            part.result()

    def write_json(self, name: str, obj: Any) -> None:
        """Write a JSON file of the folder, whole or not at all. NaN becomes null."""
        write_text_atomically(self.path / name, to_json(obj))

    def finish(
        self, status: Literal["finished", "failed"], manifest_updates: Mapping[str, Any] | None = None
    ) -> None:
        """Merge the parts of every table (an empty file for a table without rows), then write the manifest.

        The manifest comes last: whoever finds ``finished`` there finds whole tables.
        """
        self.flush()
        for table in self._buffers:
            self._merge(table)
        self._writer.shutdown()
        self.manifest = {**self.manifest, **(manifest_updates or {}), "status": status}
        self.write_json(MANIFEST, self.manifest)

    def _flush_table(self, table: str) -> None:
        buffer = self._buffers[table]
        if not buffer.rows:
            return
        rows = buffer.take()
        parts = self._parts_folder(table)
        parts.mkdir(exist_ok=True)
        part = parts / f"part-{self._parts[table]:05d}.parquet"
        self._writing.append(self._writer.submit(_write_part, part, rows))
        self._parts[table] += 1

    def _parts_folder(self, table: str) -> Path:
        return self.path / f"{table}.parts"

    def _merge(self, table: str) -> None:
        parts = self._parts_folder(table)
        files = sorted(parts.glob("part-*.parquet"))
        schema = self._buffers[table].schema

        def write(path: Path) -> None:
            with pq.ParquetWriter(
                path, schema, compression="zstd", use_dictionary=_repeating(schema)
            ) as writer:
                for rows in _row_groups(files, schema):
                    writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)

        write_atomically(self.path / f"{table}.parquet", write)
        shutil.rmtree(parts, ignore_errors=True)


def _write_part(part: Path, rows: pa.Table) -> None:
    repeating = _repeating(rows.schema)
    write_atomically(
        part, lambda path: pq.write_table(rows, path, compression="lz4", use_dictionary=repeating)
    )


def _row_groups(files: list[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows of the parts in row groups of one size: the file must not depend on when parts were flushed."""
    pending = schema.empty_table()
    for file in files:
        pending = pa.concat_tables([pending, pq.read_table(file, schema=schema)])
        while pending.num_rows >= ROW_GROUP_ROWS:
            yield pending.slice(0, ROW_GROUP_ROWS).combine_chunks()
            pending = pending.slice(ROW_GROUP_ROWS)
    if pending.num_rows:
        yield pending.combine_chunks()


def _repeating(schema: pa.Schema) -> list[str]:
    """Columns worth a dictionary. Not measured numbers: the search for repeats doubled the time."""
    return [
        field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_integer(field.type)
    ]


def _make_room(path: Path, replace: bool) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise FolderExistsError(f"{path} exists and is not a folder. Name another output folder.")
    if not path.exists() or not any(path.iterdir()):
        return
    if not _is_ours(path / MANIFEST):
        raise FolderExistsError(
            f"{path} exists, is not empty and holds no run of p2p-grid-twin; it is left alone. "
            "Name another output folder."
        )
    if not replace:
        raise FolderExistsError(
            f"{path} holds an earlier run. Name another folder, or replace it (--replace)."
        )
    shutil.rmtree(path)


def _is_ours(manifest: Path) -> bool:
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT

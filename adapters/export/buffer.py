"""Rows of one table on their way to a Parquet part: kept as they came, made into Arrow arrays all at once."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.export.errors import TableError

Column = Sequence[Any] | np.ndarray[Any, Any]
"""A column as it comes; an Arrow array (untyped here) is one too."""


class TableBuffer:
    """Pending rows of one table.

    Appending copies and checks names and lengths only (a few microseconds); types are checked in ``take``.
    """

    def __init__(self, name: str, schema: pa.Schema) -> None:
        self.name = name
        self.schema = schema
        self.rows = 0
        self._names = frozenset(schema.names)
        self._batches: list[tuple[int, dict[str, Column]]] = []

    def append(self, columns: Mapping[str, Column]) -> None:
        """Take the rows; a column that is left out is null. Raises TableError, keeping nothing."""
        if not columns.keys() <= self._names:
            raise TableError(
                f"table {self.name}: unknown columns {sorted(columns.keys() - self._names)}; "
                f"allowed: {', '.join(self.schema.names)}"
            )
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            found = ", ".join(f"{key} {len(column)}" for key, column in columns.items())
            raise TableError(f"table {self.name}: columns differ in length: {found or 'none given'}")
        rows = lengths.pop()
        if rows:
            self._batches.append((rows, {key: _own(column) for key, column in columns.items()}))
            self.rows += rows

    def take(self) -> pa.Table:
        """All pending rows as a table. The buffer is empty afterwards, also where this raises TableError:
        rows that cannot be written must not keep a failing run from being closed.
        """
        try:
            arrays = [self._array(field) for field in self.schema]
            return pa.Table.from_arrays(arrays, schema=self.schema)
        finally:
            self._batches.clear()
            self.rows = 0

    def _array(self, field: pa.Field) -> pa.Array:
        pieces = [batch.get(field.name) for _, batch in self._batches]
        try:
            if all(piece is None for piece in pieces):
                return pa.nulls(self.rows, field.type)
            filled = [
                [None] * rows if piece is None else piece
                for (rows, _), piece in zip(self._batches, pieces, strict=True)
            ]
            if pa.types.is_list(field.type):
                return _list_array(filled, field.type)
            return _flat_array(filled, field.type)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise TableError(f"table {self.name}, column {field.name} ({field.type}): {error}") from error


def _own(column: Column) -> Column:
    """A copy that the caller can no longer change; a tuple and an Arrow array already are one."""
    if isinstance(column, np.ndarray):
        return column.copy()
    return column if isinstance(column, (tuple, pa.Array)) else list(column)


def _flat_array(pieces: list[Column], arrow_type: pa.DataType) -> pa.Array:
    if all(isinstance(piece, np.ndarray) for piece in pieces):
        return pa.array(np.concatenate(pieces), type=arrow_type)
    if all(isinstance(piece, pa.Array) for piece in pieces):
        return pa.concat_arrays(pieces).cast(arrow_type)
    parts = (p.tolist() if isinstance(p, (np.ndarray, pa.Array)) else p for p in pieces)
    values = list(chain.from_iterable(parts))
    if pa.types.is_integer(arrow_type):  # asked for integers, Arrow would cut 7.5 to 7 without a word
        return pa.array(values).cast(arrow_type)
    return pa.array(values, type=arrow_type)


def _list_array(pieces: list[Column], arrow_type: pa.DataType) -> pa.Array:
    """Rows that are vectors: joined once, with offsets, instead of number by number."""
    if all(isinstance(piece, np.ndarray) and piece.ndim == 2 and piece.dtype.kind == "f" for piece in pieces):
        whole = np.concatenate(pieces)
        offsets = np.arange(len(whole) + 1, dtype=np.int32) * np.int32(whole.shape[1])
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(whole.ravel())).cast(arrow_type)
    rows = [row for piece in pieces for row in piece]
    # without a single value numpy takes the vectors for floats, which no list of texts can be made of
    if any(row is None for row in rows) or not any(len(row) for row in rows):
        return pa.array([None if row is None else list(row) for row in rows], type=arrow_type)
    vectors = [np.asarray(row) for row in rows]
    offsets = np.concatenate([[0], np.cumsum([vector.size for vector in vectors])]).astype(np.int32)
    values = pa.array(np.concatenate(vectors), type=arrow_type.value_type, safe=False)
    return pa.ListArray.from_arrays(pa.array(offsets), values).cast(arrow_type)

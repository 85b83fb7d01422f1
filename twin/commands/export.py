"""``twin export``: a table of a run as CSV."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin export`` understands."""
    parser.add_argument("run", type=Path, help="run folder, also of a run that goes on or was killed")
    parser.add_argument(
        "table", help="name of a table, for example envelopes or trades (docs/reference/run-folder.md)"
    )
    parser.add_argument("--variant", metavar="NAME", help="a variant other than the judged one")


def execute(arguments: argparse.Namespace) -> int:
    """Write the table to standard output."""
    from twin.results import RunResult

    result = RunResult(arguments.run)
    if arguments.variant is not None:
        result = result.variant(arguments.variant)
    write_csv(result.table(arguments.table))
    return 0


def write_csv(table: "pa.Table") -> None:
    """Write a header and the rows to standard output, RFC 4180; the values of a list are parted by semicolons."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    for i, column in enumerate(table.schema):
        if pa.types.is_list(column.type):
            words = table[i].combine_chunks().cast(pa.list_(pa.string()))
            table = table.set_column(i, column.name, pc.binary_join(words, ";"))
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(quoting_style="needed"))
    sys.stdout.write(sink.getvalue().to_pybytes().decode("utf-8"))

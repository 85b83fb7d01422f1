"""Run the benchmarks and print one table; a row a figure."""

import importlib
import os
import sys
from pathlib import Path

from benchmarks import Row
from twin.compiled import drop_stale_code


def _text(row: Row) -> str:
    reference = (
        f"{row.reference_value:,.4g} {row.unit} ({row.reference})" if row.reference_value is not None else ""
    )
    ratio = f"{row.ratio:,.1f}x" if row.ratio is not None else ""
    met = {True: "met", False: "MISSED", None: ""}[row.met]
    line = f"{row.name:<58} {row.value:>12,.4g} {row.unit:<10} {reference:<58} {ratio:>9}  {row.target} {met}".rstrip()
    return line + (f"\n    {row.note}" if row.note else "")


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all."""
    for library in ("OPENBLAS", "MKL", "OMP"):  # as the command line does
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    drop_stale_code()  # else a kernel would be measured as it was before its last change
    here = Path(__file__).parent
    found = sorted(path.stem.removesuffix("_bench") for path in here.glob("*_bench.py"))
    unknown = [name for name in names if name not in found]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are: {', '.join(found)}", file=sys.stderr)
        return 2
    for name in names or found:
        print(f"== {name}")
        for row in importlib.import_module(f"benchmarks.{name}_bench").run():
            print(_text(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

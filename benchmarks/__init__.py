"""Benchmarks: every figure is a ratio against a named reference measured in the same run.

`make bench` runs all; `python -m benchmarks interval market` those whose names are given. A module `*_bench.py` has
a function `run()` that returns rows.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured figure.

    ``ratio`` is reference over value where less is better, value over reference where more is better; ``target``
    says in words what it should reach, ``met`` whether it does (None: no target).
    """

    name: str
    value: float
    unit: str
    reference: str = ""
    reference_value: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""

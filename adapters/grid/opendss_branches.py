"""Lines and transformers of an OpenDSS circuit as branch rows, one per phase."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.grid.feeder import Feeder
from adapters.grid.opendss import BranchMap
from adapters.grid.opendss_core import BranchReader

DEFAULT_RATING_A = 400.0  # what OpenDSS gives a line that states no rating
PHASE_OF_NODE = {1: "a", 2: "b", 3: "c"}


@dataclass(frozen=True)
class DssBranch:
    """A branch row before it is spread over the arrays of a feeder."""

    name: str
    kind: str
    from_row: int
    to_row: int
    rated_a: float
    rated_va: float
    at: tuple[int, int]
    percent_per_a: tuple[float, float]


def terminal_rows(bus_text: str, n_phases: int) -> list[str]:
    """Bus rows of a terminal such as ``632.3.2``; without nodes the first phases are meant."""
    bus, *numbers = bus_text.lower().split(".")
    nodes = [int(n) for n in numbers] or list(range(1, n_phases + 1))
    return [f"{bus}.{PHASE_OF_NODE[n]}" for n in nodes[:n_phases] if n in PHASE_OF_NODE]


def branch_rows(context: Any, reader: BranchReader, place: dict[str, int]) -> Iterator[DssBranch]:
    """One row per line and transformer and phase; capacitors and reactors are no branches here."""
    for element, full_name in enumerate(reader.names):
        kind = full_name.partition(".")[0].lower()
        if kind not in ("line", "transformer"):
            continue
        context.Circuit.SetActiveElement(full_name)
        ends = [str(text) for text in context.CktElement.BusNames()]
        n_phases = int(context.CktElement.NumPhases())
        rating, percent = (
            _line_rating(context, full_name) if kind == "line" else _trafo_rating(context, full_name)
        )
        starts, stops = terminal_rows(ends[0], n_phases), terminal_rows(ends[1], n_phases)
        for c, (start, stop) in enumerate(zip(starts, stops, strict=False)):
            if start not in place or stop not in place:
                continue  # de-energised, left out with a note
            yield DssBranch(
                name=f"{full_name}.{start.rpartition('.')[2]}",
                kind="line" if kind == "line" else "trafo",
                from_row=place[start],
                to_row=place[stop],
                rated_a=rating if kind == "line" else float("nan"),
                rated_va=float("nan") if kind == "line" else rating,
                at=(reader.position(element, 0, c), reader.position(element, 1, c)),
                percent_per_a=percent,
            )


def _line_rating(context: Any, full_name: str) -> tuple[float, tuple[float, float]]:
    context.Lines.Name(full_name.partition(".")[2])
    amps = float(context.Lines.NormAmps())
    switch = bool(context.Lines.IsSwitch())
    amps = float("nan") if switch or amps == DEFAULT_RATING_A or not amps > 0 else amps
    return amps, (100.0 / amps, 100.0 / amps)


def _trafo_rating(context: Any, full_name: str) -> tuple[float, tuple[float, float]]:
    """Rated power of one phase in VA, and percent per A at both windings (line current)."""
    trafo = context.Transformers
    trafo.Name(full_name.partition(".")[2])
    context.Circuit.SetActiveElement(full_name)
    n_phases = int(context.CktElement.NumPhases())
    percent = []
    for winding in (1, 2):
        trafo.Wdg(winding)
        va, volt = float(trafo.kVA()) * 1e3, float(trafo.kV()) * 1e3
        percent.append(100.0 * volt * (np.sqrt(3.0) if n_phases > 1 else 1.0) / va)
    return va / n_phases, (percent[0], percent[1])


def dss_branch_map(context: Any, reader: BranchReader, feeder: Feeder) -> BranchMap:
    """Rows of the branches of an OpenDSS file, in the order in which the feeder was loaded."""
    place = {name: i for i, name in enumerate(feeder.bus_names)}
    branches = list(branch_rows(context, reader, place))
    at = np.array([b.at for b in branches], dtype=np.int64).reshape(-1, 2)
    per_a = np.array([b.percent_per_a for b in branches]).reshape(-1, 2)
    return BranchMap(at, per_a, 1, np.full_like(at, -1))

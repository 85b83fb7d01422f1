"""OpenDSS files as feeders: the user's own ``.dss`` file is plant and gate model as it stands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from adapters.grid.errors import FeederNotSolvableError, GridInputError
from adapters.grid.feeder import ConnectionPoint, Feeder, FloatArray, IntArray
from adapters.grid.opendss_branches import (
    DEFAULT_RATING_A,
    PHASE_OF_NODE,
    DssBranch,
    branch_rows,
    terminal_rows,
)
from adapters.grid.opendss_case import DssCase, scale_loads, settle
from adapters.grid.opendss_core import V_MIN_PU, BranchReader, new_context, node_voltages, run, solve
from adapters.grid.opendss_files import check_includes, where_defined
from adapters.grid.topology import tree_layout

DEAD_PU = 0.01
"""A node below this at the loads of the file is connected to no source."""

PhaseText = Literal["abc", "a", "b", "c"]
POINT_PHASES: dict[tuple[bool, str], PhaseText] = {
    **{(False, "a"): "a", (False, "b"): "b", (False, "c"): "c"},
    **{(True, "a"): "abc", (True, "b"): "abc", (True, "c"): "abc"},
}


def load_dss_feeder(path: Path, source: str) -> Feeder:
    """Compile an OpenDSS file and describe what it holds.

    Its own controls settle the taps once; after that they are frozen (a note says where).

    Raises:
        GridInputError: the file does not exist or compile, includes a file outside its folder, writes files,
        or
            has no voltage bases; the text names file and line where OpenDSS does.
        FeederNotSolvableError: its own state does not converge.
    """
    context, files, notes = _compiled(path)
    rows = _node_rows(context, path.name, notes)
    taps = _taps(context, notes)
    branches = list(branch_rows(context, BranchReader(context), {n: i for i, n in enumerate(rows.names)}))
    points, load_rows = _points(context, rows.names, notes, files)
    case = DssCase(path.resolve(), rows.node_rows, rows.base_v, load_rows, taps, _capacitors(context))
    _note_rest(context, branches, notes)
    pairs = [(b.from_row, b.to_row) for b in branches]
    return Feeder(
        name=str(context.Circuit.Name()),
        source=source,
        bus_names=rows.names,
        bus_vn_v=rows.base_v * np.sqrt(3),
        slack_bus=_slack_row(context, rows.names),
        branch_names=tuple(b.name for b in branches),
        branch_kind=tuple(b.kind for b in branches),
        branch_from=np.array([a for a, _ in pairs], dtype=np.int64),
        branch_to=np.array([b for _, b in pairs], dtype=np.int64),
        branch_rated_a=np.array([b.rated_a for b in branches]),
        branch_rated_va=np.array([b.rated_va for b in branches]),
        points=points,
        assets=(),
        xy=_coordinates(context, rows, pairs, notes),
        native=case,
        notes=tuple(notes),
        bus_phase=tuple(name.rpartition(".")[2] for name in rows.names),
        branch_phase=tuple(b.name.rpartition(".")[2] for b in branches),
        site=rows.site,
    )


def _compiled(path: Path) -> tuple[Any, set[Path], list[str]]:
    """A context with the file solved at the loads it states, all files that it consists of, and what was changed."""
    if not path.is_file():
        raise GridInputError(f"grid file {path} does not exist.")
    root = path.resolve().parent
    files: set[Path] = set()
    check_includes(path.resolve(), root, files)
    context = new_context()
    run(context, [f'compile "{path.resolve()}"'], path.name)
    if not int(context.Basic.NumCircuits()):
        raise GridInputError(f"{path.name} makes no circuit: it needs a line 'New Circuit.NAME ...'.")
    _check_phases(context, files)
    scale, notes = settle(context)
    if scale != 1.0:
        scale_loads(context, scale)
    if not solve(context):
        raise FeederNotSolvableError(f"{path.name}: OpenDSS does not converge at the loads of the file.")
    return context, files, notes


@dataclass(frozen=True)
class _Rows:
    names: tuple[str, ...]
    node_rows: IntArray
    base_v: FloatArray
    site: IntArray


def _node_rows(context: Any, file: str, notes: list[str]) -> _Rows:
    names, rows, bases, sites, dead = [], [], [], [], []
    buses: dict[str, int] = {}
    neutral = 0
    volts = np.abs(node_voltages(context))
    for row, node in enumerate(context.Circuit.AllNodeNames()):
        bus, _, number = str(node).rpartition(".")
        phase = PHASE_OF_NODE.get(int(number))
        if phase is None:
            neutral += 1
            continue
        context.Circuit.SetActiveBus(bus)
        base = float(context.Bus.kVBase()) * 1e3
        if not base > 0:
            raise GridInputError(
                f"{file}: bus {bus} has no voltage base: add 'Set VoltageBases' and 'CalcV'."
            )
        if not volts[row] > DEAD_PU * base:
            dead.append(f"{bus}.{phase}")
            continue
        names.append(f"{bus}.{phase}")
        rows.append(row)
        bases.append(base)
        sites.append(buses.setdefault(bus, len(buses)))
    if dead:
        notes.append(
            f"De-energised at the loads of the file, left out: {', '.join(dead[:8])}{_more(dead, 8)}."
        )
    if neutral:
        notes.append(f"{neutral} node(s) beyond the three phases (neutrals, triplex) are not monitored.")
    return _Rows(
        tuple(names), np.array(rows, dtype=np.int64), np.array(bases), np.array(sites, dtype=np.int64)
    )


def _more(names: list[str], told: int) -> str:
    return f" and {len(names) - told} more" if len(names) > told else ""


def _taps(context: Any, notes: list[str]) -> tuple[tuple[str, tuple[float, ...]], ...]:
    found = []
    for name in context.Transformers.AllNames():
        if str(name).lower() == "none":
            continue
        context.Transformers.Name(name)
        taps = []
        for winding in range(1, int(context.Transformers.NumWindings()) + 1):
            context.Transformers.Wdg(winding)
            taps.append(float(context.Transformers.Tap()))
        found.append((str(name), tuple(taps)))
        if any(abs(tap - 1) > 1e-9 for tap in taps):
            text = ", ".join(f"{tap:.5g}" for tap in taps)
            notes.append(f"Transformer {name}: taps frozen at {text} pu, where the file's own controls end.")
    return tuple(found)


def _capacitors(context: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """States of all capacitors' steps, where the file's own controls end."""
    found = []
    for name in context.Capacitors.AllNames():
        if str(name).lower() != "none":
            context.Capacitors.Name(name)
            found.append((str(name), tuple(int(state) for state in context.Capacitors.States())))
    return tuple(found)


def _points(
    context: Any, names: tuple[str, ...], notes: list[str], files: set[Path]
) -> tuple[tuple[ConnectionPoint, ...], IntArray]:
    place = {name: i for i, name in enumerate(names)}
    points, rows, odd, models, wrong = [], [], [], set(), []
    for row, name in enumerate(context.Loads.AllNames()):
        if str(name).lower() == "none":
            break
        context.Loads.Name(name)
        if not context.CktElement.Enabled():
            continue
        n_phases = int(context.CktElement.NumPhases())
        nodes = terminal_rows(str(context.CktElement.BusNames()[0]), n_phases)
        dead = [node for node in nodes if node not in place]
        if dead:
            where = where_defined(f"Load.{name}", files)
            wrong.append(
                f"{where}Load.{name} is connected to {', '.join(dead)}, which no line, transformer or source energises."
            )
            continue
        phase = nodes[0].rpartition(".")[2]
        delta = bool(context.Loads.IsDelta())
        if n_phases == 2 or (delta and n_phases == 1):
            odd.append(str(name))
        if int(context.Loads.Model()) != 1:
            models.add(int(context.Loads.Model()))
        p_w, q_var = float(context.Loads.kW()) * 1e3, float(context.Loads.kvar()) * 1e3
        points.append(
            ConnectionPoint(str(name), place[nodes[0]], POINT_PHASES[n_phases == 3, phase], p_w, q_var)
        )
        rows.append(row)
    if wrong:
        raise GridInputError("\n".join(wrong))
    if odd:
        notes.append(f"Connected between two phases, listed under the first: {', '.join(odd[:8])}.")
    if models:
        notes.append(
            f"Loads of model {sorted(models)} keep their voltage dependence; the rest is constant power."
        )
    notes.append(
        f"vminpu of all loads is set to {V_MIN_PU}: by default they become impedances below 0.95 pu."
    )
    return tuple(points), np.array(rows, dtype=np.int64)


def _check_phases(context: Any, files: set[Path]) -> None:
    """Refuse loads on nodes that are no phase, before a solution is tried: there may be none."""
    wrong = []
    for name in context.Loads.AllNames():
        if str(name).lower() == "none":
            break
        context.Loads.Name(name)
        bus, n_phases = str(context.CktElement.BusNames()[0]), int(context.CktElement.NumPhases())
        if context.CktElement.Enabled() and len(terminal_rows(bus, n_phases)) < n_phases:
            where = where_defined(f"Load.{name}", files)
            wrong.append(
                f"{where}Load.{name} is connected to {bus}: phases are the nodes 1, 2 and 3 (a, b, c)."
            )
    if wrong:
        raise GridInputError("\n".join(wrong))


def _note_rest(context: Any, branches: list[DssBranch], notes: list[str]) -> None:
    unrated = sorted({b.name.rpartition(".")[0] for b in branches if b.kind == "line" and not b.rated_a > 0})
    if unrated:
        notes.append(
            f"{len(unrated)} line(s) state no rating (OpenDSS's default of {DEFAULT_RATING_A:g} A) or are "
            f"switches, their loading is unknown: {', '.join(unrated[:6])}."
        )
    notes.extend(_as_the_file_states(context))


KNOWN = (
    "line",
    "transformer",
    "load",
    "capacitor",
    "regcontrol",
    "energymeter",
    "monitor",
    "swtcontrol",
    "fuse",
)
"""Classes of elements that are modelled, or that change no state of a moment."""


def _as_the_file_states(context: Any) -> list[str]:
    """A sentence about all elements that nobody trades with: sources, generators, faults, controls."""
    names = [str(name) for name in context.Circuit.AllElementNames()]
    main = next(name for name in names if name.lower().startswith("vsource."))
    rest: dict[str, list[str]] = {}
    for name in names:
        kind = name.partition(".")[0]
        context.Circuit.SetActiveElement(name)
        if kind.lower() not in KNOWN and name != main and context.CktElement.Enabled():
            rest.setdefault(kind, []).append(name.partition(".")[2])
    said = []
    for kind, own in sorted(rest.items()):
        told = f"{kind} {', '.join(own[:8])}{_more(own, 8)}"
        if kind.lower().endswith(("control", "controller", "relay", "recloser")):
            said.append(f"{told}: acts when the file is loaded, not while trades run.")
        else:
            said.append(f"{told}: as the file states, neither a connection point nor monitored.")
    return said


def _slack_row(context: Any, names: tuple[str, ...]) -> int:
    context.Vsources.First()
    bus = str(context.CktElement.BusNames()[0]).lower().split(".")[0]
    return next(i for i, name in enumerate(names) if name.rpartition(".")[0] == bus)


def _coordinates(context: Any, rows: _Rows, pairs: list[tuple[int, int]], notes: list[str]) -> FloatArray:
    n_site = int(rows.site.max()) + 1
    xy = np.full((n_site, 2), np.nan)
    for name, site in zip(rows.names, rows.site, strict=True):
        context.Circuit.SetActiveBus(name.rpartition(".")[0])
        if context.Bus.Coorddefined():
            xy[site] = (context.Bus.X(), context.Bus.Y())
    if np.isnan(xy).any() or len(np.unique(xy.round(9), axis=0)) < max(2, n_site // 2):
        notes.append("Coordinates are missing or coincide: the drawing is a computed tree, not a map.")
        joined = [(int(rows.site[a]), int(rows.site[b])) for a, b in pairs]
        xy = tree_layout(n_site, joined, int(rows.site[_slack_row(context, rows.names)]))
    return xy[rows.site]

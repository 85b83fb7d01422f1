"""The Thevenin equivalent of an OpenDSS file: its own admittance matrix without loads, reduced to what loads see."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.grid.engine import ModelError
from adapters.grid.feeder import Feeder, FloatArray, IntArray
from adapters.grid.opendss_case import DssCase, open_case
from adapters.grid.opendss_core import BranchReader, node_voltages, run, solve
from adapters.grid.thevenin import Affine, ComplexArray, Dependence, Thevenin, phase_rows

MOST_PORTS = 400
"""Beyond, a dense model would be no faster than the sparse one."""
LINEAR = ("line", "transformer", "autotrans", "capacitor", "reactor", "fault", "vsource", "isource")
SILENT = (
    "regcontrol",
    "capcontrol",
    "swtcontrol",
    "invcontrol",
    "energymeter",
    "monitor",
    "fuse",
    "relay",
    "recloser",
)
"""Classes of elements that are linear, and of those that change nothing while controls are off."""
CONSTANT, LINEARLY, SQUARED = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)
PARTS = {
    1: (CONSTANT, CONSTANT),
    2: (SQUARED, SQUARED),
    3: (CONSTANT, SQUARED),
    5: (LINEARLY, LINEARLY),
}
"""How active and reactive power of a load's model follow the voltage; model 4 and 8 state it themselves."""


@dataclass(frozen=True)
class Port:
    """Where a part of a load's power is injected: names of its two nodes ('' is ground), V of its rating."""

    point: int
    share: float
    nodes: tuple[str, str]
    nominal_v: float
    parts: tuple[tuple[float, ...], tuple[float, ...]]


def dss_thevenin(
    feeder: Feeder, error: ModelError, at: IntArray, percent_per_a: FloatArray
) -> Thevenin | None:
    """Reduce the file's admittance matrix to the nodes of its loads.

    Exact, as the loads are the only elements whose currents do not follow linearly from voltages. None where that is
    not so (generators, storages, loads of a model without polynomial), or with more than ``MOST_PORTS`` ports.

    Args:
        feeder: from an OpenDSS file.
        error: how the engine's model departs from it.
        at: (n_branch, 2) positions of the branches' ends in a ``BranchReader``.
        percent_per_a: (n_branch, 2) what a current there means for the loading.
    """
    case: DssCase = feeder.native
    context = open_case(case, error)
    ports = _ports(context, case)
    if ports is None or not 0 < len(ports) <= MOST_PORTS or not _all_linear(context):
        return None
    run(context, ["batchedit load..* enabled=no"], case.path.name)
    if not solve(context):
        return None
    place = {str(name).lower(): i for i, name in enumerate(context.Circuit.YNodeOrder())}
    if any(node not in place for port in ports for node in port.nodes if node):
        return None
    named = [place[str(name).lower()] for name in context.Circuit.AllNodeNames()]
    rest = np.zeros(len(place), dtype=np.complex128)
    rest[named] = node_voltages(context)
    rows = np.array([place[_node(name)] for name in feeder.bus_names], dtype=np.int64)
    base = dict(zip(rows.tolist(), case.base_v.tolist(), strict=True))
    into, out = (np.array([place.get(p.nodes[k], -1) for p in ports]) for k in (0, 1))
    port_base = np.array([base.get(row, 1.0) for row in into.tolist()])
    slope = _response(context, len(place), into, out, port_base)
    if not np.isfinite(slope).all():
        return None
    whole = Affine(rest, slope)
    return _assembled(context, feeder, whole, rows, ports, (into, out, port_base), at, percent_per_a)


def _assembled(
    context: Any, feeder: Feeder, whole: Affine, rows: IntArray, ports: list[Port],
    injected: tuple[IntArray, IntArray, FloatArray], at: IntArray, percent_per_a: FloatArray,
) -> Thevenin:  # fmt: skip
    """The reduced model from the response of all nodes, in V per VA at 1 pu."""
    base = feeder.native.base_v
    into, out, port_base = injected
    grounded = Affine(np.append(whole.constant, 0.0), np.vstack((whole.slope, np.zeros((1, len(ports))))))
    port = _scaled(_less(grounded, into, out), 1 / port_base)
    currents = _branch_currents(context, whole, at)
    ends = [
        _scaled(Affine(currents.constant[:, k], currents.slope[:, k]), base[end])
        for k, end in enumerate((feeder.branch_from, feeder.branch_to))
    ]
    per_va = np.stack(
        (percent_per_a[:, 0] / base[feeder.branch_from], percent_per_a[:, 1] / base[feeder.branch_to])
    )
    share = np.zeros((len(ports), len(feeder.points)))
    share[np.arange(len(ports)), [p.point for p in ports]] = [p.share for p in ports]
    depends = None
    if any(p.parts != PARTS[1] for p in ports):
        parts = np.array([p.parts for p in ports]).transpose(1, 2, 0)
        depends = Dependence(parts, np.array([p.nominal_v for p in ports]) / port_base)
    v = _scaled(Affine(whole.constant[rows], whole.slope[rows]), 1 / base)
    head, source = _sources(context, whole)
    return Thevenin(
        share,
        port,
        v,
        ends[0],
        ends[1],
        per_va,
        feeder.branch_from,
        head,
        source,
        phase_rows(feeder),
        depends,
    )


def _node(bus_row: str) -> str:
    bus, _, phase = bus_row.rpartition(".")
    return f"{bus}.{'abc'.index(phase) + 1}"


def _ports(context: Any, case: DssCase) -> list[Port] | None:
    """Ports of all loads, in the order of the connection points; None where the model of one is no polynomial."""
    found: list[Port] = []
    loads = context.Loads
    for point, row in enumerate(case.load_rows.tolist()):
        loads.Idx(row + 1)
        parts = _parts(loads)
        context.Circuit.SetActiveElement(f"Load.{loads.Name()}")
        order, phases = [int(n) for n in context.CktElement.NodeOrder()], int(context.CktElement.NumPhases())
        bus = str(context.CktElement.BusNames()[0]).lower().split(".")[0]
        delta = bool(loads.IsDelta())
        if parts is None or (not delta and order[-1] != 0 and float(loads.Rneut()) >= 0):
            return None
        kv = float(loads.kV()) / (1.0 if delta or phases == 1 else np.sqrt(3.0))
        names = [f"{bus}.{n}" if n else "" for n in order]
        for k in range(phases):
            other = names[(k + 1) % len(names)] if delta else names[-1]
            found.append(Port(point, 1 / phases, (names[k], other), 1e3 * kv, parts))
    return found


def _parts(loads: Any) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    model = int(loads.Model())
    if model == 4:
        by_exponent = {0.0: CONSTANT, 1.0: LINEARLY, 2.0: SQUARED}
        of_p, of_q = (by_exponent.get(float(each)) for each in (loads.CVRwatts(), loads.CVRvars()))
        return None if of_p is None or of_q is None else (of_p, of_q)
    if model == 8:
        zip_v = [float(each) for each in loads.ZipV()]
        return tuple(zip_v[:3]), tuple(zip_v[3:6])
    return PARTS.get(model)


def _all_linear(context: Any) -> bool:
    for name in context.Circuit.AllElementNames():
        kind = str(name).partition(".")[0].lower()
        context.Circuit.SetActiveElement(str(name))
        if kind not in (*LINEAR, *SILENT, "load") and context.CktElement.Enabled():
            return False
    return True


def _response(context: Any, n: int, into: IntArray, out: IntArray, base: FloatArray) -> ComplexArray:
    """Voltages of all nodes per VA (at 1 pu) into each port, (n, m) in V; NaN where the matrix is singular."""
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    data, index, pointer = (np.asarray(each) for each in context.YMatrix.getYsparse(False))
    matrix = csc_matrix((data, index, pointer), shape=(n, n))
    current = np.zeros((n, len(into)), dtype=np.complex128)
    column = np.arange(len(into))
    for node, sign in ((into, 1.0), (out, -1.0)):
        known = node >= 0
        current[node[known], column[known]] += sign / base[known]
    try:
        found: ComplexArray = splu(matrix).solve(current)
    except RuntimeError:  # exactly singular
        return np.full_like(current, np.nan)
    return found


def _less(nodes: Affine, into: IntArray, out: IntArray) -> Affine:
    """Voltages between two nodes; -1 is ground, the last row."""
    return Affine(nodes.constant[into] - nodes.constant[out], nodes.slope[into] - nodes.slope[out])


def _scaled(phasors: Affine, factor: FloatArray) -> Affine:
    return Affine(phasors.constant * factor, phasors.slope * factor[:, None])


def _admittance(context: Any, name: str) -> tuple[ComplexArray, IntArray]:
    """An element's admittance matrix and the rows of its nodes, -1 for ground."""
    context.Circuit.SetActiveElement(name)
    nodes = np.asarray(context.CktElement.NodeRef(), dtype=np.int64) - 1
    flat = np.asarray(context.CktElement.YPrim(), dtype=np.float64).reshape(-1, 2)
    matrix: ComplexArray = (flat[:, 0] + 1j * flat[:, 1]).reshape(len(nodes), len(nodes)).T
    return matrix, nodes


def _through(context: Any, name: str, whole: Affine, rows: IntArray) -> Affine:
    """Currents in A into conductors ``rows`` of an element that is nothing but its admittances."""
    matrix, nodes = _admittance(context, name)
    live = nodes >= 0
    part = matrix[np.ix_(rows, live)]
    return Affine(part @ whole.constant[nodes[live]], part @ whole.slope[nodes[live]])


def _branch_currents(context: Any, whole: Affine, at: IntArray) -> Affine:
    """Currents in A at positions (n_branch, 2) of a ``BranchReader``: (n_branch, 2) and (n_branch, 2, m)."""
    reader = BranchReader(context)
    element = np.searchsorted(reader.first, at, side="right") - 1
    local = at - reader.first[element]
    constant = np.zeros(at.shape, dtype=np.complex128)
    slope = np.zeros((*at.shape, whole.slope.shape[1]), dtype=np.complex128)
    for each in np.unique(element):
        here = element == each
        found = _through(context, reader.names[each], whole, local[here])
        constant[here], slope[here] = found.constant, found.slope
    return Affine(constant, slope)


def _sources(context: Any, whole: Affine) -> tuple[Affine, Affine]:
    """Voltages at the first terminals of all sources in V, and the currents in A that they deliver there."""
    volts, amps = [], []
    for name in context.Circuit.AllElementNames():
        if str(name).partition(".")[0].lower() not in ("vsource", "isource"):
            continue
        context.Circuit.SetActiveElement(str(name))
        if not context.CktElement.Enabled():
            continue
        now = np.asarray(context.CktElement.Currents(), dtype=np.float64).reshape(-1, 2) @ np.array([1, 1j])
        first = np.arange(int(context.CktElement.NumPhases()))
        found = _through(context, str(name), whole, first)
        nodes = (np.asarray(context.CktElement.NodeRef(), dtype=np.int64) - 1)[first]
        amps.append(Affine(-now[first], -found.slope))
        volts.append(Affine(whole.constant[nodes], whole.slope[nodes]))
    return _stacked(volts), _stacked(amps)


def _stacked(parts: list[Affine]) -> Affine:
    return Affine(np.concatenate([p.constant for p in parts]), np.concatenate([p.slope for p in parts]))

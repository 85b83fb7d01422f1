"""An OpenDSS file opened as a circuit whose loads are ours, with taps and capacitors where its controls left them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapters.grid.engine import AS_PLANNED, ModelError
from adapters.grid.errors import GridInputError
from adapters.grid.feeder import FloatArray, IntArray
from adapters.grid.opendss_core import MAX_ITERATIONS, TOLERANCE_PU, V_MAX_PU, V_MIN_PU, new_context, run

VARIABLE = 0
"""Status of a load that follows ``LoadMult``; fixed and exempt ones do not."""


@dataclass(frozen=True)
class DssCase:
    """What an engine needs besides the file.

    ``node_rows`` (n_bus,) are places in ``Circuit.AllNodeNames``, ``base_v`` (n_bus,) phase-to-neutral bases,
    ``load_rows`` (n_points,) rows of ``Loads``; ``taps`` the per-unit taps of every transformer winding,
    ``capacitors`` the states of every capacitor's steps.
    """

    path: Path
    node_rows: IntArray
    base_v: FloatArray
    load_rows: IntArray
    taps: tuple[tuple[str, tuple[float, ...]], ...]
    capacitors: tuple[tuple[str, tuple[int, ...]], ...] = ()


def open_case(case: DssCase, error: ModelError = AS_PLANNED) -> Any:
    """A context of its own with the case compiled, its taps as recorded, controls off, the model error applied."""
    context = new_context()
    run(context, [f'compile "{case.path}"'], case.path.name)
    settle(context)
    run(context, ["set controlmode=off"], case.path.name)
    for name, taps in case.taps:
        context.Transformers.Name(name)
        for winding, tap in enumerate(taps, start=1):
            context.Transformers.Wdg(winding)
            context.Transformers.Tap(tap)
    for name, states in case.capacitors:
        context.Capacitors.Name(name)
        context.Capacitors.States(list(states))
    _apply(context, error)
    return context


def _apply(context: Any, error: ModelError) -> None:
    if error.line_impedance_factor != 1.0:
        for name in context.Lines.AllNames():
            context.Lines.Name(name)
            for matrix in (context.Lines.RMatrix, context.Lines.XMatrix):
                _scale_matrix(matrix, error.line_impedance_factor)
    if error.source_voltage_pu is not None:
        context.Vsources.First()
        context.Vsources.PU(error.source_voltage_pu)
    if error.tap_pos is not None:
        names = context.RegControls.AllNames()
        if not names or str(names[0]).lower() == "none":
            raise GridInputError("tap_pos is given, but no transformer of the feeder has a tap control.")
        for name in names:
            context.RegControls.Name(name)
            context.Transformers.Name(context.RegControls.Transformer())
            half = int(context.Transformers.NumTaps()) // 2
            if not -half <= error.tap_pos <= half:
                raise GridInputError(
                    f"tap_pos {error.tap_pos} is outside the range {-half}..{half} of {name}."
                )
            context.RegControls.TapNumber(error.tap_pos)


def _scale_matrix(matrix: Any, factor: float) -> None:
    """Multiply an impedance matrix; OpenDSS reads and writes it in different units of length."""
    old = np.array(matrix(), dtype=np.float64).ravel()
    matrix(old.tolist())
    read_back = np.array(matrix(), dtype=np.float64).ravel()
    used = np.abs(old) > 0
    conversion = float((read_back[used] / old[used]).mean()) if used.any() else 1.0
    matrix((old * factor / conversion).tolist())


def settle(context: Any) -> tuple[float, list[str]]:
    """Make powers count as they are set, whatever the file says of that, and solve tightly.

    A file can scale all loads (``LoadMult``, ``Year``) or solve them as impedances (``LoadModel=admittance``): a plant
    that is told 2 kW would then draw something else, and say that it has converged.

    Returns:
        What the file multiplies its own loads by, and what was changed, a sentence each.
    """
    solution = context.Solution
    scale, notes = float(solution.LoadMult()), []
    if scale != 1.0:
        notes.append(
            f"LoadMult of the file is {scale:g}: nominal powers are its loads times that (fixed ones as they are)."
        )
    if int(solution.Year()) != 0:
        notes.append(
            f"Year {int(solution.Year())} of the file is not applied: its loads are taken without growth."
        )
    if int(solution.LoadModel()) != 1:
        notes.append(
            "LoadModel=admittance of the file is not applied: loads have the models that they state."
        )
    commands = [
        "set loadmult=1 year=0 loadmodel=powerflow algorithm=normal",
        f"set tolerance={TOLERANCE_PU} maxiterations={MAX_ITERATIONS} mode=snapshot",
    ]
    if str(next(iter(context.Loads.AllNames()), "none")).lower() != "none":
        commands.append(f"batchedit load..* vminpu={V_MIN_PU} vlowpu=0 vmaxpu={V_MAX_PU:g}")
    run(context, commands, "settings")
    return scale, notes


def scale_loads(context: Any, factor: float) -> None:
    """Multiply the power of every load that follows ``LoadMult``."""
    for row in range(int(context.Loads.Count())):
        context.Loads.Idx(row + 1)
        if int(context.Loads.Status()) == VARIABLE:
            p_kw, q_kvar = float(context.Loads.kW()), float(context.Loads.kvar())
            context.Loads.kW(factor * p_kw)
            context.Loads.kvar(factor * q_kvar)

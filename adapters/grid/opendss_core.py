"""One OpenDSS context per feeder: its commands, its nodes and its branches. Nothing here is shared or global."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from adapters.grid.errors import GridInputError
from adapters.grid.feeder import FloatArray, IntArray

TOLERANCE_PU = 1e-11
MAX_ITERATIONS = 200
V_MIN_PU = 0.01  # below it a load would turn into an impedance; OpenDSS's default is 0.95
V_MAX_PU = 9.0  # the same above it


def new_context() -> Any:
    """A fresh OpenDSS that opens no windows, changes no folder and raises on errors."""
    from opendssdirect import dss

    context = dss.NewContext()
    context.Basic.AllowForms(False)
    context.Basic.AllowEditor(False)
    context.Basic.AllowChangeDir(False)
    context.Error.UseExceptions(True)
    context.Basic.ClearAll()
    return context


def run(context: Any, commands: Iterable[str], where: str) -> None:
    """Run commands.

    Raises:
        GridInputError: OpenDSS refuses one; the text is its own, with file and line where it has them.
    """
    for command in commands:
        try:
            context.Text.Command(command)
        except Exception as error:  # the exception class depends on the backend
            raise GridInputError(f"{where}: OpenDSS refuses {command!r}: {error}") from error


def solve(context: Any) -> bool:
    """Solve at a tight tolerance; False where it does not converge or a voltage is no number.

    Every solution starts from the no-load one: a scenario must not depend on the one before it.
    """
    try:
        context.YMatrix.SolutionInitialized(False)
        context.Solution.Solve()
    except Exception:  # "max iterations reached" comes as an exception, what it left is judged below
        return False
    return bool(context.Solution.Converged()) and bool(np.isfinite(node_voltages(context)).all())


def node_voltages(context: Any) -> Any:
    """Complex voltages to ground in V, in the order of ``Circuit.AllNodeNames``."""
    pairs = np.asarray(context.Circuit.AllBusVolts(), dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0] + 1j * pairs[:, 1]


def set_powers(context: Any, load_rows: IntArray, p_gen_w: FloatArray, q_gen_var: FloatArray) -> None:
    """Set loads (by their row in ``Loads``, from zero) to the negative of what is fed in."""
    loads = context.Loads
    for row, p_w, q_var in zip(load_rows.tolist(), p_gen_w.tolist(), q_gen_var.tolist(), strict=True):
        loads.Idx(row + 1)
        loads.kW(-p_w / 1e3)
        loads.kvar(-q_var / 1e3)


def varying_loads(context: Any, load_rows: IntArray) -> dict[int, str]:
    """Place among ``load_rows`` and name of the loads whose power depends on their voltage (any model but 1)."""
    loads, found = context.Loads, {}
    for place, row in enumerate(load_rows.tolist()):
        loads.Idx(row + 1)
        if int(loads.Model()) != 1:
            found[place] = str(loads.Name())
    return found


def load_w(context: Any, name: str) -> float:
    """Active power that a load draws in the last solution."""
    context.Circuit.SetActiveElement(f"Load.{name}")
    return float(np.asarray(context.CktElement.Powers(), dtype=np.float64)[::2].sum() * 1e3)


class BranchReader:
    """Currents and powers of all series elements at once, by element, terminal and conductor."""

    def __init__(self, context: Any) -> None:
        """Learn the layout of the flat arrays that OpenDSS returns."""
        self._elements = context.PDElements
        self.names = [str(name) for name in self._elements.AllNames()]
        self.conductors = np.asarray(self._elements.AllNumConductors(), dtype=np.int64)
        self.terminals = np.asarray(self._elements.AllNumTerminals(), dtype=np.int64)
        self.first = np.concatenate([[0], np.cumsum(self.conductors * self.terminals)[:-1]])

    def position(self, element: int, terminal: int, conductor: int) -> int:
        """Place of a conductor of a terminal in the arrays of ``read``."""
        return int(self.first[element] + terminal * self.conductors[element] + conductor)

    def read(self) -> tuple[Any, FloatArray]:
        """Complex currents in A and active powers in W, both into the element."""
        current = np.asarray(self._elements.AllCurrents(), dtype=np.float64).reshape(-1, 2)
        power = np.asarray(self._elements.AllPowers(), dtype=np.float64).reshape(-1, 2)
        return current[:, 0] + 1j * current[:, 1], power[:, 0] * 1e3

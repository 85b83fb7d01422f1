"""On-load tap changer: the plant moves its tap to hold a voltage, step by step, and remembers where it is."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from adapters.grid.engine import AS_PLANNED, Engine, GridState, ModelError
from adapters.grid.errors import GridInputError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder, FloatArray
from adapters.grid.normalise import label
from adapters.grid.taps import tapped_transformers

Solved = TypeVar("Solved")


@dataclass(frozen=True)
class TapControl:
    """Hold ``v_set_pu`` at the transformer's secondary; the tap rests within half a ``band_pu`` around it."""

    v_set_pu: float = 1.0
    band_pu: float = 0.03


class TapChanger:
    """A feeder's one transformer with a tap, under control. Engines of the positions visited are kept.

    ``position`` is the state; the gate may read it, only ``settle`` moves it.
    """

    def __init__(
        self, feeder: Feeder, engine: str, control: TapControl, model_error: ModelError = AS_PLANNED
    ) -> None:
        """Bind to a feeder at the case's position (or the model error's).

        Raises:
            GridInputError: not exactly one transformer with a tap range, or a band that is narrower than a step,
                so that the tap would hunt.
        """
        net = feeder.native
        rows = tapped_transformers(net) if hasattr(net, "trafo") else []
        if len(rows) != 1:
            raise GridInputError(
                f"tap control needs exactly one transformer with a tap, {feeder.name} has {len(rows)}."
            )
        trafo, name = net.trafo.iloc[rows[0]], label(net, "trafo", rows[0])
        if not (trafo.tap_max > trafo.tap_min):
            raise GridInputError(f"{name}: the case states no range of tap positions.")
        if not control.band_pu > abs(trafo.tap_step_percent) / 100:
            raise GridInputError(
                f"{name}: a band of {control.band_pu:g} pu is narrower than a tap step of "
                f"{trafo.tap_step_percent:g} %, the tap would never rest."
            )
        self._feeder, self._engine_name, self._control, self._error = feeder, engine, control, model_error
        self._engines: dict[int, Engine] = {}
        self.keeps_ends = False  # as of an ``Engine``
        self.low, self.high = int(trafo.tap_min), int(trafo.tap_max)
        self.position = int(trafo.tap_pos) if model_error.tap_pos is None else model_error.tap_pos
        # a higher position on the high-voltage side lowers the secondary voltage
        self._raise = 1 if (trafo.tap_side == "lv") == (trafo.tap_step_percent > 0) else -1
        stride = 1 if feeder.balanced else 3
        self._rows = [stride * int(trafo.lv_bus) + i for i in range(stride)]

    def engine(self, position: int | None = None) -> Engine:
        """The engine with the tap at ``position``, by default where it is now."""
        at = self.position if position is None else position
        if at not in self._engines:
            error = dataclasses.replace(self._error, tap_pos=at)
            self._engines[at] = make_engine(self._feeder, self._engine_name, error)
        self._engines[at].keeps_ends = self.keeps_ends
        return self._engines[at]

    def settle(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """Move the tap until the voltage is in its band or the range ends, and return the state there.

        Args:
            p_gen_w: (k, n_points) powers into the grid; the first row moves the tap, all are solved where it rests.
            q_gen_var: (k, n_points).

        A power flow that does not converge leaves the tap where it is.
        """
        return self.rest(lambda engine: engine.solve(p_gen_w, q_gen_var), lambda state: state)

    def rest(self, solve: Callable[[Engine], Solved], state_of: Callable[[Solved], GridState]) -> Solved:
        """The same with any solution that has a state, for example one that inverters answer to.

        A position is taken once: what answers to the voltage cannot make the tap go back and forth.
        """
        found, visited = solve(self.engine()), {self.position}
        while (there := self._next(state_of(found))) is not None and there not in visited:
            moved = solve(self.engine(there))
            if not state_of(moved).converged[0]:
                return found
            self.position, found = there, moved
            visited.add(there)
        return found

    def _next(self, state: GridState) -> int | None:
        """Where the tap wants to go; None where it rests or cannot."""
        if not state.converged[0]:
            return None
        gap = float(state.v_pu[0, self._rows].mean()) - self._control.v_set_pu
        there = self.position + (self._raise if gap < 0 else -self._raise)
        return there if abs(gap) > self._control.band_pu / 2 and self.low <= there <= self.high else None


class Following:
    """The operator's engine: the same feeder as planned, with the tap where the plant last had it."""

    def __init__(self, feeder: Feeder, engine: str, position: int) -> None:
        """Bind to a feeder with the tap at ``position``; engines of the positions visited are kept."""
        self._engine_name = engine
        self._engines: dict[int, Engine] = {}
        self.feeder, self.position = feeder, position
        self.name, self.keeps_ends = engine, False
        self.dead_buses = getattr(self._at(), "dead_buses", ())

    def _at(self) -> Engine:
        if self.position not in self._engines:
            error = ModelError(tap_pos=self.position)
            self._engines[self.position] = make_engine(self.feeder, self._engine_name, error)
        return self._engines[self.position]

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """See ``Engine.solve``."""
        return self._at().solve(p_gen_w, q_gen_var)

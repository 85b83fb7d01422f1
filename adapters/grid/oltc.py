"""On-load tap changers: the plant moves its taps to hold voltages, step by step, and remembers where they are."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from adapters.grid.engine import AS_PLANNED, Engine, GridState, ModelError
from adapters.grid.errors import GridInputError
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder, FloatArray
from adapters.grid.normalise import label
from adapters.grid.taps import set_positions, tapped_transformers
from adapters.grid.topology import energised_buses

Solved = TypeVar("Solved")
Positions = tuple[int, ...]
"""One per transformer of the case that has a tap, in the order of the case."""


@dataclass(frozen=True)
class TapControl:
    """Hold ``v_set_pu`` at the transformer's secondary; the tap rests within half a ``band_pu`` around it.

    ``transformer`` names the one that is meant; None: every transformer with a tap.
    """

    v_set_pu: float = 1.0
    band_pu: float = 0.03
    transformer: str | None = None


@dataclass(frozen=True)
class _Tap:
    """One tap under control: its place in ``Positions``, range, and the rows whose mean voltage it holds.

    ``up``: the step that raises the secondary voltage. ``depth``: branches between it and the source.
    """

    place: int
    name: str
    control: TapControl
    low: int
    high: int
    up: int
    rows: tuple[int, ...]
    depth: int

    def wish(self, state: GridState) -> int:
        """The step that it wants to make; 0 where the voltage is in its band."""
        gap = float(state.v_pu[0, list(self.rows)].mean()) - self.control.v_set_pu
        return 0 if not abs(gap) > self.control.band_pu / 2 else self.up if gap < 0 else -self.up

    def next(self, state: GridState, positions: Positions) -> Positions | None:
        """Where it wants to go; None where it rests or is at the end of its range."""
        step = self.wish(state)
        there = positions[self.place] + step
        if not step or not self.low <= there <= self.high:
            return None
        return (*positions[: self.place], there, *positions[self.place + 1 :])


class TapChanger:
    """A feeder's transformers with a tap, under control. Engines of the positions visited are kept.

    Each holds the voltage of its own secondary. Of several that want to move, the one nearest to the source does,
    as time grading has it: those below see what it leaves them. ``positions`` is the state, of all taps of the case;
    the gate may read it, only ``settle`` and ``rest`` move it.
    """

    def __init__(
        self,
        feeder: Feeder,
        engine: str,
        control: TapControl | Sequence[TapControl] = (),
        model_error: ModelError = AS_PLANNED,
    ) -> None:
        """Bind to a feeder at the case's positions (or the model error's).

        Raises:
            GridInputError: no transformer with a tap (or none of that name), one without range, in parallel to
                another or in a loop, or turned to the source, or a band that is narrower than a step, so that the
                tap would hunt.
        """
        net = feeder.native
        rows = tapped_transformers(net) if hasattr(net, "trafo") else []
        if not rows:
            raise GridInputError(f"tap control needs a transformer with a tap, {feeder.name} has none.")
        controls = [control] if isinstance(control, TapControl) else list(control) or [TapControl()]
        moved = set_positions(net, model_error)
        self.positions: Positions = tuple(moved.get(i, int(net.trafo.tap_pos.iloc[i])) for i in rows)
        self.taps = _taps(feeder, rows, controls)
        self._feeder, self._engine_name, self._error = feeder, engine, model_error
        self._engines: dict[Positions, Engine] = {}
        self.keeps_ends = False  # as of an ``Engine``

    @property
    def position(self) -> int:
        """Where the first tap under control is: the one there usually is."""
        return self.positions[self.taps[0].place]

    @property
    def low(self) -> int:
        """Its lowest position."""
        return self.taps[0].low

    @property
    def high(self) -> int:
        """Its highest position."""
        return self.taps[0].high

    def engine(self, positions: Positions | None = None) -> Engine:
        """The engine with the taps at ``positions``, by default where they are now."""
        at = self.positions if positions is None else positions
        if at not in self._engines:
            error = dataclasses.replace(self._error, tap_pos=None, tap_positions=at)
            self._engines[at] = make_engine(self._feeder, self._engine_name, error)
        self._engines[at].keeps_ends = self.keeps_ends
        return self._engines[at]

    def settle(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """Move the taps until the voltages are in their bands or the ranges end, and return the state there.

        Args:
            p_gen_w: (k, n_points) powers into the grid; the first row moves the taps, all are solved where they rest.
            q_gen_var: (k, n_points).

        A power flow that does not converge leaves the taps where they are.
        """
        return self.rest(lambda engine: engine.solve(p_gen_w, q_gen_var), lambda state: state)

    def rest(self, solve: Callable[[Engine], Solved], state_of: Callable[[Solved], GridState]) -> Solved:
        """The same with any solution that has a state, for example one that inverters answer to.

        Positions are taken once: what answers to the voltage cannot make taps go back and forth.
        """
        found, visited = solve(self.engine()), {self.positions}
        while (there := self._next(state_of(found), visited)) is not None:
            visited.add(there)
            moved = solve(self.engine(there))
            if not state_of(moved).converged[0]:
                return found
            self.positions, found = there, moved
        return found

    def stuck(self, state: GridState) -> bool:
        """Whether a tap would go on, and its range or its way so far ends here."""
        return bool(state.converged[0]) and any(tap.wish(state) for tap in self.taps)

    def _next(self, state: GridState, visited: set[Positions]) -> Positions | None:
        if not state.converged[0]:
            return None
        for tap in self.taps:  # from the source downwards
            there = tap.next(state, self.positions)
            if there is not None and there not in visited:
                return there
        return None


def _taps(feeder: Feeder, rows: list[int], controls: list[TapControl]) -> tuple[_Tap, ...]:
    """The taps under control, from the source downwards."""
    net = feeder.native
    names = [label(net, "trafo", i) for i in rows]
    of: dict[int, TapControl] = {}
    for control in controls:
        chosen = [j for j, name in enumerate(names) if control.transformer in (None, name)]
        if not chosen:
            raise GridInputError(
                f"no transformer {control.transformer!r} with a tap; there is {', '.join(map(repr, names))}."
            )
        of |= dict.fromkeys(chosen, control)
    taps = [_tap(feeder, place, rows[place], control) for place, control in sorted(of.items())]
    return tuple(sorted(taps, key=lambda tap: (tap.depth, tap.place)))


def _tap(feeder: Feeder, place: int, row: int, control: TapControl) -> _Tap:
    net = feeder.native
    trafo, name = net.trafo.iloc[row], label(net, "trafo", row)
    if not (trafo.tap_max > trafo.tap_min):
        raise GridInputError(f"{name}: the case states no range of tap positions.")
    if not control.band_pu > abs(trafo.tap_step_percent) / 100:
        raise GridInputError(
            f"{name}: a band of {control.band_pu:g} pu is narrower than a tap step of "
            f"{trafo.tap_step_percent:g} %, the tap would never rest."
        )
    stride = 1 if feeder.balanced else 3
    # a higher position on the high-voltage side lowers the secondary voltage
    up = 1 if (trafo.tap_side == "lv") == (trafo.tap_step_percent > 0) else -1
    held = tuple(stride * int(trafo.lv_bus) + i for i in range(stride))
    depth = _depth(feeder, stride * int(trafo.hv_bus), stride * int(trafo.lv_bus), name)
    return _Tap(place, name, control, int(trafo.tap_min), int(trafo.tap_max), up, held, depth)


def _depth(feeder: Feeder, primary: int, secondary: int, name: str) -> int:
    """Branches between the source and the transformer. Raises where it is not the only way to its secondary."""
    site: Any = feeder.site.tolist()
    pairs = {(site[a], site[b]) for a, b in zip(feeder.branch_from, feeder.branch_to, strict=True)}
    ends = (site[primary], site[secondary])
    source = site[feeder.slack_bus]
    others = [pair for pair in pairs if set(pair) != set(ends)]
    reached = energised_buses(site, others, [source])
    between = [
        k
        for k, kind in enumerate(feeder.branch_kind)
        if kind == "trafo" and {site[feeder.branch_from[k]], site[feeder.branch_to[k]]} == set(ends)
    ]
    if ends[1] in reached and ends[0] not in reached:
        raise GridInputError(
            f"{name}: its low-voltage side faces the source, there is no voltage to hold behind it."
        )
    if ends[1] in reached or len(between) > (1 if feeder.balanced else 3):
        raise GridInputError(
            f"{name}: its secondary is fed another way as well (a loop or a parallel transformer); taps that share "
            "a voltage would work against each other, and masters and followers are not modelled."
        )
    near, depth = {source}, 0
    while ends[0] not in near:
        near |= {b for pair in pairs for a, b in (pair, pair[::-1]) if a in near}
        depth += 1
    return depth


class Following:
    """The operator's engine: the same feeder as planned, with the taps where the plant last had them."""

    def __init__(self, feeder: Feeder, engine: str, positions: Positions) -> None:
        """Bind to a feeder with the taps at ``positions``; engines of the positions visited are kept."""
        self._engine_name = engine
        self._engines: dict[Positions, Engine] = {}
        self.feeder, self.positions = feeder, positions
        self.name, self.keeps_ends = engine, False
        self.dead_buses = getattr(self.at(), "dead_buses", ())

    def at(self) -> Engine:
        """The engine of the present positions: it stays what it is when the taps move on."""
        if self.positions not in self._engines:
            error = ModelError(tap_positions=self.positions)
            self._engines[self.positions] = make_engine(self.feeder, self._engine_name, error)
        return self._engines[self.positions]

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        """See ``Engine.solve``."""
        return self.at().solve(p_gen_w, q_gen_var)

    def frozen(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> tuple[Engine, FloatArray, FloatArray]:
        """The engine of the present positions, with the same powers (see ``inverter_engine.Believing``)."""
        return self.at(), p_gen_w, q_gen_var

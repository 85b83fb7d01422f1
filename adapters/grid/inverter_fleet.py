"""Inverters and the feeder together: a fixed point of curves and power flow, for all scenarios at once."""

from dataclasses import dataclass, field

import numpy as np

from adapters.grid.engine import BoolArray, Engine, GridState
from adapters.grid.errors import GridInputError
from adapters.grid.feeder import Feeder, FloatArray, IntArray
from adapters.grid.inverter_curves import InverterSettings, inverter_output

RESIDUAL_PU = 1e-4
MAX_ITERATIONS = 60
_LEAST_STEP = 0.02
_MEMORY = 3
"""Steps that are mixed."""


@dataclass(frozen=True)
class InverterFleet:
    """Inverters: ``point`` (m,) rows of ``Feeder.points``, ``s_rated_va`` (m,) rated apparent power.

    ``p_rated_w`` (m,): rated active power, at most the apparent; None: equal to it.

    ``others``: settings of the rows among them that have not ``settings``. ``solar``: rows that are off while they
    have nothing to feed in, and give no reactive power then.
    """

    settings: InverterSettings
    point: IntArray
    s_rated_va: FloatArray
    others: tuple[tuple[InverterSettings, IntArray], ...] = ()
    solar: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    p_rated_w: FloatArray | None = None

    def output(self, v_pu: FloatArray, p_available_w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Active and reactive power (k, m) into the grid at the voltages of their terminals, (k, m)."""
        active_w = self.s_rated_va if self.p_rated_w is None else self.p_rated_w
        p_w, q_var = inverter_output(self.settings, v_pu, p_available_w, self.s_rated_va, active_w)
        for settings, own in self.others:
            p_w[:, own], q_var[:, own] = inverter_output(
                settings, v_pu[:, own], p_available_w[:, own], self.s_rated_va[own], active_w[own]
            )
        if len(self.solar):
            q_var[:, self.solar] *= p_available_w[:, self.solar] > 0
        return p_w, q_var


@dataclass(frozen=True)
class InverterSolution:
    """A power flow with inverters that answer to its voltages.

    ``p_w`` and ``q_var`` (k, m) are what the inverters feed in. ``residual_pu`` (k,) is the largest difference
    between that and what their curves ask for at the solved voltages, per unit of rated power; ``converged``
    (k,) is False where it stayed above 1e-4 or the power flow did not converge. ``iterations`` power flows.
    """

    state: GridState
    p_w: FloatArray
    q_var: FloatArray
    residual_pu: FloatArray
    converged: BoolArray
    iterations: int


def terminal_rows(feeder: Feeder, point: IntArray) -> tuple[IntArray, IntArray]:
    """Bus rows of connection points, and where each point's begin: one row, or the three of a three-phase point."""
    rows: list[list[int]] = []
    for i in point:
        bus, phases = feeder.points[i].bus, feeder.points[i].phases
        whole = not feeder.balanced and phases == "abc"
        rows.append(np.flatnonzero(feeder.site == feeder.site[bus]).tolist() if whole else [bus])
    first = np.cumsum([0, *(len(each) for each in rows)])[:-1]
    return np.array([row for each in rows for row in each], dtype=np.int64), first.astype(np.int64)


def solve_with_inverters(
    engine: Engine,
    p_other_w: FloatArray,
    q_other_var: FloatArray,
    fleet: InverterFleet,
    p_available_w: FloatArray,
) -> InverterSolution:
    """Find powers and voltages that fit each other.

    Every scenario is iterated by itself, with Anderson's mixing of its last steps (Anderson 1965; Walker and Ni 2011,
    doi 10.1137/10078356X); whenever its residual grows it forgets them and goes half as far, so that steep curves on
    a weak feeder settle too. Scenarios that are done are not solved again.

    Args:
        engine: bound to the feeder.
        p_other_w: (k, n_points) active power of everything else, into the grid.
        q_other_var: (k, n_points) its reactive power.
        fleet: the inverters; several may share a point.
        p_available_w: (k, m) what they could feed in.

    Raises:
        GridInputError: shapes that do not fit, or an inverter without rating.
    """
    k = len(p_available_w)
    _check(fleet, p_other_w, p_available_w)
    work = _Relaxation(engine, p_other_w, q_other_var, fleet, p_available_w)
    rows = np.arange(k)
    iterations = 0
    while len(rows) and iterations < MAX_ITERATIONS:
        rows = work.step(rows)
        iterations += 1
    state = engine.solve(*work.totals(np.arange(k)))
    residual = work.residual_of(np.arange(k), state)
    return InverterSolution(
        state=state,
        p_w=work.p_w,
        q_var=work.q_var,
        residual_pu=residual,
        converged=state.converged & (residual <= RESIDUAL_PU),
        iterations=iterations + 1,
    )


def _check(fleet: InverterFleet, p_other_w: FloatArray, p_available_w: FloatArray) -> None:
    k, m = p_available_w.shape
    if fleet.point.shape != (m,) or fleet.s_rated_va.shape != (m,) or p_other_w.shape[0] != k:
        raise GridInputError(f"{m} inverters in {k} scenarios do not fit the fleet or the other powers.")
    if not (fleet.s_rated_va > 0).all():
        raise GridInputError(f"inverter {int(np.argmin(fleet.s_rated_va))} has no rated apparent power.")
    if (
        fleet.p_rated_w is not None
        and not ((fleet.p_rated_w > 0) & (fleet.p_rated_w <= fleet.s_rated_va * (1 + 1e-12))).all()
    ):
        raise GridInputError("rated active power must be above 0 and at most the rated apparent power.")


class _Relaxation:
    """The state of the iteration."""

    def __init__(
        self,
        engine: Engine,
        p_other_w: FloatArray,
        q_other_var: FloatArray,
        fleet: InverterFleet,
        p_w: FloatArray,
    ) -> None:
        self._engine, self._fleet = engine, fleet
        self._rows, self._first = terminal_rows(engine.feeder, fleet.point)
        self._phases = np.diff(np.append(self._first, len(self._rows)))
        self._p_other_w, self._q_other_var, self._available_w = p_other_w, q_other_var, p_w
        self._place = np.zeros((len(fleet.point), p_other_w.shape[1]))
        self._place[np.arange(len(fleet.point)), fleet.point] = 1.0
        self.p_w, self.q_var = np.minimum(p_w, fleet.s_rated_va), np.zeros_like(p_w)
        self._step = np.full(len(p_w), 1.0)
        self._last = np.full(len(p_w), np.inf)
        shape = (len(p_w), 2 * len(fleet.point))
        self._gap, self._move = np.zeros(shape), np.zeros(shape)
        self._gaps, self._moves = (np.zeros((_MEMORY, *shape)) for _ in range(2))
        self._count = 0

    def totals(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Powers of all points with the inverters' present output."""
        return (
            self._p_other_w[rows] + self.p_w[rows] @ self._place,
            self._q_other_var[rows] + self.q_var[rows] @ self._place,
        )

    def _wanted(self, rows: IntArray, state: GridState) -> tuple[FloatArray, FloatArray]:
        v_pu = state.v_pu[:, self._rows]
        if len(self._rows) > len(
            self._first
        ):  # the mean of the phases for three-phase points (IEEE 1547, 4.3)
            v_pu = np.add.reduceat(v_pu, self._first, axis=1) / self._phases
        return self._fleet.output(v_pu, self._available_w[rows])

    def residual_of(self, rows: IntArray, state: GridState) -> FloatArray:
        """Largest difference between wanted and present output, NaN where the power flow failed."""
        p_w, q_var = self._wanted(rows, state)
        gap = np.maximum(np.abs(p_w - self.p_w[rows]), np.abs(q_var - self.q_var[rows]))
        result: FloatArray = (gap / self._fleet.s_rated_va).max(axis=1, initial=0.0)
        return result

    def step(self, rows: IntArray) -> IntArray:
        """One power flow and one mixed step for the given scenarios; returns those that are not done."""
        state = self._engine.solve(*self.totals(rows))
        p_w, q_var = self._wanted(rows, state)
        rated = self._fleet.s_rated_va
        gap = np.concatenate(((p_w - self.p_w[rows]) / rated, (q_var - self.q_var[rows]) / rated), axis=1)
        residual = np.abs(gap).max(axis=1, initial=0.0)
        grew = residual > 0.9 * self._last[rows]
        self._step[rows] = np.where(grew, np.maximum(_LEAST_STEP, self._step[rows] / 2), self._step[rows])
        self._last[rows] = residual
        open_rows = state.converged & ~(residual <= 0.1 * RESIDUAL_PU)
        left: IntArray = rows[open_rows]
        change = self._mixed(left, gap[open_rows], grew[open_rows] | (self._count == 0)) * np.concatenate(
            (rated, rated)
        )
        m = len(rated)
        self.p_w[left] += change[:, :m]
        self.q_var[left] += change[:, m:]
        return left

    def _mixed(self, rows: IntArray, gap: FloatArray, forget: BoolArray) -> FloatArray:
        """The step of each scenario, (rows, 2 m) in pu of rated power; ``forget``: by its gap alone."""
        slot, self._count = self._count % _MEMORY, self._count + 1
        self._gaps[slot, rows] = gap - self._gap[rows]
        self._moves[slot, rows] = self._move[rows]
        for kept in (self._gaps, self._moves):
            kept[:, rows[forget]] = 0.0
        gaps, moves = self._gaps[:, rows], self._moves[:, rows]
        products = np.einsum("hri,gri->rhg", gaps, gaps)
        size = np.einsum("rhh->r", products)
        products += (1e-12 * size + 1e-30)[:, None, None] * np.eye(_MEMORY)
        weight = np.linalg.solve(products, np.einsum("hri,ri->rh", gaps, gap)[:, :, None])[:, :, 0]
        part = self._step[rows, None]
        move: FloatArray = part * gap - np.einsum("rh,hri->ri", weight, moves + part * gaps)
        self._gap[rows], self._move[rows] = gap, move
        return move

"""The trade gate: accepts what the feeder can carry. What leaves it has passed an AC power flow, always."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from adapters.grid.engine import Engine, GridState
from adapters.grid.feeder import FloatArray, IntArray
from market.orders import Fills
from twin.gate.cutting import Cut, DecidedBy, cut
from twin.gate.errors import GateInputError
from twin.gate.limits import Limits, Violation
from twin.gate.screen import asked
from twin.gate.sequential import Weights
from twin.gate.trial import Trial
from twin.gate.units import Units, WattHours, make_units

Status = Literal["idle", "accepted", "cut", "blocked", "inconclusive"]

WORSENING_PU = 1e-7
"""Where the baseline breaks a limit, a trade worsens it beyond this (1e-5 percentage points of loading)."""

NO_BASELINE = "the baseline power flow has no solution"


@dataclass(frozen=True)
class GateProblem:
    """What the gate knows of one interval: forecasts, not what will flow.

    ``p_base_w`` and ``q_base_var`` (n_points,): baseline at the connection points, positive into the grid.
    ``point_of`` (n_participants,): connection point row of each participant. ``fills``: ``FILL_DTYPE`` rows,
    local and upstream; flexible rows move power by side * energy / interval.
    """

    p_base_w: FloatArray
    q_base_var: FloatArray
    point_of: IntArray
    fills: Fills
    interval_s: int


@dataclass(frozen=True)
class GateDecision:
    """What was accepted, and why not the rest.

    ``accepted_wh`` (m,) never exceeds the cleared energy of a fill. ``binding``, ``reason`` and
    ``shadow_price`` are per fill and None or NaN where nothing was cut; the shadow price is in millionths of
    the currency per unit of the binding limit (pu or percent), NaN where no linear programme decided.
    ``averted``: limits (without margin) that everything cleared would have broken beyond what the baseline
    does. ``base_violations``: limits that the baseline breaks itself. ``solves``: power flows asked for.
    ``duals``: entry of ``Limits.bounds`` to shadow price, where a programme of values decided.
    """

    accepted_wh: WattHours
    status: Status
    solves: int
    binding: tuple[str | None, ...]
    shadow_price: FloatArray
    reason: tuple[str | None, ...]
    averted: tuple[Violation, ...] = ()
    base_violations: tuple[Violation, ...] = ()
    decided_by: DecidedBy = "ac"
    duals: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TradeGate:
    """The operator's gate on its own model of the feeder.

    ``margin_v_pu`` and ``margin_loading_percent`` are kept from the limits; they should exceed the difference
    between the gate's engine and any other that will judge the result. With ``robust`` = k the accepted
    schedule stays within limits also when any k deliveries fail (participants whose trades do not happen).
    """

    engine: Engine
    limits: Limits
    margin_v_pu: float
    margin_loading_percent: float
    weights: Weights = "value"
    robust: int = 0
    _judged: Limits = field(init=False, repr=False)
    _tight: Limits = field(init=False, repr=False)

    def __post_init__(self) -> None:
        dead = tuple(int(row) for row in getattr(self.engine, "dead_buses", ()))
        judged = self.limits.without_buses(dead)
        object.__setattr__(self, "_judged", judged)
        object.__setattr__(self, "_tight", judged.tightened(self.margin_v_pu, self.margin_loading_percent))

    @property
    def tight(self) -> Limits:
        """The limits less the margins: what keeps them is let pass."""
        return self._tight

    def decide(self, problem: GateProblem) -> GateDecision:
        """Decide one interval. Raises ``GateInputError`` where the problem contradicts itself."""
        power, reactive = _asked(problem)
        base_w = problem.p_base_w
        state = self.engine.solve(power, reactive)
        if not self.robust and all(self._tight.based_on(state.v_pu[0]).within(state).tolist()):
            return _accept_all(problem, len(power))
        base = tuple(self._judged.violations(state, 0))
        if not state.converged[0] or any(np.isnan(v.value) for v in base):
            return _refuse_all(problem, len(power), base)
        limits = self._tight.no_worse_than(state, 0, WORSENING_PU)
        fits = bool(limits.within(state)[-1])
        if fits and not (self.robust and problem.fills["flexible"].any()):
            return _accept_all(problem, len(power), base)
        units = make_units(problem.fills, problem.point_of, len(base_w), problem.interval_s)
        trial = Trial(
            self.engine, limits, base_w, problem.q_base_var, units, robust=self.robust, solves=len(power)
        )
        if fits and trial.ask(units.energy_wh).passed:
            return _accept_all(problem, trial.solves, base)
        return _explained(problem, trial, cut(trial, self.weights), base, self._averted(state))

    def _averted(self, state: GridState) -> tuple[Violation, ...]:
        """What everything would have broken, without margin, beyond the baseline's own violations."""
        return tuple(
            self._judged.no_worse_than(state, 0, WORSENING_PU).violations(state, len(state.converged) - 1)
        )


def _asked(problem: GateProblem) -> tuple[FloatArray, FloatArray]:
    """Powers of the baseline and, where it differs, of everything accepted; checks the pool's balance."""
    power, reactive, surplus = asked(
        problem.fills, problem.point_of, problem.p_base_w, problem.q_base_var, 3600.0 / problem.interval_s
    )
    if surplus:
        raise GateInputError(f"pool sales exceed pool purchases by {surplus} Wh; a clearing must balance")
    return power, reactive


def _accept_all(problem: GateProblem, solves: int, base: tuple[Violation, ...] = ()) -> GateDecision:
    accepted = problem.fills["energy_wh"].astype(np.int64)
    none = (None,) * len(accepted)
    return GateDecision(
        accepted_wh=accepted,
        status="accepted" if accepted.any() else "idle",
        solves=solves,
        binding=none,
        shadow_price=np.full(len(accepted), np.nan),
        reason=none,
        base_violations=base,
        decided_by="ac" if solves > 1 else "screen",
    )


def _refuse_all(problem: GateProblem, solves: int, base: tuple[Violation, ...]) -> GateDecision:
    m = len(problem.fills)
    return GateDecision(
        accepted_wh=np.zeros(m, dtype=np.int64),
        status="inconclusive",
        solves=solves,
        binding=(None,) * m,
        shadow_price=np.full(m, np.nan),
        reason=(NO_BASELINE,) * m,
        base_violations=base,
        decided_by="screen" if solves == 1 else "ac",
    )


def _explained(
    problem: GateProblem, trial: Trial, cut: Cut, base: tuple[Violation, ...], averted: tuple[Violation, ...]
) -> GateDecision:
    """The cut of the units as a decision about the fills."""
    units: Units = trial.units
    accepted = units.rows(cut.accepted_wh)
    less = accepted < problem.fills["energy_wh"]
    flexible = problem.fills["flexible"]
    moved = bool(accepted[flexible].any())
    return GateDecision(
        accepted_wh=accepted,
        status="cut" if moved else "blocked",
        solves=trial.solves,
        binding=tuple(cut.binding[u] if c else None for u, c in zip(units.row_unit, less, strict=True)),
        shadow_price=np.where(less, cut.shadow_price[units.row_unit], np.nan),
        reason=tuple(cut.reason[u] if c else None for u, c in zip(units.row_unit, less, strict=True)),
        averted=averted,
        base_violations=base,
        decided_by=cut.decided_by,
        duals=cut.duals,
    )

"""The feeder operator: decides which trades may flow. Coordination 'none' lets all pass; they are still judged."""

import time
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray, IntArray
from adapters.grid.inverter_engine import Believing
from market.orders import Fills
from twin.gate.central import central, welfare_micro
from twin.gate.envelope import Envelope, envelope
from twin.gate.gate import GateDecision, GateProblem, TradeGate
from twin.gate.limits import Limits
from twin.network_charges import NetworkCharges
from twin.robust_price import RobustPrice, WithRobustPrice
from twin.scenario.coordination_section import CoordinationSection
from twin.trading import Accepted, Session, accepted_set_points
from twin.violations import Snapshot


@dataclass(frozen=True)
class Decided:
    """What leaves the operator: accepted energies and set points, the gate's decision (None: no gate), its time."""

    accepted: Accepted
    decision: GateDecision | None
    problem: GateProblem | None
    wall_ms: float
    envelope: Envelope | None = None  # published for the next interval
    charges: NetworkCharges | None = None  # published for the next interval
    welfare_micro: float | None = None  # of what was accepted, with the supplier's trades
    central_welfare_micro: float | None = None  # of the best schedule within the limits on the same orders
    robust_price: RobustPrice | None = None  # None unless the gate is a robust one
    believed: Snapshot | None = (
        None  # what was averted, where the operator's engine is told something anew each time
    )


class Operator(Protocol):
    """Decides one interval."""

    def decide(self, session: Session) -> Decided:
        """Return what of the session's fills may flow."""
        ...


class LetPass:
    """Coordination 'none'."""

    def __init__(self, interval_s: int) -> None:
        self._interval_s = interval_s

    def decide(self, session: Session) -> Decided:
        """Accept everything."""
        accepted = session.fills["energy_wh"].copy()
        return Decided(accepted_set_points(session, accepted, self._interval_s), None, None, 0.0)


class GateKeeper:
    """Coordination 'gate'."""

    def __init__(self, engine: Engine, limits: Limits, section: CoordinationSection, interval_s: int) -> None:
        margins = (section.margin_v_pu, section.margin_loading_percent)
        self._gate = TradeGate(engine, limits, *margins, weights=section.weights, robust=section.robust)
        self._interval_s = interval_s
        self._believing = engine if isinstance(engine, Believing) else None
        self._point_of = np.arange(len(engine.feeder.points))

    def plain(self) -> TradeGate:
        """The same gate, made for deliveries that all happen."""
        return replace(self._gate, robust=0)

    def decide(self, session: Session) -> Decided:
        """Pass the session through the trade gate."""
        started = time.perf_counter()
        intent = session.intent
        problem = GateProblem(
            intent.p_base_w, intent.q_base_var, self._point_of, session.fills, self._interval_s
        )
        decision = self._gate.decide(problem)
        accepted = accepted_set_points(session, decision.accepted_wh, self._interval_s)
        wall_ms = (time.perf_counter() - started) * 1e3
        believed = _believed(self._believing, problem) if self._believing and decision.averted else None
        return Decided(accepted, decision, problem, wall_ms, believed=believed)


class EnvelopeKeeper:
    """Coordination 'envelope': publishes caps for the next interval from this one's forecasts, and cuts nothing."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        section: CoordinationSection,
        interval_s: int,
        most_w: tuple[FloatArray, FloatArray],
    ) -> None:
        """Bind the operator.

        Args:
            engine: the operator's model.
            limits: the limits, without margins.
            section: the scenario's coordination.
            interval_s: market interval.
            most_w: (n,) each: how much more every participant could export, and import, than its baseline.
        """
        self._engine = engine
        self._limits = limits.tightened(section.margin_v_pu, section.margin_loading_percent)
        self._allocation = section.envelope_allocation
        self._interval_s = interval_s
        self._most_w = most_w

    def decide(self, session: Session) -> Decided:
        """Let everything pass, as it was already capped; publish the next interval's envelope."""
        started = time.perf_counter()
        intent = session.intent
        accepted = accepted_set_points(session, session.fills["energy_wh"].copy(), self._interval_s)
        published = envelope(
            self._engine, self._limits, intent.p_base_w, intent.q_base_var, *self._most_w, self._allocation
        )
        return Decided(accepted, None, None, (time.perf_counter() - started) * 1e3, published)


class WithReference:
    """Any operator, with the central schedule of the same orders solved beside it; the schedule is not used."""

    def __init__(
        self,
        operator: Operator,
        engine: Engine,
        limits: Limits,
        section: CoordinationSection,
        interval_s: int,
    ) -> None:
        self._operator = operator
        self._engine = engine
        self._limits = limits.tightened(section.margin_v_pu, section.margin_loading_percent)
        self._interval_s = interval_s
        self._point_of = np.arange(len(engine.feeder.points))

    def decide(self, session: Session) -> Decided:
        """Decide, and say what the decision and the best schedule are worth."""
        decided = self._operator.decide(session)
        intent = session.intent
        best = central(
            self._engine,
            self._limits,
            intent.p_base_w,
            intent.q_base_var,
            self._point_of,
            intent.wanted,
            session.tariff,
            self._interval_s,
        )
        worth = welfare_micro(_at_own_limits(session), decided.accepted.accepted_wh)
        return replace(
            decided, welfare_micro=worth, central_welfare_micro=best.welfare_micro if best.solved else None
        )


def _at_own_limits(session: Session) -> Fills:
    """The fills with the limits of the orders before any network charge was taken off."""
    wanted, orders = session.intent.wanted, session.intent.orders
    if wanted is orders:
        return session.fills
    fills = session.fills.copy()
    rows = np.searchsorted(wanted["id"], fills["order_id"])
    fills["limit_micro_per_kwh"] = wanted["price_micro_per_kwh"][rows]
    return fills


def make_operator(
    section: CoordinationSection,
    engine: Engine,
    limits: Limits,
    interval_s: int,
    most_w: tuple[FloatArray, FloatArray],
    bearable_micro: IntArray | None = None,
) -> Operator:
    """Return the operator of a scenario's coordination mode.

    ``most_w`` as ``EnvelopeKeeper`` has it, ``bearable_micro`` as ``NodalPricer``; that one is for prices only.
    """
    operator: Operator
    if section.mode == "none":
        operator = LetPass(interval_s)
    elif section.mode == "envelope":
        operator = EnvelopeKeeper(engine, limits, section, interval_s, most_w)
    elif bearable_micro is not None:
        from twin.pricing import DistancePricer, NodalPricer

        if section.price == "distance":
            operator = DistancePricer(engine, section, interval_s)
        else:
            operator = NodalPricer(engine, limits, section, interval_s, bearable_micro)
    else:
        keeper = GateKeeper(engine, limits, section, interval_s)
        operator = WithRobustPrice(keeper, keeper.plain()) if section.robust else keeper
    return WithReference(operator, engine, limits, section, interval_s) if section.reference else operator


def _believed(engine: Believing, problem: GateProblem) -> Snapshot:
    """Baseline and everything as the engine sees them now, in a plain engine: by then it will know something else."""
    p = np.stack((problem.p_base_w, traded_p_w(problem, problem.fills["energy_wh"])))
    plain, p, q = engine.frozen(p, np.stack((problem.q_base_var,) * 2))
    return Snapshot(p[0], q[0], p[1], q[1], plain)


def traded_p_w(problem: GateProblem, energy_wh: FloatArray) -> FloatArray:
    """Power at the connection points with the given energies accepted; (n_points,)."""
    fills = problem.fills
    power = energy_wh * fills["flexible"] * fills["side"] * (3600.0 / problem.interval_s)
    points = problem.point_of[fills["participant"]]
    return problem.p_base_w + np.bincount(points, power, minlength=len(problem.p_base_w))

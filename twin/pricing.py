"""Coordination 'price': the operator cuts nothing, it charges in the next interval for what this one would strain."""

import time
from dataclasses import replace

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray, IntArray
from twin.gate.central import central
from twin.gate.limits import Limits
from twin.gate.price import charges_at, distance_to_source_ohm
from twin.network_charges import NetworkCharges, valued
from twin.operator import Decided
from twin.scenario.coordination_section import CoordinationSection
from twin.tariff import micro
from twin.trading import Accepted, Session, accepted_set_points


def _all_accepted(session: Session, interval_s: int) -> Accepted:
    """Everything, at the charges that the bids knew."""
    charged = replace(session, charges=session.intent.charges)
    return accepted_set_points(charged, session.fills["energy_wh"].copy(), interval_s)


class DistancePricer:
    """Charges by electrical distance to the upstream grid: always the same."""

    def __init__(self, engine: Engine, section: CoordinationSection, interval_s: int) -> None:
        """Work out the distances on the operator's model of the feeder, at no load."""
        n = len(engine.feeder.points)
        distance_ohm = distance_to_source_ohm(engine, np.zeros(n), np.zeros(n))
        self._charges = NetworkCharges.by_distance(
            distance_ohm * micro(section.distance_price_eur_per_kwh_per_ohm)
        )
        self._interval_s = interval_s

    def decide(self, session: Session) -> Decided:
        """Let everything pass."""
        accepted = _all_accepted(session, self._interval_s)
        return Decided(accepted, None, None, 0.0, charges=self._charges)


class NodalPricer:
    """Charges from the duals of the best schedule of the interval's orders, taken before any charge.

    The orders without charges, not those that reacted to them: a charge that works leaves nothing to charge for,
    and would vanish in one interval to be back in the next. Where bisection had to decide there are no duals, and
    the last charges stand.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        section: CoordinationSection,
        interval_s: int,
        bearable_micro: IntArray,
    ) -> None:
        """Bind the operator.

        Args:
            engine: the operator's model.
            limits: the limits, without margins.
            section: the scenario's coordination.
            interval_s: market interval.
            bearable_micro: (n,) highest charge at which a flexible buyer does not wait.
        """
        self._engine = engine
        self._limits = limits.tightened(section.margin_v_pu, section.margin_loading_percent)
        self._interval_s = interval_s
        self._bearable = bearable_micro
        self._every = np.arange(len(engine.feeder.points))
        self._last: NetworkCharges | None = None

    def decide(self, session: Session) -> Decided:
        """Let everything pass; publish the next interval's charges."""
        started = time.perf_counter()
        accepted = _all_accepted(session, self._interval_s)
        self._last = self._charges(session)
        return Decided(accepted, None, None, (time.perf_counter() - started) * 1e3, charges=self._last)

    def _charges(self, session: Session) -> NetworkCharges | None:
        intent, orders = session.intent, valued(session.intent.wanted, self._bearable)
        best = central(
            self._engine, self._limits, intent.p_base_w, intent.q_base_var, self._every, orders, session.tariff,
            self._interval_s,
        )  # fmt: skip
        if not best.solved or not best.optimal:
            return self._last
        moved = orders["flexible"] * orders["side"] * best.accepted_wh * (3600.0 / self._interval_s)
        p: FloatArray = intent.p_base_w + np.bincount(orders["participant"], moved, len(intent.p_base_w))
        energy_micro = session.tariff.retail_micro_per_kwh
        return NetworkCharges.nodal(
            charges_at(
                self._engine, self._limits, p, intent.q_base_var, best.duals, energy_micro, self._interval_s
            )
        )

"""What it costs that accepted trades stand failing deliveries: the same gate decides the same orders without that."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from market.orders import SELL, SUPPLIER
from twin.gate.gate import GateDecision, GateProblem, TradeGate
from twin.gate.units import value_micro_per_kwh
from twin.trading import Session

if TYPE_CHECKING:
    from twin.operator import Decided, Operator


@dataclass(frozen=True)
class RobustPrice:
    """What the plain gate would have let pass beyond the robust one's schedule, in one interval.

    ``lost_wh`` is counted as ``cut_wh``: purchases and sales to the upstream grid. ``lost_nano`` is the trade value by
    which the gate weighs a cut, in billionths of the currency: whole, as millionths per kWh times Wh.
    """

    lost_wh: int = 0
    lost_nano: int = 0


def robust_price(plain: TradeGate, problem: GateProblem, robust: GateDecision) -> RobustPrice:
    """The price of ``robust`` against what ``plain``, the same gate with ``robust=0``, decides on the same problem.

    Where the robust gate let everything pass, or could decide nothing, there is no price and nothing is solved.
    """
    if robust.status not in ("cut", "blocked"):
        return RobustPrice()
    fills = problem.fills
    lost = plain.decide(problem).accepted_wh - robust.accepted_wh
    once = (fills["counterparty"] == SUPPLIER) | (fills["side"] != SELL)
    return RobustPrice(int(lost[once].sum()), int((value_micro_per_kwh(fills) * lost).sum()))


class WithRobustPrice:
    """A robust gate, with the plain one asked beside it; the plain one's decision is not used."""

    def __init__(self, operator: "Operator", plain: TradeGate) -> None:
        self._operator = operator
        self._plain = plain

    def decide(self, session: Session) -> "Decided":
        """Decide, and say what robustness cost."""
        decided = self._operator.decide(session)
        if decided.problem is None or decided.decision is None:
            return decided
        price = robust_price(self._plain, decided.problem, decided.decision)
        return replace(decided, robust_price=price)


@dataclass
class RobustTally:
    """Sums over the run."""

    lost_wh: int = 0
    lost_nano: int = 0
    intervals: int = 0

    def add(self, prices: Iterable[RobustPrice | None]) -> None:
        """Add the prices of intervals."""
        for price in prices:
            if price is not None:
                self.lost_wh += price.lost_wh
                self.lost_nano += price.lost_nano
                self.intervals += price != RobustPrice()

    def kpis(self) -> dict[str, Any]:
        """KPIs of a run with ``coordination.robust``."""
        return {
            "robust_price_micro": self.lost_nano // 1000,
            "robust_cut_wh": self.lost_wh,
            "robust_cut_intervals_count": self.intervals,
        }


NO_PRICE: dict[str, Any] = dict.fromkeys(RobustTally().kpis())
"""The same KPIs of a run whose gate stands no failures."""

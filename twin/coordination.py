"""What is decided before anything flows: the participants' intent, the market's fills, the operator's word."""

from twin.agents import Agents
from twin.fleet import FleetState
from twin.gate.envelope import Envelope
from twin.operator import Decided, Operator
from twin.profiles import Forecaster
from twin.trading import TradingDesk


class Coordination:
    """Takes an interval from the devices' last state to accepted trades and set points.

    What the operator publishes for the next interval stays here until then.
    """

    def __init__(self, agents: Agents, forecaster: Forecaster, desk: TradingDesk, operator: Operator) -> None:
        self.agents, self.forecaster, self.desk, self.operator = agents, forecaster, desk, operator
        self._published: Envelope | None = None

    def decide(self, interval: int, state: FleetState) -> Decided:
        """One interval: forecasts and orders, clearing, and the operator's cut."""
        intent = self.agents.intend(interval, state, *self.forecaster.interval(interval), self._published)
        decided = self.operator.decide(self.desk.clear(intent))
        self._published = decided.envelope
        return decided

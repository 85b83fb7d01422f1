"""What is decided before anything flows: the participants' intent, the market's fills, the operator's word."""

from adapters.grid.engine import Engine
from adapters.grid.feeder import IntArray
from adapters.grid.inverter_engine import InverterEngine
from adapters.grid.oltc import Following, Positions
from twin.agents import Agents
from twin.fleet import FleetState
from twin.gate.envelope import Envelope
from twin.inverters import Inverters
from twin.network_charges import NetworkCharges
from twin.operator import Decided, Operator
from twin.profiles import Forecaster
from twin.purse import Purse
from twin.trading import TradingDesk


class Coordination:
    """Takes an interval from the devices' last state to accepted trades and set points.

    What the operator publishes for the next interval stays here until then.
    """

    def __init__(
        self,
        agents: Agents,
        forecaster: Forecaster,
        desk: TradingDesk,
        operator: Operator,
        purse: Purse | None = None,
        gate_engine: Engine | None = None,
        inverters: Inverters | None = None,
    ) -> None:
        """Bind everybody; ``purse`` None: nobody is asked what it can pay.

        ``gate_engine`` is told where the plant's taps are, if it can follow, and what ``inverters`` are expected to
        carry, if it knows them.
        """
        self._foreseen = gate_engine if isinstance(gate_engine, InverterEngine) else None
        self._inverters = inverters
        behind = gate_engine if self._foreseen is None else self._foreseen.follower
        self._follower = behind if isinstance(behind, Following) else None
        self.purse = purse
        self.agents, self.forecaster, self.desk, self.operator = agents, forecaster, desk, operator
        self._published: Envelope | NetworkCharges | None = None

    def decide(
        self,
        interval: int,
        state: FleetState,
        gained_micro: IntArray | None = None,
        tap: Positions | None = None,
    ) -> Decided:
        """One interval: forecasts and orders, clearing, and the operator's cut.

        ``gained_micro`` is what every participant gained since the start, where there is a purse; ``tap`` where the
        plant left its taps, where they move.
        """
        if self._follower is not None and tap is not None:
            self._follower.positions = tap
        intent = self.agents.intend(interval, state, *self.forecaster.interval(interval), self._published)
        if self.purse is not None and gained_micro is not None:
            intent = self.purse.bound(intent, gained_micro)
        if self._foreseen is not None and self._inverters is not None:
            self._foreseen.foresee(intent.p_base_w, *self._inverters.expected(intent))
        decided = self.operator.decide(self.desk.clear(intent))
        self._published = decided.envelope or decided.charges
        return decided

"""Between the devices' steps and the ledger's intervals."""

from dataclasses import dataclass

from adapters.grid.feeder import FloatArray, IntArray
from twin.billing import BillBook
from twin.disputes import Disputes
from twin.ledger import Entry, Ledger
from twin.plant import WITH, PlantStep
from twin.settlement import Settlement


@dataclass(frozen=True)
class Booked:
    """A solved step and, with the last one of an interval, the interval's account."""

    solved: PlantStep
    entry: Entry | None


class Bookkeeper:
    """Adds up the steps of an interval, books it when it is complete, and passes it on to the settlement."""

    def __init__(
        self,
        ledger: Ledger,
        settlement: Settlement,
        interval_s: int,
        step_s: int,
        bills: BillBook | None = None,
        disputes: Disputes | None = None,
    ) -> None:
        """Bind the books; ``bills`` is told the feeder's losses, ``disputes`` sits between meters and books."""
        self._disputes = disputes
        self._ledger = ledger
        self._settlement = settlement
        self._interval_s = interval_s
        self._step_s = step_s
        self._bills = bills
        self._loss_wh = 0.0
        self._flowed: FloatArray | None = None
        self._metered: FloatArray | None = None

    def balances_micro(self) -> IntArray:
        """What every participant gained since the start; (n,)."""
        return self._settlement.gained_micro()

    def step(self, time_s: int, solved: PlantStep) -> Booked:
        """Take one step; the entry comes with the last step of an interval."""
        devices = solved.devices
        flowed, metered = devices.flows.p_gen_w * (self._step_s / 3600.0), devices.metered_wh
        if self._flowed is None or self._metered is None:
            self._flowed, self._metered = flowed, metered
        else:
            self._flowed, self._metered = self._flowed + flowed, self._metered + metered
        if self._disputes is not None:
            self._disputes.step(time_s, solved)
        self._loss_wh += float(solved.state.loss_w[WITH]) * (self._step_s / 3600.0)
        end_s = time_s + self._step_s
        if end_s % self._interval_s:
            return Booked(solved, None)
        accepted = devices.decided.accepted
        if self._disputes is None:
            entry = self._ledger.book(accepted.session, accepted.accepted_wh, self._flowed, self._metered)
            self._settlement.book(accepted.session, accepted.accepted_wh, entry, end_s)
        else:
            entry = self._disputes.book(accepted, self._flowed, self._metered, end_s)
        if self._bills is not None:
            self._bills.add_losses(self._loss_wh, entry.metered_wh)
        self._flowed = self._metered = None
        self._loss_wh = 0.0
        return Booked(solved, entry)

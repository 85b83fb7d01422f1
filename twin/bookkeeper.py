"""Between the devices' steps and the ledger's intervals."""

from adapters.grid.feeder import FloatArray
from twin.devices import DeviceStep
from twin.ledger import Entry, Ledger
from twin.operator import Decided
from twin.settlement import Settlement


class Bookkeeper:
    """Adds up the steps of an interval, books it when it is complete, and passes it on to the settlement."""

    def __init__(self, ledger: Ledger, settlement: Settlement, interval_s: int, step_s: int) -> None:
        self._ledger = ledger
        self._settlement = settlement
        self._interval_s = interval_s
        self._step_s = step_s
        self._flowed: FloatArray | None = None
        self._metered: FloatArray | None = None

    def step(self, time_s: int, decided: Decided, devices: DeviceStep) -> Entry | None:
        """Take one step of the devices; the entry comes with the last step of an interval."""
        flowed, metered = devices.flows.p_gen_w * (self._step_s / 3600.0), devices.metered_wh
        if self._flowed is None or self._metered is None:
            self._flowed, self._metered = flowed, metered
        else:
            self._flowed, self._metered = self._flowed + flowed, self._metered + metered
        end_s = time_s + self._step_s
        if end_s % self._interval_s:
            return None
        accepted = decided.accepted
        entry = self._ledger.book(accepted.session, accepted.accepted_wh, self._flowed, self._metered)
        self._settlement.book(accepted.session, accepted.accepted_wh, entry, end_s)
        self._flowed = self._metered = None
        return entry

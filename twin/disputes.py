"""Between meters and books: what is agreed on is booked, what is not waits, and a difference is charged.

Exists only in runs whose scenario asks for oracles or imbalance rules, or gives a meter a fault.
"""

from dataclasses import dataclass

from adapters.grid.feeder import FloatArray
from market.netting import Entries
from twin.billing import BillBook
from twin.held import Docket
from twin.imbalance import ImbalanceRules, charged, interval_charges
from twin.ledger import Entry, Ledger
from twin.oracles.consensus import Agreement
from twin.oracles.findings import Findings
from twin.oracles.panel import Panel, Readers
from twin.oracles.witness import Witness
from twin.plant import PlantStep
from twin.settlement import Settlement
from twin.trading import Accepted


@dataclass
class Disputes:
    """Books intervals in place of the ledger alone. ``readers`` None: the ledger's own meters are believed."""

    ledger: Ledger
    settlement: Settlement
    start_s: int
    interval_s: int
    readers: Readers | None = None
    findings: Findings | None = None
    docket: Docket | None = None
    witness: Witness | None = None
    rules: ImbalanceRules | None = None
    bills: BillBook | None = None
    charged_micro: int = 0

    def step(self, time_s: int, solved: PlantStep) -> None:
        """Let everybody read the step that begins at ``time_s``."""
        if self.readers is not None:
            devices = solved.devices
            self.readers.step(time_s, devices.metered_wh, solved.flows, devices.flows)

    def book(self, accepted: Accepted, flowed_wh: FloatArray, metered_wh: FloatArray, end_s: int) -> Entry:
        """Book the interval that ends at simulation second ``end_s``."""
        session, interval = accepted.session, accepted.session.intent.interval
        made = None if self.readers is None else self.readers.close(interval, end_s)
        held = None
        if made is not None:
            metered_wh = made.value_wh.astype(float)
            held = made.held if made.held.any() else None
        entry = self.ledger.book(session, accepted.accepted_wh, flowed_wh, metered_wh, held)
        if self.rules is not None:
            charges = interval_charges(self.rules, session, accepted.accepted_wh, entry)
            entry = charged(entry, charges)
            if self.bills is not None:
                self.bills.add_charges(charges)
        late: list[Entries] = []
        if made is not None and self.docket is not None and self.findings is not None:
            entry, late = self._hear(made, self.docket, self.findings, accepted, entry, end_s)
        if entry.imbalance_micro is not None:
            self.charged_micro += int(entry.imbalance_micro.sum())
        self.settlement.book(session, accepted.accepted_wh, entry, end_s, late)
        return entry

    def _hear(
        self,
        made: Agreement,
        docket: Docket,
        findings: Findings,
        accepted: Accepted,
        entry: Entry,
        end_s: int,
    ) -> tuple[Entry, list[Entries]]:
        """Hold what is not agreed on and book what is decided; the entry, and entries of trades held before."""
        interval, begin_s = accepted.session.intent.interval, end_s - self.interval_s
        if entry.held is not None:
            new = [f for f in findings.rows[-len(entry.held) :] if f.interval == interval]
            docket.hold(new, accepted.session, accepted.accepted_wh, entry, (begin_s, end_s))
        released = docket.decide(end_s)
        if self.witness is not None and isinstance(self.readers, Panel) and self.readers.counted is not None:
            self.witness.add(self.start_s + begin_s, self.start_s + end_s, self.readers.counted)
            for each in released:
                span = self.start_s + each.hold.start_s, self.start_s + each.hold.end_s
                self.witness.add_late(each.hold.finding.row, *span, each.energy_wh)
        late = [each.hold.entries for each in released if len(each.hold.entries)]
        return docket.book(entry, released, interval), late

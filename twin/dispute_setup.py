"""From a scenario's settlement section to what sits between meters and books."""

import numpy as np

from adapters.grid.engine import Engine
from twin.billing import BillBook
from twin.disputes import Disputes
from twin.entry_rows import entry_columns
from twin.held import Docket, Ruling
from twin.imbalance import ImbalanceRules
from twin.ledger import Ledger
from twin.oracles.panel import MetersAlone, Panel
from twin.oracles.witness import Keep, Witness
from twin.prepare import PreparedRun
from twin.profiles import Profiles
from twin.settlement import Settlement
from twin.settlement_chain import market_of


def build_disputes(
    run: PreparedRun,
    ledger: Ledger,
    settlement: Settlement,
    plant_engine: Engine,
    profiles: Profiles,
    bills: BillBook,
    keep: Keep,
) -> Disputes | None:
    """What the scenario asks for; None where every meter is simply believed. ``keep`` takes rows of tables."""
    accounts = settlement.accounts
    settlement.keep = lambda digest, entries: keep("entries", entry_columns(accounts, digest, entries))
    s, section = run.scenario, run.scenario.settlement.oracles
    imbalance, faults = s.settlement.imbalance, run.faults.meters
    if section is None and imbalance is None and not faults:
        return None
    start_s = int(s.start.timestamp())
    rules = None if imbalance is None else ImbalanceRules(imbalance)
    made = Disputes(ledger, settlement, start_s, s.interval_s, rules=rules, bills=bills)
    settlement.keeps_entries = section is not None or imbalance is not None
    if section is None:
        made.readers = MetersAlone(run.people.names, faults, s.interval_s) if faults else None
        return made
    plant_engine.keeps_ends = True
    peak_w = np.asarray(run.table.p, dtype=np.float64).max(axis=0)[run.people.load_profile]
    panel = Panel(
        section, s, run.feeder, run.people, profiles, peak_w * run.people.load_p_rated_w, faults
    )  # fmt: skip
    rows = {name: row for row, name in enumerate(run.people.names)}
    rulings = [Ruling(a.from_s(s.start), rows[a.participant], a.take) for a in section.arbitration]
    after_s = None if section.resolve_after_h is None else section.resolve_after_h * 3600
    made.readers, made.findings = panel, panel.findings
    made.docket = Docket(run.people.n, rulings, after_s, rules, bills)
    made.witness = Witness(
        panel.metering.names, market_of(run), s.seed, panel.meters, panel.meter_oracle, keep
    )  # fmt: skip
    settlement.readings_root_of = made.witness.close
    return made

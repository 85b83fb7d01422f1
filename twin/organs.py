"""The organs of one variant: the domain objects behind the simulators, built and wired to each other's data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.chain.port import SettlementChain
from adapters.export.run_folder import RunFolder
from adapters.grid.engine import Engine
from adapters.grid.factory import make_engine
from adapters.grid.feeder import IntArray
from market.pool_study import PoolStudy
from rigs.bench import OpenBench
from rigs.device import Quality, Sample
from rigs.pacer import Pacer
from twin.agents import Agents
from twin.ahead_setup import make_agents, make_desk
from twin.bench_run import make_pacer, pacer_record, timing_record
from twin.billing import BillBook
from twin.bookkeeper import Bookkeeper
from twin.books import Books
from twin.chronicle import Chronicle, StopRequest
from twin.comparison import Comparison
from twin.coordination import Coordination
from twin.devices import Devices
from twin.dispute_setup import build_disputes
from twin.disputes import Disputes
from twin.field import Field
from twin.gate.limits import Limits
from twin.inverters import Inverters
from twin.ledger import Ledger
from twin.market_setup import LocalMarket, build_comparison, build_market, build_pool_study
from twin.model_error import plant_feeder
from twin.network_charges import bearable_micro
from twin.operator import Operator, make_operator
from twin.plant import Plant
from twin.plant_setup import gate_inverters, make_changer, make_gate_engine, make_plant, plant_inverters
from twin.prepare import PreparedRun
from twin.profiles import Forecaster, Profiles
from twin.progress import ProgressSink
from twin.purse import Purse
from twin.recorder import Recorder
from twin.settlement import Settlement
from twin.shadow_bills import ShadowBills
from twin.tariff import SupplierTariff, micro
from twin.trading import TradingDesk
from twin.world import WorldOrgans


@dataclass
class Organs:
    """One variant's organs."""

    run: PreparedRun
    agents: Agents
    forecaster: Forecaster
    desk: TradingDesk
    market: LocalMarket
    comparison: Comparison | None
    study: PoolStudy | None
    operator: Operator
    devices: Devices
    plant: Plant
    plant_engine: Engine
    gate_engine: Engine
    bookkeeper: Bookkeeper
    bills: BillBook
    settlement: Settlement
    recorder: Recorder
    samples: dict[str, dict[str, Any]]
    bench: OpenBench | None = None
    pacer: Pacer | None = None
    disputes: Disputes | None = None
    purse: Purse | None = None
    foreseen: Inverters | None = None

    def world(self, progress: ProgressSink, stop: StopRequest) -> WorldOrgans:
        """What stands behind each simulator of the world."""
        chronicle = Chronicle(self.recorder, self.run.scenario, progress, stop)
        by_kind = {
            "coordination": Coordination(
                self.agents,
                self.forecaster,
                self.desk,
                self.operator,
                self.purse,
                self.gate_engine,
                self.foreseen,
            ),
            "field": Field(self.devices, self.plant, self.run.coupling == "quasi_static"),
            "books": Books(self.bookkeeper, chronicle),
        }
        balances = None if self.purse is None else self.purse.opening()
        return WorldOrgans(by_kind, self.devices.state, balances, self.pacer, self.plant.tap)

    def device_records(self) -> dict[str, Any]:
        """What was seen of each bench role, and how well wall-clock time was kept, for the manifest."""
        timings = {} if self.bench is None else self.bench.timing()
        return {
            "roles": [
                {"role": role, **record}
                | ({"timing": timing_record(timings[role])} if role in timings else {})
                for role, record in sorted(self.samples.items())
            ],
            "pacer": None if self.pacer is None else pacer_record(self.pacer),
        }


def build(run: PreparedRun, folder: RunFolder, chain: SettlementChain, bench: OpenBench | None) -> Organs:
    """Build all organs of a prepared variant."""
    s, feeder, people = run.scenario, run.feeder, run.people
    real = plant_feeder(s, feeder)
    changer = make_changer(s, real, run.plant_engine, run.model_error)
    inverters = plant_inverters(s, people, run.drivers)
    foreseen = gate_inverters(s, inverters)
    gate_engine = make_gate_engine(feeder, run.gate_engine, changer, foreseen)
    plant_engine = make_engine(real, run.plant_engine, run.model_error)
    dead = getattr(plant_engine, "dead_buses", ())
    limits = Limits.from_section(feeder, s.limits, dead)
    judged = Limits.from_section(feeder, s.limits, dead, short_time=True)
    tariff = SupplierTariff(s.market.supplier, run.day_start_s)
    profiles = Profiles(run.table, s, people)
    market = build_market(s, people.names, gate_engine, people)
    comparison = build_comparison(s.market, people.n, ShadowBills(people.n, s.interval_s))
    study = build_pool_study(s)
    bills = BillBook(people.n, s.interval_s, s.market.bill.losses)
    samples: dict[str, dict[str, Any]] = {}
    bus_of = np.array([point.bus for point in real.points], dtype=np.int64)
    bearable = _bearable(run)
    start_s = int(s.start.timestamp())
    ledger = Ledger(people.n, market.mechanism, bills, market.pools)
    settlement = Settlement(people, chain, f"{s.name}/{run.name}", s.settlement.batch_s, start_s)
    disputes = build_disputes(run, ledger, settlement, plant_engine, profiles, bills, folder.append)
    settlement.keeps_entries |= bearable is not None  # trades alone do not tell what the network charged
    return Organs(
        run=run,
        agents=make_agents(run, tariff, profiles, bearable),
        forecaster=Forecaster(profiles, s, people),
        desk=make_desk(market, run, tariff, comparison, study),
        market=market,
        comparison=comparison,
        study=study,
        operator=make_operator(s.coordination, gate_engine, limits, s.interval_s, people.extra_w, bearable),
        devices=Devices(people, profiles, s.step_s, bus_of, bench, _counting(samples)),
        plant=make_plant(s, people, plant_engine, changer, inverters),
        plant_engine=plant_engine,
        gate_engine=gate_engine,
        bookkeeper=Bookkeeper(ledger, settlement, s.interval_s, s.step_s, bills, disputes),
        bills=bills,
        settlement=settlement,
        recorder=Recorder(folder, s, real, judged, people, comparison, run.table.step_s),
        samples=samples,
        bench=bench,
        pacer=make_pacer(run),
        disputes=disputes,
        purse=None if s.settlement.balances is None else Purse(s.settlement.balances, people.n),
        foreseen=foreseen,
    )


def _bearable(run: PreparedRun) -> IntArray | None:
    """What a charge everybody bears, where charges coordinate."""
    s = run.scenario
    if s.coordination.mode != "price":
        return None
    return bearable_micro(s.seed, run.people.names, micro(s.coordination.charge_bearable_eur_per_kwh))


def _counting(samples: dict[str, dict[str, Any]]) -> Callable[[int, str, Sample], None]:
    """Count every role's samples, and those of bad quality."""

    def on_sample(step: int, role: str, sample: Sample) -> None:
        record = samples.setdefault(
            role, {"driver": "wire" if sample.wire else "memory", "wire_samples": 0, "bad_samples": 0}
        )
        record["wire_samples"] += int(sample.wire)
        record["bad_samples"] += int(sample.quality is not Quality.GOOD)

    return on_sample

"""Judges a finished variant: KPIs, checks, attribution, and the tables that only exist afterwards."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.chain.port import BatchReceipt
from market.tariffs import SupplyTariff
from twin.answers import no_answers
from twin.attributed import (
    KINDS,
    AttributedEpisode,
    attribute_episodes,
    describe_moment,
    share_rows,
    violation_rows,
    worst_moment,
)
from twin.bench_run import time_check
from twin.billing import supply_tariff
from twin.chain_checks import chain_checks, chain_kpis
from twin.chain_outcome import pair
from twin.extremes import LINE, TRAFO, V_MAX, V_MIN
from twin.fault_report import fault_check, fault_columns, findings_of
from twin.gate.kinds import SHORT_TIME
from twin.kpis import kpis
from twin.lasting_rows import lasting_rows
from twin.lasting_shares import LastingShares, attribute_lasting, lasting_violations
from twin.market_tables import market_kpis, market_records, market_tables, whole_bills
from twin.measured import calibration_check, weigh
from twin.mechanism_report import bill_columns, comparison_record
from twin.oracle_report import oracle_check, oracle_kpis, oracle_record, oracle_tables
from twin.organs import Organs
from twin.plant import WITH, WITHOUT
from twin.pool_report import pool_columns, pool_records
from twin.prepare import PreparedRun
from twin.sentence import sentence
from twin.shadow_bills import Pair
from twin.verdict import (
    Check,
    Evidence,
    as_record,
    caused,
    make_checks,
    not_assessed,
    overall,
    smallest_margin,
)


@dataclass(frozen=True)
class Judgement:
    """What judging gave: the contents of kpis.json and verdict.json, and rows of tables."""

    kpis: dict[str, Any]
    verdict: dict[str, Any]
    tables: dict[str, dict[str, list[Any]]]


def judge(
    run: PreparedRun, organs: Organs, receipts: list[BatchReceipt], chain_agrees: bool | None
) -> Judgement:
    """Judge a finished variant.

    Args:
        run: the prepared variant.
        organs: its organs, after the run.
        receipts: the chain's receipts.
        chain_agrees: whether the chain's balances equal the ledger's; None where nothing is settled on a chain.
    """
    s, recorder = run.scenario, organs.recorder
    tariff = supply_tariff(s.market.bill, s.market.supplier)
    numbers = (
        kpis(run, recorder, organs.devices, receipts) | organs.bills.kpis(tariff) | market_kpis(organs.market)
    )
    answers = organs.plant.answers
    numbers |= no_answers() if answers is None else answers.kpis(s.step_s)
    batches = pair(organs.settlement.batches, receipts)
    numbers |= chain_kpis(batches, s.settlement.chain == "embedded")
    numbers |= oracle_kpis(organs.disputes)
    pairs = whole_bills(s.market.mechanism, organs, tariff)
    done = attribute_episodes(organs.plant_engine, organs.gate_engine, recorder)
    findings = findings_of(organs.bench) if run.faults.devices else ()
    checks = make_checks(Evidence(run, recorder, numbers, chain_agrees)) + fault_check(findings, s.interval_s)
    checks += time_check(organs.pacer, organs.bench) + calibration_check(
        organs.bench, datetime.now(UTC).date()
    )
    checks = weigh(checks, organs.bench, run.people, recorder, organs.plant_engine)
    checks += chain_checks(batches, chain_agrees is not None) + oracle_check(organs.disputes)
    lasting = _lasting(run, organs)
    checks = lasting.named(checks, run.people.names)
    outcome = overall(checks)
    verdict = {
        "verdict": outcome,
        "sentence": sentence(s, outcome, checks),
        "judge": s.judge,
        "checks": [as_record(check) for check in checks],
        "not_assessed": not_assessed(s, checks, run.feeder.balanced),
        "smallest_margin": _margin(run, organs, smallest_margin(checks, s.limits)),
        "worst_bus": _worst(run, organs, (V_MIN, V_MAX)),
        "worst_branch": _worst(run, organs, (LINE, TRAFO)),
        "mechanisms": comparison_record(organs.comparison),
        "pools": pool_records(organs.study),
        **market_records(organs.market, run, pairs),
        "oracles": oracle_record(organs.disputes),
        "episodes_without_shares": sum(item.shares is None and item.episode.by_trades for item in done)
        + lasting.left_out,
    }
    tables = {
        "violations": _violations(run, organs, done),
        "shares": _joined(
            share_rows(done, run.people.names, s.step_s, s.interval_s), lasting.rows(run.people.names)
        ),
        "faults": fault_columns(findings),
    }
    return Judgement(numbers, verdict, tables | _of_organs(run, organs, tariff, pairs))


def _of_organs(
    run: PreparedRun, organs: Organs, tariff: SupplyTariff, pairs: dict[str, Pair]
) -> dict[str, dict[str, list[Any]]]:
    """Tables of what the organs kept until the end."""
    s, names, answers = run.scenario, run.people.names, organs.plant.answers
    return {
        "bills": bill_columns(organs.comparison, s.market.mechanism, organs.recorder.totals, names),
        "answers": {} if answers is None else answers.columns(s.start, s.step_s),
        "pools": pool_columns(organs.study),
        "bill_lines": organs.bills.columns(tariff, names),
        **oracle_tables(organs.disputes, names),
        **market_tables(organs.market, names, pairs, s.market.mechanism),
    }


def _lasting(run: PreparedRun, organs: Organs) -> LastingShares:
    s, recorder = run.scenario, organs.recorder
    start_s = int(s.start.timestamp())
    meant = lasting_violations(recorder.lasting, run.feeder.bus_names, s.step_s, s.interval_s, start_s)
    return attribute_lasting(meant, organs.plant_engine)


def _joined(one: dict[str, list[Any]], more: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {key: one.get(key, []) + more.get(key, []) for key in one | more}


def _violations(run: PreparedRun, organs: Organs, done: list[AttributedEpisode]) -> dict[str, list[Any]]:
    s, limits = run.scenario, run.scenario.limits
    short = tuple(
        kind
        for kind in SHORT_TIME
        if getattr(limits, f"highest_{kind}_percent") != getattr(limits, f"{kind}_percent")
    )
    rows = violation_rows(done, s.step_s, s.interval_s, short)
    start_s = int(s.start.timestamp())
    for row in lasting_rows(organs.recorder.lasting, run.feeder, start_s, s.step_s, s.interval_s):
        for key, value in row.items():
            rows.setdefault(key, []).append(value)
    return rows


def _limits(run: PreparedRun) -> dict[int, float]:
    limits = run.scenario.limits
    return {
        V_MIN: limits.voltage_min_pu,
        V_MAX: limits.voltage_max_pu,
        LINE: limits.highest_line_loading_percent,
        TRAFO: limits.highest_transformer_loading_percent,
    }


def _time(run: PreparedRun, step: int) -> str:
    return (run.scenario.start + timedelta(seconds=step * run.scenario.step_s)).isoformat()


def _worst(run: PreparedRun, organs: Organs, measures: tuple[int, ...]) -> dict[str, Any] | None:
    found = worst_moment(organs.recorder, measures, _limits(run))
    if found is None:
        return None
    measure, moment = found
    record = describe_moment(
        organs.plant_engine, organs.recorder, measure, moment, _limits(run)[measure], run.people.names
    )
    step = record.pop("step")
    record["interval"] = step * run.scenario.step_s // run.scenario.interval_s
    record["time"] = _time(run, step)
    return record


def _margin(run: PreparedRun, organs: Organs, check: Check | None) -> dict[str, Any] | None:
    if check is None:
        return None
    step = _step(organs, check)
    time = None if step is None else _time(run, step)
    return {
        "name": check.name,
        "margin": check.margin,
        "unit": check.unit,
        "element": check.element,
        "time": time,
    }


def _step(organs: Organs, check: Check) -> int | None:
    """When a check's value was seen; None where it is of a time rather than of a moment."""
    who, _, name = check.name.partition(".")
    recorder, row = organs.recorder, WITH if who == "trades" else WITHOUT
    measures = {kind: measure for measure, kind in KINDS.items()}
    if name in measures:
        if who == "trades" and check.verdict == "fail":
            return max(caused(recorder, name), key=lambda e: e.worst_excess).worst_step
        watch = recorder.watch
        moment = (watch.worst if who == "trades" else watch.worst_base)[measures[name]]
        return None if moment is None else moment.step
    averages = recorder.lasting.averages
    tallies = recorder.further.tallies | ({} if averages is None else averages.tallies)
    return tallies[name][row].worst_step if name in tallies else None

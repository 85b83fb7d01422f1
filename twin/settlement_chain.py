"""The chain that a scenario asks for: its options, what can be wrong with them, and opening it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.chain.options import Device, Outage, RpcOptions, Weather
from adapters.chain.port import SettlementChain
from twin.scenario.problems import Problem, ScenarioError
from twin.scenario.schema import Scenario

if TYPE_CHECKING:
    from twin.prepare import PreparedRun, PreparedScenario

URL_VARIABLE = "TWIN_CHAIN_URL"
Complain = Callable[..., None]


def rpc_options(scenario: Scenario, home: Path) -> RpcOptions | None:
    """How the node is reached, None where the scenario settles on none. Files are beside the scenario."""
    section = scenario.settlement.rpc
    if scenario.settlement.chain != "rpc" or section is None:
        return None
    return RpcOptions(
        url=section.url or os.environ.get(URL_VARIABLE, ""),
        outbox=str(home / section.outbox),
        deployment=str(home / section.deployment) if section.deployment else "",
        chain_id=section.chain_id,
        confirmations=section.confirmations,
        development=section.development,
        patience_s=section.patience_s,
    )


def weather(scenario: Scenario) -> Weather | None:
    """What befalls the embedded chain, None where nothing does."""
    section = scenario.settlement
    if section.chain != "embedded" or not section.outages:
        return None
    start_s = int(scenario.start.timestamp())
    begins = [start_s + round(outage.from_s(scenario.start)) for outage in section.outages]
    outages = [Outage(b, b + o.for_s, o.reorg_blocks) for b, o in zip(begins, section.outages, strict=True)]
    return Weather(tuple(outages), section.block_s, section.confirmations)


def chain_problems(runs: dict[str, Scenario], complain: Complain) -> None:
    """What is wrong with the settlement of a scenario's variants and needs no node to be seen."""
    users: dict[str, str] = {}
    for name, scenario in runs.items():
        _outage_problems(scenario, complain)
        section = scenario.settlement.rpc
        if scenario.settlement.chain != "rpc" or section is None:
            continue
        if not section.url and not os.environ.get(URL_VARIABLE):
            complain("settlement.rpc.url", f"is missing: write it, or set {URL_VARIABLE}")
        for key in ("outbox", "deployment"):
            path = getattr(section, key)
            other = users.setdefault(f"{key} {path}", name) if path else name
            if other != name:
                complain(
                    f"settlement.rpc.{key}",
                    f"is shared by the variants {other} and {name}, which are two markets",
                    path,
                    hint=f"Set settlement.rpc.{key} in each variant, or settlement.chain: none in one of them.",
                )


def _outage_problems(scenario: Scenario, complain: Complain) -> None:
    end_s = scenario.n_intervals * scenario.interval_s
    for i, outage in enumerate(scenario.settlement.outages):
        begin_s = outage.from_s(scenario.start)
        if not 0 <= begin_s < end_s:
            complain(
                f"settlement.outages[{i}]",
                "begins outside the run",
                outage.at or f"{outage.at_s:.15g} s",
                f"{scenario.start.isoformat()} to {scenario.at(scenario.n_intervals).isoformat()}",
            )


def check_nodes(prepared: "PreparedScenario", names: list[str]) -> None:
    """Look whether each run can settle on its node. Raises ScenarioError: nothing was run, nothing was sent."""
    problems: list[Problem] = []
    for name in names:
        run = prepared.runs[name]
        options = rpc_options(run.scenario, run.home)
        if options is None:
            continue
        from adapters.chain.preflight import Needs, preflight
        from twin.settlement import ACCOUNTS, SUPPLIER_ACCOUNT

        people = run.people.names
        needs = Needs((*people, *ACCOUNTS), (*people, SUPPLIER_ACCOUNT), devices(run))
        for key, text in preflight(market_of(run), options, needs):
            where = f"settlement.rpc.{key}" if key else "settlement.rpc"
            problems.append(prepared.loaded.problem(where, text))
    if problems:
        raise ScenarioError(dict.fromkeys(problems))


def devices(run: "PreparedRun") -> tuple[Device, ...]:
    """The metering devices whose keys the chain's registry holds: all, where oracles ask them to sign."""
    s = run.scenario
    if s.settlement.oracles is None or s.settlement.chain == "none":
        return ()
    from twin.oracles.metering import Metering

    return Metering(run.people, s.interval_s / 3600).devices(market_of(run), s.seed)


def market_of(run: "PreparedRun") -> str:
    """Id of a variant's market on chain."""
    return f"{run.scenario.name}/{run.name}"


def open_settlement(run: "PreparedRun") -> SettlementChain:
    """Open the chain of a variant: the process behind it starts, nothing waits for it."""
    from adapters.chain.factory import open_chain

    s = run.scenario
    return open_chain(
        s.settlement.chain,
        market_id=market_of(run),
        start_s=int(s.start.timestamp()),
        rpc=rpc_options(s, run.home),
        weather=weather(s),
        devices=devices(run),
    )

"""What is wrong with a settlement section once the participants are known."""

from collections.abc import Callable, Sequence

from adapters.chain.checks import MOST_ACCOUNTS
from twin.scenario.schema import Scenario
from twin.scenario.words import nearest


def settlement_problems(scenario: Scenario, names: Sequence[str], complain: Callable[..., None]) -> None:
    """Tell ``complain`` what cannot be in ``settlement.oracles`` with these participants and this length."""
    accounts = len(names) + 3  # supplier, pool and network
    if scenario.settlement.chain != "none" and accounts > MOST_ACCOUNTS:
        complain(
            "settlement.chain",
            "cannot settle so many accounts in one transaction",
            f"{accounts}, supplier, pool and network among them",
            f"at most {MOST_ACCOUNTS}",
            "Split the community into several markets, or set settlement.chain: none.",
        )
    section = scenario.settlement.oracles
    end_s = scenario.n_intervals * scenario.interval_s
    for i, ruling in enumerate(section.arbitration if section else ()):
        here = f"settlement.oracles.arbitration[{i}]"
        if ruling.participant not in names:
            near = nearest(ruling.participant, sorted(names), "Did you mean {}?")
            got = repr(ruling.participant)
            complain(f"{here}.participant", "is no participant", got, "a name of this feeder", near)
        at_s = ruling.from_s(scenario.start)
        if not 0 < at_s <= end_s:
            complain(
                f"{here}.{'at_s' if ruling.at is None else 'at'}",
                "lies outside of the run",
                ruling.at or f"{at_s:.15g} s",
                f"after its begin and at most {end_s} s after it",
            )

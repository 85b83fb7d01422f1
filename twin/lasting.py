"""What is judged over a time and not at a moment: moving means of loadings, and standards on means of the clock."""

from dataclasses import dataclass
from typing import Protocol

from adapters.grid.engine import GridState
from adapters.grid.feeder import Feeder
from twin.ansi_c84 import STANDARDS, AnsiC84
from twin.averages import LoadingAverages
from twin.en50160 import En50160
from twin.scenario.schema import Scenario
from twin.violations import NOTHING, Snapshot


class StepWatch(Protocol):
    """Follows the plant step by step."""

    def look(self, step: int, state: GridState, snapshot: Snapshot = NOTHING) -> None:
        """Take one solved step (rows with and without trades) and the powers behind it."""
        ...


@dataclass(frozen=True)
class Lasting:
    """The means that a scenario asks for; None where it does not, and then nothing is done."""

    averages: LoadingAverages | None = None
    en50160: En50160 | None = None
    ansi: AnsiC84 | None = None

    @classmethod
    def of(cls, scenario: Scenario, feeder: Feeder, profile_step_s: int = 0) -> "Lasting":
        """What a scenario asks for; ``profile_step_s``: over how long its profiles are means themselves."""
        limits = scenario.limits
        averages = None
        if limits.loading_average_s is not None:
            averages = LoadingAverages(limits, feeder, scenario.step_s)
        if not limits.standards:
            return cls(averages)
        start_s = int(scenario.start.timestamp())
        end_s = start_s + scenario.n_intervals * scenario.interval_s
        european = "en50160" in limits.standards
        american = any(name in limits.standards for name in STANDARDS.values())
        return cls(
            averages,
            En50160(feeder, start_s, scenario.step_s, end_s, profile_step_s) if european else None,
            AnsiC84(limits.standards, feeder, start_s, scenario.step_s, end_s) if american else None,
        )

    @property
    def watches(self) -> tuple[StepWatch, ...]:
        """Those that there are."""
        return tuple(one for one in (self.averages, self.en50160, self.ansi) if one is not None)

    def counts(self) -> tuple[int, int]:
        """How many violations there were, and how many of them trades made or worsened."""
        blamed = [e.by_trades for one in (self.averages, self.ansi) if one is not None for e in one.log.all()]
        blamed += [b.by_trades for b in (self.en50160.breaches if self.en50160 is not None else ())]
        return len(blamed), sum(blamed)

"""A check of the verdict, and what checks are made on."""

from dataclasses import dataclass
from typing import Any, Literal

from twin.prepare import PreparedRun
from twin.recorder import Recorder

Outcome = Literal["pass", "fail", "inconclusive", "not_assessed"]


@dataclass(frozen=True)
class Check:
    """One check. ``margin`` is how far the value stays inside the limit (negative: beyond), in ``unit``.

    ``judged`` says whether it counts for the verdict; ``first_interval`` and ``count`` are of what was found wrong.
    """

    name: str
    verdict: Outcome
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    margin: float | None = None
    element: str | None = None
    first_interval: int | None = None
    count: int = 0
    judged: bool = True
    detail: str = ""


@dataclass(frozen=True)
class Evidence:
    """What the checks are made on."""

    run: PreparedRun
    recorder: Recorder
    kpis: dict[str, Any]
    chain_agrees: bool | None  # None: nothing was settled on a chain

    def interval(self, step: int) -> int:
        """The interval that a step belongs to."""
        return step * self.run.scenario.step_s // self.run.scenario.interval_s

"""One step of a characterisation and its judgement.

Criteria after IEEE 1547.1-2020: at the open-loop response time 90 % of the change that was measured is done, and after
four times that the value lies where the curve says, both within 1.5 times the manufacturer's stated accuracy of
the measurement (here the least that IEEE 1547-2018, table 3, demands of it). A margin inside the uncertainty of the
meter that measured proves nothing: inconclusive.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["pass", "fail", "inconclusive"]
Point = tuple[float, float]  # time since the step in s, power in W or var

MSA_POWER, MSA_VOLTAGE_PU = 0.05, 0.01
"""Accuracy that is demanded: of P and Q in shares of the rating, of the voltage in pu (IEEE 1547-2018, table 3)."""
_BAND = 1.5
SETTLED = 4
"""Open-loop response times after which the final value is judged."""


@dataclass(frozen=True)
class Step:
    """A step as it was made and seen. ``x`` is voltage in pu, or the limit or set point in W."""

    test: str
    x_from: float
    x_to: float
    response_s: float
    samples: tuple[Point, ...]
    before: float  # power before the step
    rated: float
    uncertainty_share: float  # of the reading
    averaged: bool = False  # samples are means since the one before, not values of the moment
    instrument: str = ""  # whose reading it is, in words

    @property
    def final(self) -> float:
        """Mean of what was measured after the settling time."""
        late = [y for t, y in self.samples if t >= SETTLED * self.response_s]
        return sum(late) / len(late) if late else math.nan

    @property
    def at_response(self) -> float:
        """What was measured first at or after the open-loop response time."""
        return next((y for t, y in self.samples if t >= self.response_s - 1e-9), math.nan)

    def as_dict(self) -> dict[str, Any]:
        """Return it for a record."""
        return {**self.__dict__, "samples": [list(s) for s in self.samples]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Step":
        """Read it from a record."""
        return cls(**{**data, "samples": tuple((float(t), float(y)) for t, y in data["samples"])})


@dataclass(frozen=True)
class Judgement:
    """One criterion of a step. ``margin`` is the distance to the nearest limit, negative outside."""

    step: Step
    criterion: str
    value: float
    low: float
    high: float
    margin: float
    uncertainty: float
    verdict: Verdict


def judge(step: Step, expected: Callable[[float], float]) -> tuple[Judgement, Judgement]:
    """Judge a step against the characteristic ``expected`` (of ``x``, in W or var)."""
    band = _BAND * MSA_POWER * step.rated
    off = _BAND * MSA_VOLTAGE_PU if step.test in ("volt_var", "volt_watt") else 0.0
    xs = [step.x_to + off * (i / 10 - 1) for i in range(21)]
    values = [expected(x) for x in xs]
    final = _judgement(step, "steady state", step.final, min(values) - band, max(values) + band)
    due = sorted((step.before + 0.9 * (step.final - step.before), step.final))
    return _judgement(
        step, f"90 % after {step.response_s:g} s", step.at_response, due[0] - band, due[1] + band
    ), final


def _judgement(step: Step, criterion: str, value: float, low: float, high: float) -> Judgement:
    margin = min(value - low, high - value)
    uncertainty = step.uncertainty_share * abs(value)
    verdict: Verdict = "fail"
    if math.isnan(margin) or abs(margin) < uncertainty:
        verdict = "inconclusive"
    elif margin >= 0:
        verdict = "pass"
    return Judgement(step, criterion, value, low, high, margin, uncertainty, verdict)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of some verdicts; of none it is inconclusive."""
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts or not verdicts else "pass"

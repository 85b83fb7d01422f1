"""Who is behind what was judged over a time: shares of the worst mean of every violation that trades caused."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adapters.grid.engine import Engine
from twin.attributed import ONE_BY_ONE, TOLERANCE_ONE_BY_ONE, Subject
from twin.checks import Check
from twin.gate.attribution import Shares
from twin.gate.kinds import Kind, unit_of
from twin.gate.mean_shares import Moment, attribute_mean
from twin.lasting import Lasting
from twin.violations import Episode, Snapshot

MOST_MOMENTS, MOST_MOMENTS_ONE_BY_ONE = 400, 12
"""States of means that are attributed in all, the worst violations first: each costs some hundred power flows."""
TOP = 3
_OF_A_MOMENT: dict[str, Kind] = {
    "line_loading_average": "line_loading",
    "transformer_loading_average": "transformer_loading",
}


@dataclass(frozen=True)
class LastingViolation:
    """One violation by trades: its row in violations.parquet, and the moments of its worst mean.

    ``subject`` is what a moment of it has (a voltage, a loading), ``squares`` whether the mean is one of squares.
    """

    kind: str
    element: str
    interval: int
    subject: Subject
    snapshot: Snapshot
    squares: bool
    excess: float


def lasting_violations(
    lasting: Lasting, names: tuple[str, ...], step_s: int, interval_s: int, start_s: int
) -> list[LastingViolation]:
    """What trades caused or worsened, the worst first."""
    found: list[LastingViolation] = []
    if lasting.averages is not None:
        found += _episodes(lasting.averages.log.all(), step_s, 0, interval_s, False)
    if lasting.ansi is not None:
        found += _episodes(
            lasting.ansi.log.all(), lasting.ansi.window_s, lasting.ansi.first_window_s, interval_s, True
        )
    for b in () if lasting.en50160 is None else lasting.en50160.breaches:
        if b.by_trades and b.mean is not None:
            at = (b.worst_s - start_s) // interval_s
            subject, excess = Subject(b.mean.kind, b.row, b.mean.limit), b.mean.beyond
            weight = 1 if unit_of(b.mean.kind) == "percent" else 1000
            snapshot = b.mean.snapshot
            found.append(LastingViolation(b.kind, names[b.row], at, subject, snapshot, True, weight * excess))
    return sorted(found, key=lambda v: -v.excess)


def _episodes(
    episodes: Iterator[Episode], unit_s: int, first_s: int, interval_s: int, squares: bool
) -> Iterator[LastingViolation]:
    for e in episodes:
        if not e.by_trades:
            continue
        end: Kind = "voltage_min" if e.worst_value < e.limit else "voltage_max"
        subject = Subject(_OF_A_MOMENT.get(e.kind, end), e.row, e.limit)
        at = (first_s + e.worst_step * unit_s) // interval_s
        weight = 1 if e.unit == "percent" else 1000
        yield LastingViolation(e.kind, e.element, at, subject, e.snapshot, squares, weight * e.worst_excess)


@dataclass(frozen=True)
class LastingShares:
    """Violations with their shares, None where there were too many."""

    found: tuple[tuple[LastingViolation, Shares | None], ...]

    @property
    def left_out(self) -> int:
        """How many have no shares."""
        return sum(shares is None for _, shares in self.found)

    def rows(self, names: tuple[str, ...]) -> dict[str, list[Any]]:
        """Rows of shares.parquet. Of a share of a week's means the worst of them is explained, in its own unit."""
        rows: dict[str, list[Any]] = {}
        for violation, shares in self.found:
            if shares is None:
                continue
            for i in np.flatnonzero((shares.change_p_w != 0) | (shares.share_of_change != 0)):
                row = {
                    "interval": violation.interval,
                    "element": violation.element,
                    "kind": violation.kind,
                    "status": "violated",
                    "participant": names[i],
                    "change_p_w": shares.change_p_w[i],
                    "share_of_change": shares.share_of_change[i],
                    "share_of_excess": shares.share_of_excess[i],
                    "unit": unit_of(violation.subject.kind),
                    "residual": shares.residual,
                }
                for key, value in row.items():
                    rows.setdefault(key, []).append(value)
        return rows

    def named(self, checks: list[Check], names: tuple[str, ...]) -> list[Check]:
        """The checks; one of a mean that trades made fail says who is behind it."""
        return [self._named(check, names) for check in checks]

    def _named(self, check: Check, names: tuple[str, ...]) -> Check:
        who, _, kind = check.name.partition(".")
        if who != "trades" or check.verdict != "fail":
            return check
        own = [s for v, s in self.found if v.kind == kind and v.element == check.element and s is not None]
        if not own:
            return check
        share = own[0].share_of_change
        unit = next(unit_of(v.subject.kind) for v, s in self.found if s is own[0])
        order = [int(i) for i in np.argsort(-share, kind="stable")[:TOP] if share[i] > 0]
        digits, word = (1, "percentage points") if unit == "percent" else (4, unit)
        people = ", ".join(f"{names[i]} ({share[i]:+.{digits}f} {word})" for i in order)
        return replace(check, detail=f"{check.detail}; behind the worst mean: {people}") if people else check


def attribute_lasting(violations: list[LastingViolation], plant: Engine) -> LastingShares:
    """Attribute the worst mean of each violation in the plant's model, the worst violations first."""
    slow = plant.name == ONE_BY_ONE
    left = MOST_MOMENTS_ONE_BY_ONE if slow else MOST_MOMENTS
    tolerance = TOLERANCE_ONE_BY_ONE if slow else 1e-5
    found: list[tuple[LastingViolation, Shares | None]] = []
    for violation in violations:
        parts = violation.snapshot.parts
        left -= len(parts)
        if not parts or left < 0:
            found.append((violation, None))
            continue
        moments = [
            Moment(seconds, s.engine or plant, s.p_base_w, s.q_base_var, s.p_traded_w, s.q_traded_var)
            for seconds, s in parts
        ]
        found.append((violation, attribute_mean(moments, violation.subject, violation.squares, tolerance)))
    return LastingShares(tuple(found))

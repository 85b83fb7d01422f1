"""From a schedule that breaks limits to one that does not, with the reason for every cut."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from adapters.grid.feeder import FloatArray
from twin.gate.bisection import SECTIONS, bisect, scaled
from twin.gate.maximal import maximal
from twin.gate.program import ProgramError
from twin.gate.sequential import Settled, Weights, settle
from twin.gate.trial import Answer, Trial
from twin.gate.units import WattHours

DecidedBy = Literal["screen", "ac", "lp", "bisection"]

CUT = "cut by the gate"
CUT_WITH_POOL = "cut with its pool, whose other side is limited"
SCALED = "scaled down to a feasible schedule: the linear programme did not settle"


@dataclass(frozen=True)
class Cut:
    """A schedule below the cleared one, per unit, with what explains it (see ``GateDecision``)."""

    accepted_wh: WattHours
    decided_by: DecidedBy
    binding: tuple[str | None, ...]
    reason: tuple[str | None, ...]
    shadow_price: FloatArray
    duals: dict[int, float] = field(default_factory=dict)


def cut(trial: Trial, weights: Weights) -> Cut:
    """Cut everything that was cleared to what the power flow accepts."""
    try:
        settled = settle(trial, weights, *start_of(trial))
    except ProgramError:
        return _scaled(trial, *bisect(trial, trial.units.energy_wh))
    if not settled.feasible:
        return _scaled(trial, *bisect(trial, settled.accepted_wh))
    accepted = settled.accepted_wh
    if weights == "value":
        accepted = maximal(trial, accepted, settled.sensitivity)
    return _priced(trial, replace(settled, accepted_wh=accepted), weights)


def start_of(trial: Trial) -> tuple[WattHours, Answer]:
    """Where to linearise first: the largest tried share of everything that passes, or nothing of it.

    Everything itself can be far beyond the limits, where the feeder's slopes say little about its edge.
    """
    shares = np.linspace(0.0, 1.0, SECTIONS + 1)[:-1]
    tries = np.stack([scaled(trial.units, trial.units.energy_wh, float(share)) for share in shares])
    passed = np.flatnonzero(trial.passing(tries)[0])
    start = tries[passed[-1] if len(passed) else 0]
    return start, trial.ask(start)


def _scaled(trial: Trial, accepted: WattHours, entry: int | None) -> Cut:
    worst = None if entry is None else trial.limits.label(entry)
    n = len(accepted)
    return Cut(accepted, "bisection", (worst,) * n, (SCALED,) * n, np.full(n, np.nan))


def _priced(trial: Trial, settled: Settled, weights: Weights) -> Cut:
    """Binding limit, reason and shadow price of every unit that was cut.

    A unit is bound by the limit that its own Wh would cost most; a unit whose Wh costs nothing anywhere was
    cut for the balance of its pool, and names the limit that costs the pool most.
    """
    units, n = trial.units, len(settled.accepted_wh)
    entries = np.array(sorted(settled.price), dtype=np.int64)
    binding: list[str | None] = [None] * n
    reason: list[str | None] = [None] * n
    shadow = np.full(n, np.nan)
    short = units.energy_wh - settled.accepted_wh
    if not len(entries):
        text = "rounded to whole Wh within the limits"
        return Cut(settled.accepted_wh, "lp", tuple(binding), (text,) * n, shadow)
    price = np.array([settled.price[int(e)] for e in entries])
    cost = price[:, None] * units.per_wh(settled.sensitivity.excess_per_w[entries])
    pool = int(np.argmax((np.maximum(cost, 0) * short).sum(axis=1)))
    for u in np.flatnonzero(short > 0):
        own = int(np.argmax(cost[:, u]))
        at = own if cost[own, u] > 0 else pool
        binding[u] = trial.limits.label(int(entries[at]))
        reason[u] = CUT if cost[own, u] > 0 else CUT_WITH_POOL
        shadow[u] = price[at] if weights == "value" else np.nan
    duals = settled.price if weights == "value" else {}
    return Cut(settled.accepted_wh, "lp", tuple(binding), tuple(reason), shadow, duals)

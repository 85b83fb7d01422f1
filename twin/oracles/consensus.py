"""Three sources, one number: median, tolerance and quorum in whole Wh.

Two sources that agree are believed against the third. The meter and the grid log give values. The model gives a value
only where it can (see ``output_model``); otherwise its band decides between two values that differ: where it admits
exactly one of them, that one stands. A value that only one source has, or on which too few agree, holds; a value that
the nameplates do not allow holds as well, and is never clamped.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from adapters.grid.feeder import IntArray
from twin.oracles.grid_log import LogReading
from twin.oracles.output_model import Band
from twin.participants import BoolArray

AGREED, OUTVOTED, HELD = range(3)
NOBODY, METER, GRID_LOG, MODEL = range(4)
SOURCES = ("nobody", "meter", "grid log", "model")
FINE, DIFFER, ALONE, NOTHING, RANGE = range(5)
REASONS = (
    "agreed",
    "the sources differ",
    "one source alone",
    "no source has a value",
    "beyond what the nameplates allow",
)


@dataclass(frozen=True)
class Rule:
    """When sources agree: within ``tolerance_wh``, or within ``tolerance_ppm`` of the smaller magnitude."""

    tolerance_wh: int
    tolerance_ppm: int
    quorum: int


@dataclass(frozen=True)
class Agreement:
    """What came of an interval, (n,) each: the value (whole Wh; 0 where held), its status, who was named, and why.

    ``log_wh`` is the grid log's value per participant where ``log_known``.
    """

    value_wh: IntArray
    status: IntArray
    named: IntArray
    reason: IntArray
    log_wh: IntArray
    log_known: BoolArray

    @property
    def held(self) -> BoolArray:
        """Whose trades wait."""
        return np.asarray(self.status == HELD)


@njit(cache=True)
def _shared_out(site_of, site_wh, site_known, uncertainty, meter, has_meter, low, high, wh, known):  # type: ignore[no-untyped-def]
    """The log's value per participant: of a place with several, less what the meters of the others say.

    Where that contradicts all of them and the model's band refuses the meter of exactly one, it is that one.
    """
    n, n_site = site_of.size, site_wh.size
    sums, silent = np.zeros(n_site, dtype=np.int64), np.zeros(n_site, dtype=np.int64)
    members, culprits = np.zeros(n_site, dtype=np.int64), np.zeros(n_site, dtype=np.int64)
    culprit = np.full(n_site, -1, dtype=np.int64)
    for i in range(n):
        site = site_of[i]
        members[site] += 1
        if has_meter[i]:
            sums[site] += meter[i]
        else:
            silent[site] += 1
    for i in range(n):
        site = site_of[i]
        others_silent = silent[site] - (0 if has_meter[i] else 1)
        known[i] = site_known[site] and others_silent == 0
        wh[i] = site_wh[site] - (sums[site] - (meter[i] if has_meter[i] else 0)) if known[i] else 0
        if known[i] and has_meter[i] and members[site] > 1:
            spread = uncertainty[site]
            if not (low[i] <= meter[i] <= high[i]) and low[i] - spread <= wh[i] <= high[i] + spread:
                culprits[site] += 1
                culprit[site] = i
    for i in range(n):
        site = site_of[i]
        if known[i] and culprits[site] == 1 and culprit[site] != i and has_meter[i]:
            wh[i] = meter[i]  # the difference is its neighbour's


@njit(cache=True)
def _tolerance(a, b, tolerance_wh, ppm):  # type: ignore[no-untyped-def]
    return max(tolerance_wh, min(abs(a), abs(b)) * ppm // 1_000_000)


@njit(cache=True)
def _median(m, g, p, mg, mp, gp):  # type: ignore[no-untyped-def]
    """Median of three values, how many agree with it, and whom the other two outvote."""
    middle = max(min(m, g), min(max(m, g), p))
    if middle == m:
        support = 1 + mg + mp
    elif middle == g:
        support = 1 + mg + gp
    else:
        support = 1 + mp + gp
    if support != 2:
        return middle, support, NOBODY
    return middle, support, MODEL if mg else (GRID_LOG if mp else METER)


@njit(cache=True)
def _pair(m, g, hm, hg, mg, mp, gp, m_in, g_in):  # type: ignore[no-untyped-def]
    """The same where a source gives no value: two that agree, or the one that the model's band admits."""
    if mg:
        return m, 3 if m_in else 2, NOBODY if m_in else MODEL
    if mp or gp:
        return (m, 2, GRID_LOG) if mp else (g, 2, METER)
    if hm and hg and m_in != g_in:
        return (m, 2, GRID_LOG) if m_in else (g, 2, METER)
    return 0, 0, NOBODY


@njit(cache=True)
def _why_held(hm, hg, hp, named):  # type: ignore[no-untyped-def]
    """Reason and whom it points to, of a value on which too few agree."""
    if hm and (hg or hp):
        # the log's two estimates confirm each other, or it would have none; nothing confirms the meter
        return DIFFER, METER if named == NOBODY else named
    if hm or hg or hp:
        return ALONE, GRID_LOG if hm else METER
    return NOTHING, METER


@njit(cache=True)
def _decide(  # type: ignore[no-untyped-def]
    site_of, uncertainty, meter, has_meter, log, has_log, low, high, model, has_model, least, most, tolerance_wh, ppm,
    quorum, value, status, named, reason,
):  # fmt: skip
    for i in range(meter.size):
        m, g, p, u = meter[i], log[i], model[i], uncertainty[site_of[i]]
        hm, hg, hp = has_meter[i], has_log[i], has_model[i]
        mg = hm and hg and abs(m - g) <= _tolerance(m, g, tolerance_wh, ppm) + u
        mp = hm and hp and abs(m - p) <= _tolerance(m, p, tolerance_wh, ppm)
        gp = hg and hp and abs(g - p) <= _tolerance(g, p, tolerance_wh, ppm) + u
        if hm and hg and hp:
            value[i], support, named[i] = _median(m, g, p, mg, mp, gp)
        else:
            m_in, g_in = low[i] <= m <= high[i], low[i] - u <= g <= high[i] + u
            # a band decides between two values only where the model has none of its own
            value[i], support, named[i] = _pair(m, g, hm, hg, mg, mp, gp, m_in, g_in)
        status[i], reason[i] = AGREED if named[i] == NOBODY else OUTVOTED, FINE
        if support < quorum:
            reason[i], named[i] = _why_held(hm, hg, hp, named[i])
            status[i], value[i] = HELD, 0
        elif not least[i] <= value[i] <= most[i]:
            reason[i], status[i], value[i] = RANGE, HELD, 0


def agree(
    rule: Rule, site_of: IntArray, meter_wh: IntArray, has_meter: BoolArray, log: LogReading, band: Band
) -> Agreement:
    """Decide every participant's energy of an interval.

    Args:
        rule: tolerance and quorum (2 or 3 sources).
        site_of: place of each participant in the log; (n,).
        meter_wh: what the meters say; (n,).
        has_meter: where a meter's reading can be used; (n,).
        log: the grid log, per place.
        band: the output model, per participant.
    """
    n = len(meter_wh)
    log_wh, log_known = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    _shared_out(
        site_of, log.energy_wh, log.known, log.uncertainty_wh, meter_wh, has_meter, band.low_wh, band.high_wh,
        log_wh, log_known,
    )  # fmt: skip
    value, status, named, reason = np.zeros((4, n), dtype=np.int64)
    _decide(
        site_of, log.uncertainty_wh, meter_wh, has_meter, log_wh, log_known, band.low_wh, band.high_wh,
        band.value_wh, band.has_value, band.least_wh, band.most_wh, rule.tolerance_wh, rule.tolerance_ppm,
        rule.quorum, value, status, named, reason,
    )  # fmt: skip
    return Agreement(value, status, named, reason, log_wh, log_known)

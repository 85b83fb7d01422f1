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
FINE, DIFFER, ALONE, NOTHING, RANGE, UNCLEAR = range(6)
REASONS = (
    "two sources agree",
    "the sources differ",
    "one source alone",
    "no source has a value",
    "beyond what the nameplates allow",
    "the grid log cannot tell who of those at this bus",
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

    ``log_wh`` is the grid log's value per participant where ``log_known``; the model admits it where ``log_admitted``.
    """

    value_wh: IntArray
    status: IntArray
    named: IntArray
    reason: IntArray
    log_wh: IntArray
    log_known: BoolArray
    log_admitted: BoolArray

    @property
    def held(self) -> BoolArray:
        """Whose trades wait."""
        return np.asarray(self.status == HELD)


@njit(cache=True)
def _inside(value, low, high, spread):  # type: ignore[no-untyped-def]
    return low - spread <= value <= high + spread


@njit(cache=True)
def _at_places(site_of, n_site, meter, has_meter, low, high):  # type: ignore[no-untyped-def]
    """Per place: members, sum of the meters that may be right, how many may not, and the last of those."""
    members, sums = np.zeros(n_site, dtype=np.int64), np.zeros(n_site, dtype=np.int64)
    missing, last = np.zeros(n_site, dtype=np.int64), np.full(n_site, -1, dtype=np.int64)
    for i in range(site_of.size):
        site = site_of[i]
        members[site] += 1
        if has_meter[i] and low[i] <= meter[i] <= high[i]:
            sums[site] += meter[i]
        else:
            missing[site] += 1
            last[site] = i
    return members, sums, missing, last


@njit(cache=True)
def _culprits(  # type: ignore[no-untyped-def]
    site_of, site_wh, uncertainty, meter, low, high, tolerance_wh, members, sums, missing, last
):
    """For places where all meters may be right but their sum is not: the only one whom the difference fits, or -2."""
    for i in range(site_of.size):
        site = site_of[i]
        apart = site_wh[site] - sums[site]
        if members[site] < 2 or missing[site] > 0 or abs(apart) <= tolerance_wh + uncertainty[site]:
            continue
        if _inside(meter[i] + apart, low[i], high[i], uncertainty[site]):
            last[site] = i if last[site] == -1 else -2


@njit(cache=True)
def _shared_out(  # type: ignore[no-untyped-def]
    site_of, site_wh, site_known, uncertainty, meter, has_meter, low, high, tolerance_wh, wh, known, unclear
):
    """The log's value per participant. Of a place with several it knows only the sum: then at most one is taken to be
    wrong, the others at their word, if what is left for that one is admissible; else it is unclear for all.
    """
    members, sums, missing, last = _at_places(site_of, site_wh.size, meter, has_meter, low, high)
    _culprits(site_of, site_wh, uncertainty, meter, low, high, tolerance_wh, members, sums, missing, last)
    for i in range(site_of.size):
        site = site_of[i]
        if not site_known[site]:
            continue
        if members[site] == 1:
            wh[i], known[i] = site_wh[site], True
            continue
        one = last[site]
        left = site_wh[site] - sums[site] + (meter[one] if one >= 0 and missing[site] == 0 else 0)
        apart = abs(site_wh[site] - sums[site]) > tolerance_wh + uncertainty[site]
        if missing[site] == 0 and not apart:
            wh[i], known[i] = meter[i] + site_wh[site] - sums[site], True
        elif missing[site] > 1 or one < 0 or not _inside(left, low[one], high[one], uncertainty[site]):
            unclear[i] = True
        else:
            wh[i], known[i] = left if i == one else meter[i], True


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
def _why_held(hm, hg, hp, named, unclear, m_in):  # type: ignore[no-untyped-def]
    """Reason and whom it points to, of a value on which too few agree."""
    if unclear and not hp:
        return UNCLEAR, NOBODY if hm and m_in else METER
    if hm and (hg or hp):
        # the log's two estimates confirm each other, or it would have none; nothing confirms the meter
        return DIFFER, METER if named == NOBODY else named
    if hm or hg or hp:
        return ALONE, GRID_LOG if hm else METER
    return NOTHING, METER


@njit(cache=True)
def _decide(  # type: ignore[no-untyped-def]
    site_of, uncertainty, meter, has_meter, log, has_log, low, high, model, has_model, least, most, tolerance_wh, ppm,
    quorum, unclear, admitted, value, status, named, reason,
):  # fmt: skip
    for i in range(meter.size):
        m, g, p, u = meter[i], log[i], model[i], uncertainty[site_of[i]]
        hm, hg, hp = has_meter[i], has_log[i], has_model[i]
        mg = hm and hg and abs(m - g) <= _tolerance(m, g, tolerance_wh, ppm) + u
        mp = hm and hp and abs(m - p) <= _tolerance(m, p, tolerance_wh, ppm)
        gp = hg and hp and abs(g - p) <= _tolerance(g, p, tolerance_wh, ppm) + u
        m_in, g_in = low[i] <= m <= high[i], _inside(g, low[i], high[i], u)
        admitted[i] = hg and g_in
        if hm and hg and hp:
            value[i], support, named[i] = _median(m, g, p, mg, mp, gp)
        else:
            # a band decides between two values only where the model has none of its own
            value[i], support, named[i] = _pair(m, g, hm, hg, mg, mp, gp, m_in, g_in)
        status[i], reason[i] = AGREED if named[i] == NOBODY else OUTVOTED, FINE
        if support < quorum:
            reason[i], named[i] = _why_held(hm, hg, hp, named[i], unclear[i], m_in)
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
    log_wh, (log_known, unclear, admitted) = np.zeros(n, dtype=np.int64), np.zeros((3, n), dtype=np.bool_)
    _shared_out(
        site_of, log.energy_wh, log.known, log.uncertainty_wh, meter_wh, has_meter, band.low_wh, band.high_wh,
        rule.tolerance_wh, log_wh, log_known, unclear,
    )  # fmt: skip
    value, status, named, reason = np.zeros((4, n), dtype=np.int64)
    _decide(
        site_of, log.uncertainty_wh, meter_wh, has_meter, log_wh, log_known, band.low_wh, band.high_wh,
        band.value_wh, band.has_value, band.least_wh, band.most_wh, rule.tolerance_wh, rule.tolerance_ppm,
        rule.quorum, unclear, admitted, value, status, named, reason,
    )  # fmt: skip
    return Agreement(value, status, named, reason, log_wh, log_known, admitted)

"""The third source: the grid log, energy injected at each bus, from what flows in the plant's branches.

Every branch is measured at both ends, with a relative noise of the flow and a resolution; the loss between the ends
follows from its current and is taken as known. So a bus has two estimates: the sum of what flows into its branches
there, and the same from the far ends, corrected by the losses. Where they contradict each other a sensor is wrong and
the log gives no value; otherwise it gives their mean. The devices' own reports are not used.

A bus is one sensor: where several participants share one, the log knows only their sum. On an unbalanced feeder the
phases of a place are taken together.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from adapters.grid.feeder import Feeder, FloatArray, IntArray
from twin.participants import BoolArray

COVERAGE = 5.0
"""Standard deviations that the stated uncertainty covers; (5 sigma: one false alarm in 1.7 million readings)."""


@dataclass(frozen=True)
class BranchFlows:
    """Power into every branch at its from and its to side, the loss between them, and the import; W."""

    from_w: FloatArray
    to_w: FloatArray
    loss_w: FloatArray
    slack_w: float


@dataclass(frozen=True)
class LogReading:
    """Energy injected at every place over an interval, whole Wh, and its uncertainty; (n_site,) each.

    ``known`` is False where the plant was not solved or the two estimates contradict each other.
    """

    energy_wh: IntArray
    uncertainty_wh: IntArray
    known: BoolArray


@njit(cache=True)
def _estimate(  # type: ignore[no-untyped-def]
    from_site, to_site, slack_site, from_wh, to_wh, loss_wh, slack_wh, noise, accuracy, resolution_wh, n
):
    """Energy, uncertainty and whether it is known, per place, from what the sensors at all branch ends read."""
    near, far, variance = np.zeros(n), np.zeros(n), np.zeros(n)
    n_ends = np.zeros(n)
    for i in range(from_site.size):
        a, b = from_site[i], to_site[i]
        at_a = from_wh[i] * (1.0 + accuracy * noise[0, i])
        at_b = to_wh[i] * (1.0 + accuracy * noise[1, i])
        if resolution_wh > 0.0:
            at_a = np.rint(at_a / resolution_wh) * resolution_wh
            at_b = np.rint(at_b / resolution_wh) * resolution_wh
        near[a] += at_a
        near[b] += at_b
        far[a] += loss_wh[i] - at_b
        far[b] += loss_wh[i] - at_a
        spread = (accuracy * from_wh[i]) ** 2 + (accuracy * to_wh[i]) ** 2
        variance[a] += spread
        variance[b] += spread
        n_ends[a] += 2.0
        n_ends[b] += 2.0
    near[slack_site] -= slack_wh
    far[slack_site] -= slack_wh
    energy, uncertainty = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    known = np.zeros(n, dtype=np.bool_)
    for i in range(n):
        # the mean of two sums has half the deviation of their difference
        apart = COVERAGE * np.sqrt(variance[i]) + n_ends[i] * resolution_wh / 2.0 + 1e-6
        if abs(near[i] - far[i]) <= apart:  # also False where a flow is NaN
            known[i] = True
            energy[i] = np.int64(np.rint((near[i] + far[i]) / 2.0))
            uncertainty[i] = np.int64(np.ceil(apart / 2.0))
    return energy, uncertainty, known


class GridLog:
    """Adds up the flows of an interval's steps and says what was injected where."""

    def __init__(
        self, feeder: Feeder, rng: np.random.Generator, accuracy_percent: float, resolution_w: float
    ) -> None:
        """Bind the log.

        Args:
            feeder: the plant's feeder.
            rng: where the noise comes from.
            accuracy_percent: standard deviation of a flow's reading, of the flow.
            resolution_w: smallest step of a reading.
        """
        site = feeder.site
        self._n = int(site.max()) + 1
        self._from, self._to = site[feeder.branch_from], site[feeder.branch_to]
        self._slack = int(site[feeder.slack_bus])
        self._rng, self._accuracy, self._resolution_w = rng, accuracy_percent / 100, resolution_w
        self.site_of: IntArray = site[np.array([point.bus for point in feeder.points], dtype=np.int64)]
        self._reset()

    def _reset(self) -> None:
        m = len(self._from)
        self._sums, self._slack_wh, self._hours = np.zeros((3, m)), 0.0, 0.0

    def add(self, flows: BranchFlows, step_s: int) -> None:
        """Add one step of the plant."""
        hours = step_s / 3600.0
        self._sums[0] += flows.from_w * hours
        self._sums[1] += flows.to_w * hours
        self._sums[2] += flows.loss_w * hours
        self._slack_wh += flows.slack_w * hours
        self._hours += hours

    def read(self) -> LogReading:
        """What was injected at every place since the last reading."""
        noise = self._rng.standard_normal((2, len(self._from)))
        made = _estimate(
            self._from, self._to, self._slack, self._sums[0], self._sums[1], self._sums[2], self._slack_wh, noise,
            self._accuracy, self._resolution_w * self._hours, self._n,
        )  # fmt: skip
        self._reset()
        return LogReading(*made)

"""Moving means of loadings, beside the short-time ratings that a scenario sets: kept step by step, in one window."""

from collections import deque

import numpy as np

from adapters.grid.engine import GridState
from adapters.grid.feeder import Feeder, FloatArray, IntArray
from twin.further import Pair, Tally, see_both
from twin.gate.kinds import Kind
from twin.plant import WITH
from twin.scenario.limits_section import LimitsSection
from twin.violations import NOTHING, EpisodeLog, Sighting, Snapshot, over

LINES: Kind = "line_loading_average"
TRAFOS: Kind = "transformer_loading_average"


class LoadingAverages:
    """Means over the last ``loading_average_s``, from the first full window on.

    A step without a usable solution empties the window: what was in it is not known.
    """

    def __init__(self, section: LimitsSection, feeder: Feeder, step_s: int) -> None:
        """Bind to a scenario's limits; needs ``loading_average_s``, a multiple of ``step_s``."""
        assert section.loading_average_s is not None
        self.window_s = section.loading_average_s
        self.log = EpisodeLog()
        self.tallies: dict[str, Pair] = {}
        self._names = feeder.branch_names
        self._rows: dict[Kind, IntArray] = {}
        trafo = np.array([kind == "trafo" for kind in feeder.branch_kind], dtype=bool)
        rated = ~np.isnan(np.where(trafo, feeder.branch_rated_va, feeder.branch_rated_a))
        both = (
            (LINES, ~trafo, section.line_short_time_loading_percent, section.line_loading_percent),
            (
                TRAFOS,
                trafo,
                section.transformer_short_time_loading_percent,
                section.transformer_loading_percent,
            ),
        )
        for kind, which, short, limit in both:
            if short is not None:
                self.tallies[kind] = (Tally(kind, limit, "percent"), Tally(kind, limit, "percent"))
                self._rows[kind] = np.flatnonzero(which & rated)
        self._all = np.concatenate(list(self._rows.values())).astype(np.int64)
        self._ring = np.zeros((section.loading_average_s // step_s, 2, len(self._all)))
        self._sum = np.zeros((2, len(self._all)))
        self._seen = 0  # known steps in a row
        self._step_s = step_s
        self._parts: deque[tuple[float, Snapshot]] = deque(maxlen=len(self._ring))  # the window's, for shares

    def look(self, step: int, state: GridState, snapshot: Snapshot = NOTHING) -> None:
        """Take one solved step (rows WITH and WITHOUT trades) and the powers behind it."""
        self._parts.append((float(self._step_s), snapshot))
        loading = state.loading_percent[:, self._all]
        if not state.converged.all() or np.isnan(loading).any():
            self._seen = 0
            for pair in self.tallies.values():
                for tally in pair:
                    tally.unknown_steps += 1
            self.log.see(step, [], NOTHING)
            return
        mean = self._mean(loading)
        if mean is not None:
            self._judge(step, mean)

    def _mean(self, loading: FloatArray) -> FloatArray | None:
        """The mean over the window, None until it is full."""
        n = len(self._ring)
        slot = self._seen % n
        if self._seen == 0:
            self._sum[:] = 0.0
        elif self._seen >= n:
            self._sum -= self._ring[slot]
        self._ring[slot] = loading
        self._sum += loading
        self._seen += 1
        if slot == n - 1:  # anew once per window, so that no rounding error stays
            self._sum[:] = self._ring.sum(axis=0)
        return self._sum / n if self._seen >= n else None

    def _judge(self, step: int, mean: FloatArray) -> None:
        seen: list[Sighting] = []
        first = 0
        for kind, rows in self._rows.items():
            values, first = mean[:, first : first + len(rows)], first + len(rows)
            if not len(rows):
                continue
            names = tuple(self._names[row] for row in rows)
            pair = self.tallies[kind]
            blamed, limit = see_both(pair, step, values, names, kind), pair[WITH].limit
            for i in np.flatnonzero(~(values[WITH] <= limit)):
                value = float(values[WITH, i])
                seen.append(
                    Sighting(kind, int(rows[i]), names[i], value, limit, value - limit, bool(blamed[i]))
                )
        self.log.see(step, seen, over(tuple(self._parts)) if seen else NOTHING)

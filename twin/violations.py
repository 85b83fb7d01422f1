"""Keeps violations as they happen: consecutive steps of one element and kind become one record."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray
from twin.gate.kinds import Kind, scaled, unit_of

WORSE_PU = 1e-6
"""A trade that worsens a limit, broken without it, by less than this did not cause it (pu; a hundredfold in percent, a
millionfold in W and VA): the engines agree to 1e-8, so it is well above noise and far below what a meter shows."""


@dataclass(frozen=True)
class Snapshot:
    """Powers at the connection points at one moment, without and with trades; kept once for all elements.

    ``engine``: the model that solved it, where that differs from moment to moment (taps that move). ``parts``: of a
    mean over a time, its moments with the seconds of each; the powers are empty then.
    """

    p_base_w: FloatArray
    q_base_var: FloatArray
    p_traded_w: FloatArray
    q_traded_var: FloatArray
    engine: Engine | None = None
    parts: "tuple[tuple[float, Snapshot], ...]" = ()


NOTHING = Snapshot(*(np.zeros(0),) * 4)


def over(parts: "tuple[tuple[float, Snapshot], ...]") -> Snapshot:
    """A mean's snapshot: its moments with the seconds of each."""
    return Snapshot(NOTHING.p_base_w, NOTHING.p_base_w, NOTHING.p_base_w, NOTHING.p_base_w, None, parts)


@dataclass
class Episode:
    """One element beyond one limit over consecutive steps."""

    kind: Kind
    row: int
    element: str
    limit: float
    first_step: int
    last_step: int
    worst_step: int
    worst_value: float
    worst_excess: float
    by_trades: bool
    by_trades_steps: int
    snapshot: Snapshot

    @property
    def steps(self) -> int:
        """How many steps it lasted."""
        return self.last_step - self.first_step + 1

    @property
    def unit(self) -> str:
        """Unit of value and limit."""
        return unit_of(self.kind)


@dataclass(frozen=True)
class Sighting:
    """One element beyond its limit in one step; ``excess`` is how far, ``by_trades`` whether trades did it."""

    kind: Kind
    row: int
    element: str
    value: float
    limit: float
    excess: float
    by_trades: bool


class EpisodeLog:
    """Joins sightings of consecutive steps into episodes."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], Episode] = {}
        self.closed: list[Episode] = []

    def see(self, step: int, sightings: list[Sighting], snapshot: Snapshot) -> None:
        """Record one step's sightings (possibly none)."""
        if not sightings and not self._open:
            return
        for sighting in sightings:
            self._one(step, sighting, snapshot)
        ended = [key for key, episode in self._open.items() if episode.last_step < step]
        self.closed.extend(self._open.pop(key) for key in ended)

    def _one(self, step: int, s: Sighting, snapshot: Snapshot) -> None:
        episode = self._open.get((s.kind, s.row))
        if episode is None:
            self._open[(s.kind, s.row)] = Episode(
                s.kind,
                s.row,
                s.element,
                s.limit,
                step,
                step,
                step,
                s.value,
                s.excess,
                s.by_trades,
                int(s.by_trades),
                snapshot,
            )
            return
        episode.last_step = step
        episode.by_trades_steps += int(s.by_trades)
        # the worst step is sought among those that trades caused, once there is one
        worse = (s.by_trades, s.excess) > (episode.by_trades, episode.worst_excess)
        episode.by_trades |= s.by_trades
        if worse:
            episode.worst_step, episode.worst_value, episode.worst_excess = step, s.value, s.excess
            episode.snapshot = snapshot

    def all(self) -> Iterator[Episode]:
        """All episodes, the open ones included, in order of their first step."""
        yield from sorted((*self.closed, *self._open.values()), key=lambda e: (e.first_step, e.kind, e.row))


def steps_of_any(episodes: Iterable[Episode]) -> int:
    """In how many steps at least one of them lasted."""
    steps, end = 0, -1
    for episode in sorted(episodes, key=lambda e: e.first_step):
        steps += max(0, episode.last_step - max(end, episode.first_step - 1))
        end = max(end, episode.last_step)
    return steps


def caused_by_trades(excess_with: float, excess_without: float, kind: str) -> bool:
    """Whether trades made or worsened a violation: compared with the same plant without trades.

    A limit that was kept without them is theirs to keep, however little they exceed it by.
    """
    if excess_without <= 0:
        return not excess_with <= 0
    return not excess_with <= excess_without + scaled(kind, WORSE_PU)


def finite_max(values: FloatArray) -> float:
    """Largest of the values that are numbers; NaN if there is none."""
    kept = values[np.isfinite(values)]
    return float(kept.max()) if len(kept) else float("nan")

"""Hosting capacity: how much the feeder takes before a limit breaks, over seeded random placements."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from typing import Literal

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray, IntArray
from market.orders import BUY, SELL, SUPPLIER, Fills, empty_fills
from twin.gate.errors import GateInputError
from twin.gate.gate import GateProblem, TradeGate
from twin.gate.limits import Limits

What = Literal["trade", "export", "import"]

CHUNK = 4096
Z95 = 1.959963984540054
STRAIGHT = 8
"""So often a straight line says where to ask next; then halving, which always ends."""


@dataclass(frozen=True)
class Study:
    """What is placed on the feeder, at the state that is meant to be hard for it.

    ``what``: ``trade`` places pairs that exchange ``power_w`` (the first of a random order sells to the second,
    and so on), ``export`` places sources of ``power_w``, ``import`` loads. ``eligible`` are the connection
    points that may get one, each at most once; ``placements`` random orders are drawn with ``seed``.
    """

    p_base_w: FloatArray
    q_base_var: FloatArray
    what: What
    power_w: float
    eligible: IntArray
    placements: int
    seed: int

    @property
    def steps(self) -> int:
        """How many devices or pairs fit on the eligible points."""
        return len(self.eligible) // (2 if self.what == "trade" else 1)


@dataclass(frozen=True)
class Hosting:
    """Result over placements, in devices or pairs of ``power_w`` each.

    ``hosted`` (placements,) is the largest number up to which every number keeps the limits; ``mean_w`` and
    ``mean_half_width_w`` are its mean in W and half of that mean's 95 % interval (normal approximation);
    ``quantile_w(0.05)`` is what 95 of 100 placements host, with an interval from order statistics.
    ``full`` counts placements that hosted everything; ``binding`` counts the limit that broke first
    ('power flow' where there was no solution).
    """

    hosted: IntArray
    power_w: float
    steps: int
    full: int
    binding: dict[str, int]
    solves: int

    @property
    def mean_w(self) -> float:
        """Mean hosted power."""
        return float(self.hosted.mean()) * self.power_w

    @property
    def mean_half_width_w(self) -> float:
        """Half of the 95 % confidence interval of the mean."""
        n = len(self.hosted)
        return Z95 * float(self.hosted.std(ddof=1)) / np.sqrt(n) * self.power_w if n > 1 else float("inf")

    def quantile_w(self, share: float) -> tuple[float, float, float]:
        """A quantile of hosted power with its 95 % interval from order statistics: low, estimate, high."""
        ordered, n = np.sort(self.hosted), len(self.hosted)
        half = Z95 * np.sqrt(n * share * (1 - share))
        at = [share * n - half, share * n, share * n + half]
        rows = np.clip(np.floor(at).astype(int), 0, n - 1)
        low, middle, high = (float(ordered[row]) * self.power_w for row in rows)
        return low, middle, high


def hosting(engine: Engine, limits: Limits, study: Study) -> Hosting:
    """Solve every placement at every number of devices, in batches.

    Raises ``GateInputError`` where nothing can be placed.
    """
    _check(study)
    steps, hosted, binding, solves = study.steps, [], Counter[str](), 1
    base = engine.solve(study.p_base_w[None], study.q_base_var[None])
    limits = limits.based_on(base.v_pu[0])  # a limited rise is one over nothing placed
    per = max(1, CHUNK // (steps + 1))
    for first in range(0, study.placements, per):
        count = min(per, study.placements - first)
        power = np.stack([_levels(study, first + i) for i in range(count)])
        flat = power.reshape(-1, power.shape[2])
        state = engine.solve(flat, np.broadcast_to(study.q_base_var, flat.shape))
        solves += len(flat)
        ok = limits.within(state).reshape(count, steps + 1)
        excess = limits.excess(state).reshape(count, steps + 1, -1)
        for i in range(count):
            broken = steps + 1 if ok[i].all() else int(np.argmin(ok[i]))
            hosted.append(max(broken - 1, 0))
            if broken <= steps:
                over = excess[i, broken]
                lost = bool(np.isposinf(over).all() or not state.converged[i * (steps + 1) + broken])
                binding["power flow" if lost else limits.label(limits.worst(over))] += 1
    array = np.array(hosted, dtype=np.int64)
    full = int((array == steps).sum())
    return Hosting(array, study.power_w, steps, full, dict(binding.most_common()), solves)


def hosting_with_gate(
    gate: TradeGate, study: Study, accepted_share: float = 0.95, workers: int = 1
) -> Hosting:
    """With the gate in between: the largest number at which it still accepts that share of the energy.

    Limits hold at every number, because the gate sees to it; what is counted is where it begins to cost. The share
    is taken to fall with the number. What keeps the gate's limits as a whole needs no gate: that is found for all
    placements in batches, and the gate is asked from there on.
    ``workers`` processes share the placements; the result does not depend on their number.
    """
    _check(study)
    free = hosting(gate.engine, gate.tight, study)
    start = free.hosted
    parts = [np.arange(study.placements)[i::workers] for i in range(workers)]
    if workers > 1:
        pool = ProcessPoolExecutor(
            workers, mp_context=_context(), initializer=_bind, initargs=(gate, study, start)
        )
        with pool:
            answers = list(pool.map(_search_bound, parts, [accepted_share] * workers))
    else:
        answers = [_search(gate, study, start, parts[0], accepted_share)]
    hosted, binding, solves = start.copy(), Counter[str](), free.solves
    names: list[str | None] = [None] * study.placements
    for part, (found, reasons, asked) in zip(parts, answers, strict=True):
        hosted[part], solves = found, solves + asked
        for placement, name in zip(part, reasons, strict=True):
            names[int(placement)] = name
    for name in names:
        if name is not None:
            binding[name] += 1
    full = int((hosted == study.steps).sum())
    return Hosting(hosted, study.power_w, study.steps, full, dict(binding.most_common()), solves)


Found = tuple[IntArray, list[str | None], int]
"""What was searched for: hosted numbers, what stopped them (None: nothing), power flows."""


def _search(
    gate: TradeGate, study: Study, start: IntArray, placements: IntArray, accepted_share: float
) -> Found:
    hosted, names, solves = np.zeros(len(placements), dtype=np.int64), [], 0
    for i, placement in enumerate(placements):
        bracket, name = _Bracket(int(start[placement]), study.steps + 1, accepted_share), None
        while bracket.high - bracket.low > 1:
            at = bracket.next()
            problem = _problem(study, int(placement), at)
            decision = gate.decide(problem)
            solves += decision.solves
            share = int(decision.accepted_wh.sum()) / max(1, int(problem.fills["energy_wh"].sum()))
            if not bracket.narrow(at, share if decision.status != "inconclusive" else 0.0):
                name = next((b for b in decision.binding if b), "power flow")
        hosted[i] = bracket.low
        names.append(name)
    return hosted, names, solves


@dataclass
class _Bracket:
    """Between the largest number whose accepted share was enough and the least for which it was not.

    Whoever asks where a straight line through what is known meets the share asks three or four times, not six.
    """

    low: int
    high: int
    wanted: float
    kept: float = 1.0  # share accepted at ``low``
    missed: float | None = None  # at ``high``, once that was asked
    more: float = 0.5  # accepted part of what comes on top of ``low``
    asked: int = 0

    def next(self) -> int:
        """The number to ask for, strictly between the two."""
        if self.asked >= STRAIGHT:
            return (self.low + self.high) // 2
        if self.missed is None:
            room = max(self.wanted - self.more, 0.05)
            guess = self.low + self.low * (self.kept - self.wanted) / room
        else:
            part = (self.kept - self.wanted) / (self.kept - self.missed)
            guess = self.low + part * (self.high - self.low)
        return min(max(int(guess), self.low + 1), self.high - 1)

    def narrow(self, at: int, share: float) -> bool:
        """Take in what was accepted at a number; whether it was enough."""
        self.asked += 1
        if not share >= self.wanted:
            self.high, self.missed = at, share
            return False
        self.more = (at * share - self.low * self.kept) / (at - self.low)
        self.low, self.kept = at, share
        return True


_bound: list[tuple[TradeGate, Study, IntArray]] = []


def _bind(gate: TradeGate, study: Study, start: IntArray) -> None:
    """What a worker works on; inherited where processes are forked."""
    _bound[:] = [(gate, study, start)]


def _search_bound(placements: IntArray, accepted_share: float) -> Found:
    gate, study, start = _bound[0]
    return _search(gate, study, start, placements, accepted_share)


def _context() -> BaseContext:
    """Forked workers share the feeder and the engine's model; they are not sent to them."""
    return get_context("fork")


def _check(study: Study) -> None:
    if study.steps < 1 or study.placements < 1 or not study.power_w > 0:
        raise GateInputError(
            f"nothing to place: {len(study.eligible)} eligible points, {study.placements} placements of "
            f"{study.power_w} W; give at least {2 if study.what == 'trade' else 1} points and one placement"
        )


def _order(study: Study, placement: int) -> IntArray:
    """A random order of the eligible points; each placement has a stream of its own."""
    return np.random.default_rng([study.seed, placement]).permutation(study.eligible)


def _levels(study: Study, placement: int) -> FloatArray:
    """Power at the connection points with 0, 1, 2, ... devices, (steps + 1, n_points)."""
    order, steps = _order(study, placement), study.steps
    change = np.zeros((steps + 1, len(study.p_base_w)))
    each = np.arange(1, steps + 1)
    if study.what == "trade":
        change[each, order[0 : 2 * steps : 2]] += study.power_w
        change[each, order[1 : 2 * steps : 2]] -= study.power_w
    else:
        change[each, order[:steps]] += study.power_w if study.what == "export" else -study.power_w
    return study.p_base_w + np.cumsum(change, axis=0)


def _problem(study: Study, placement: int, number: int) -> GateProblem:
    """The first ``number`` devices of a placement as fills over an hour, a W as a Wh."""
    order = _order(study, placement)
    fills: Fills
    if study.what == "trade":
        sell, buy = order[0 : 2 * number : 2], order[1 : 2 * number : 2]
        fills = empty_fills(2 * number)
        fills["participant"] = np.concatenate((sell, buy))
        fills["counterparty"] = np.concatenate((buy, sell))
        fills["side"] = np.repeat((SELL, BUY), number)
    else:
        fills = empty_fills(number)
        fills["participant"], fills["counterparty"] = order[:number], SUPPLIER
        fills["side"] = SELL if study.what == "export" else BUY
    fills["order_id"], fills["flexible"] = np.arange(len(fills)), True
    fills["energy_wh"] = round(study.power_w)
    n = len(study.p_base_w)
    return GateProblem(study.p_base_w, study.q_base_var, np.arange(n), fills, 3600)

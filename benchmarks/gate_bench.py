"""The trade gate: its fast path, a heavy cut, attribution and a hosting study; AC time against pandapower's.

Times are those of the processor, so that what else the machine does is not counted.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from adapters.grid.engine import GridState
from adapters.grid.factory import make_engine
from adapters.grid.feeder import Feeder, FloatArray
from adapters.grid.source import load_feeder
from benchmarks import Row
from market.orders import BUY, POOL, SELL, Fills, empty_fills
from twin.gate.attribution import attribute
from twin.gate.gate import GateProblem, TradeGate
from twin.gate.hosting import Study, hosting, hosting_with_gate
from twin.gate.limits import Limits, Violation
from twin.gate.units import power_of
from twin.scenario.limits_section import LimitsSection

ORDERS = 300
PLACEMENTS = 1000
SAMPLE = 20  # pandapower flows that its time per flow is taken from


class Timed:
    """An engine that notes how long it was asked for, and what."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.feeder, self.name = engine, engine.feeder, engine.name
        self.keeps_ends = False
        self.seconds = 0.0
        self.power: list[FloatArray] = []
        self.reactive: list[FloatArray] = []

    def solve(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> GridState:
        started = time.process_time()
        state: GridState = self.engine.solve(p_gen_w, q_gen_var)
        self.seconds += time.process_time() - started
        self.power.append(p_gen_w)
        self.reactive.append(q_gen_var)
        return state


def limits_of(feeder: Feeder, low: float, high: float, loading: float = 100.0) -> Limits:
    section = LimitsSection.model_construct(
        voltage_min_pu=low,
        voltage_max_pu=high,
        line_loading_percent=loading,
        transformer_loading_percent=loading,
    )
    return Limits.from_section(feeder, section)


def pool(feeder: Feeder, sellers: list[int], orders: int, mean_wh: int) -> Fills:
    """Sellers among the given points, buyers anywhere, values drawn between 0 and 0.13 per kWh."""
    rng, half = np.random.default_rng(1), orders // 2
    fills = empty_fills(2 * half)
    energy = rng.integers(mean_wh // 2, 3 * mean_wh // 2, half)
    fills["order_id"] = np.arange(2 * half)
    buyers = rng.integers(0, len(feeder.points), half)
    fills["participant"] = np.concatenate((rng.choice(sellers, half), buyers))
    fills["side"] = np.repeat((SELL, BUY), half)
    fills["energy_wh"] = np.concatenate((energy, rng.permutation(energy)))
    fills["flexible"], fills["counterparty"], fills["price_micro_per_kwh"] = True, POOL, 150_000
    fills["limit_micro_per_kwh"] = 150_000 - fills["side"] * rng.integers(0, 130_000, 2 * half)
    return fills


def median_ms(call: Callable[[], object], times: int) -> float:
    call()
    took = []
    for _ in range(times):
        started = time.process_time()
        call()
        took.append(time.process_time() - started)
    return statistics.median(took) * 1e3


def fast_path() -> Row:
    feeder = load_feeder("simbench:1-LV-semiurb4--2-sw", Path())
    n = len(feeder.points)
    engine = make_engine(feeder, "power_grid_model")
    p = -np.random.default_rng(0).uniform(200, 2000, n)
    gate = TradeGate(engine, limits_of(feeder, 0.9, 1.1), 0.001, 1.0)
    problem = GateProblem(p, 0.1 * p, np.arange(n), pool(feeder, list(range(n)), 40, 100), 900)
    power, reactive = np.stack((p, p)), np.stack((0.1 * p, 0.1 * p))
    bare = median_ms(lambda: engine.solve(power, reactive), 300)
    value = median_ms(lambda: gate.decide(problem), 300)
    solves = gate.decide(problem).solves
    return Row(
        "gate, nothing to cut, 44-bus street, 40 orders",
        value,
        "ms",
        "two power flows alone",
        bare,
        bare / value,
        "at most two AC solves",
        solves <= 2,
        f"{solves} solves in one batch; {1e3 * max(value - bare, 0):.0f} us are the gate's own",
    )


def heavy_cut() -> list[Row]:
    feeder = load_feeder("pandapower:case33bw", Path())
    points = feeder.points
    p = np.array([-0.45 * point.p_rated_w for point in points])
    q = np.array([-0.45 * point.q_rated_var for point in points])
    ends = [row for row, point in enumerate(points) if point.bus in (15, 16, 17, 20, 21, 23, 24, 30, 31, 32)]
    problem = GateProblem(p, q, np.arange(len(points)), pool(feeder, ends, ORDERS, 30_000), 900)
    timed = Timed(make_engine(feeder, "power_grid_model"))
    gate = TradeGate(timed, limits_of(feeder, 0.95, 1.03), 0.0005, 1.0)
    value = median_ms(lambda: gate.decide(problem), 15)
    timed.seconds, timed.power, timed.reactive = 0.0, [], []
    decision = gate.decide(problem)
    power, reactive = np.concatenate(timed.power), np.concatenate(timed.reactive)
    rows = np.linspace(0, len(power) - 1, SAMPLE).astype(int)
    reference = make_engine(feeder, "pandapower")
    reference.solve(power[:1], reactive[:1])
    started = time.process_time()
    reference.solve(power[rows], reactive[rows])
    slow = (time.process_time() - started) / SAMPLE * len(power) * 1e3
    accepted = decision.accepted_wh.sum() / problem.fills["energy_wh"].sum()
    ac = timed.seconds * 1e3
    note = (
        f"{decision.status} by {decision.decided_by}, {accepted:.1%} of the energy, {decision.solves} flows"
    )
    return [
        Row(
            f"gate, {ORDERS} orders in violation, 33 bus",
            value,
            "ms",
            "the time allowed",
            40.0,
            40.0 / value,
            "<= 40 ms",
            value <= 40,
            note,
        ),
        Row(
            "  its AC time",
            ac,
            "ms",
            f"pandapower, same {len(power)} flows (from {SAMPLE})",
            slow,
            slow / ac,
            ">= 20x",
            slow / ac >= 20,
        ),
    ]


def street() -> tuple[Feeder, Any, FloatArray]:
    feeder = load_feeder("simbench:1-LV-rural2--2-sw", Path())
    rng = np.random.default_rng(0)
    return feeder, make_engine(feeder, "power_grid_model"), -rng.uniform(200, 2000, len(feeder.points))


def attribution() -> Row:
    feeder, engine, p = street()
    rng = np.random.default_rng(2)
    traded = p.copy()
    traded[rng.permutation(len(p))[:35]] -= 11e3
    traded[rng.permutation(len(p))[:20]] += 10e3
    loading = engine.solve(traded[None], 0.2 * p[None]).loading_percent[0]
    worst = int(np.nanargmax(loading))
    element = Violation("line_loading", worst, feeder.branch_names[worst], float(loading[worst]), 60.0)
    shares = attribute(engine, p, 0.2 * p, traded, 0.2 * p, element)
    value = median_ms(lambda: attribute(engine, p, 0.2 * p, traded, 0.2 * p, element), 5)
    slow = median_ms(lambda: attribute(Bare(engine), p, 0.2 * p, traded, 0.2 * p, element), 1)
    who = int((shares.change_p_w != 0).sum())
    note = f"{who} participants, {shares.solves} flows, residual {shares.residual:.1e} of {shares.change:.1f} percent"
    name = "attribution of one line's loading, 97-bus street"
    return Row(name, value, "ms", "by differences of power flows", slow, slow / value, note=note)


class Bare:
    """An engine without the feeder's equivalent."""

    def __init__(self, engine: Any) -> None:
        self.feeder, self.name, self.keeps_ends, self.solve = engine.feeder, engine.name, False, engine.solve


def european() -> list[Row]:
    """An interval in violation on 907 buses per phase: what the gate cuts, and who is behind the worst voltage."""
    feeder = load_feeder("pandapower:ieee_european_lv_asymmetric", Path())
    engine, n = make_engine(feeder, "power_grid_model"), len(feeder.points)
    p = -np.random.default_rng(3).uniform(200, 1500, n)
    problem = GateProblem(p, 0.2 * p, np.arange(n), pool(feeder, list(range(0, n, 2)), 60, 1500), 900)
    gate = TradeGate(engine, limits_of(feeder, 0.95, 1.05, 60), 0.001, 1.0)
    decision = gate.decide(problem)
    value = median_ms(lambda: gate.decide(problem), 3)
    worst = max(decision.averted, key=lambda v: v.value - v.limit if v.kind == "voltage_max" else -1.0)
    traded = p + power_of(
        problem.fills, problem.fills["energy_wh"].astype(np.int64), problem.point_of, n, problem.interval_s
    )
    shares = attribute(engine, p, 0.2 * p, traded, 0.2 * p, worst)
    each = median_ms(lambda: attribute(engine, p, 0.2 * p, traded, 0.2 * p, worst), 5)
    plain = median_ms(lambda: attribute(Bare(engine), p, 0.2 * p, traded, 0.2 * p, worst), 1)
    reference = make_engine(feeder, "pandapower")
    slow = median_ms(lambda: reference.solve(p[None], 0.2 * p[None]), 1) * decision.solves
    return [
        Row(
            "gate, 60 orders in violation, 907-bus European feeder", value, "ms",
            f"pandapower, {decision.solves} flows alone (from 1)", slow, slow / value, "<= 2 s", value <= 2000,
            f"{decision.status} by {decision.decided_by}, {len(decision.averted)} violations averted",
        ),
        Row(
            "  attribution of its worst voltage", each, "ms", "by differences of power flows", plain, plain / each,
            "<= 100 ms", each <= 100,
            f"{shares.solves} flows, residual {shares.residual:.1e} of {shares.change:.4f} pu",
        ),
    ]  # fmt: skip


def study() -> Row:
    feeder, engine, p = street()
    asked = Study(p, 0.2 * p, "trade", 11e3, np.arange(len(p)), PLACEMENTS, 1)
    started = time.process_time()
    found = hosting(engine, limits_of(feeder, 0.94, 1.06), asked)
    value = time.process_time() - started
    low, middle, high = found.quantile_w(0.05)
    note = (
        f"{found.solves} flows; mean {found.mean_w / 1e3:.0f} +- {found.mean_half_width_w / 1e3:.0f} kW, "
        f"95 of 100 placements host {middle / 1e3:.0f} kW ({low / 1e3:.0f} to {high / 1e3:.0f})"
    )
    name = f"hosting study, {PLACEMENTS} placements"
    return Row(name, value, "s", "the time allowed", 60.0, 60.0 / value, "<= 60 s", value <= 60, note)


def gated_study() -> Row:
    """A street that PV overloads, every placement with the gate; in as many processes as there are cores, at most 2."""
    feeder = load_feeder("simbench:1-LV-semiurb4--2-sw", Path())
    engine, n = make_engine(feeder, "power_grid_model"), len(feeder.points)
    p = -np.random.default_rng(0).uniform(100, 500, n)
    asked = Study(p, 0.2 * p, "export", 8e3, np.arange(n), PLACEMENTS, 1)
    gate = TradeGate(engine, limits_of(feeder, 0.95, 1.05), 0.001, 1.0)
    workers, started, clock = min(2, len(os.sched_getaffinity(0))), used_s(), time.perf_counter()
    found = hosting_with_gate(gate, asked, workers=workers)
    value, waited = used_s() - started, time.perf_counter() - clock
    note = (
        f"{found.solves} flows; seconds of the processor in all, {workers} processes took {waited:.0f} s on the wall; "
        f"mean {found.mean_w / 1e3:.0f} kW of {found.steps * 8} kW"
    )
    name = f"hosting study with the gate, {PLACEMENTS} placements"
    return Row(
        name, value, "s", "the time allowed", 60.0, 60.0 / value, "<= 60 s on 2 cores", value <= 60, note
    )


def used_s() -> float:
    """Seconds of the processor that this process and those it has waited for have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def run() -> list[Row]:
    """All figures of the gate."""
    return [fast_path(), *heavy_cut(), attribution(), *european(), study(), gated_study()]

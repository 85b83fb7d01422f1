"""``twin hosting``: how much P2P trading, PV or charging the feeder of a scenario hosts, with and without the gate."""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twin.commands.run import add_overrides
from twin.errors import WrongInputError

if TYPE_CHECKING:
    from adapters.grid.feeder import FloatArray, IntArray
    from twin.gate.hosting import Hosting
    from twin.prepare import PreparedRun

WHAT: dict[str, tuple[Literal["trade", "export", "import"], str]] = {
    "trades": ("trade", "pairs of neighbours, one selling to the other"),
    "pv": ("export", "plants that feed in"),
    "ev": ("import", "chargers that draw"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``twin hosting`` understands."""
    parser.add_argument(
        "scenario", type=Path, help="scenario file (YAML): feeder, limits, participants, seed"
    )
    parser.add_argument(
        "--what", choices=tuple(WHAT), default="trades", help="what is placed (default: trades)"
    )
    parser.add_argument("--power-w", type=float, default=5000.0, help="power of each, in W (default: 5000)")
    parser.add_argument("--placements", type=int, default=1000, help="random placements (default: 1000)")
    parser.add_argument(
        "--gate-placements", type=int, default=20, help="of which with the gate (default: 20)"
    )
    parser.add_argument(
        "--at", type=int, metavar="INTERVAL", help="interval of the baseline (default: the hardest)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=None,
        help="processes for the placements with the gate (default: all cores)",
    )
    add_overrides(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


@dataclass(frozen=True)
class Answer:
    """What a hosting study found."""

    what: str
    interval: int
    time: str
    without_gate: "Hosting"
    with_gate: "Hosting | None"


def execute(arguments: argparse.Namespace) -> int:
    """Run the study; return 0 (it has no verdict)."""
    from twin.prepare import prepare
    from twin.scenario.load import load_scenario

    for name in ("power_w", "placements", "workers"):
        given = getattr(arguments, name)
        if given is not None and not given > 0:
            raise WrongInputError(
                f"--{name.replace('_', '-')} is {getattr(arguments, name)}: give a number above 0"
            )
    loaded = load_scenario(arguments.scenario, arguments.overrides, arguments.seed)
    answer = study(prepare(loaded).runs[loaded.judged], arguments)
    sys.stdout.write(_json(answer) if arguments.json else _table(answer))
    return 0


def study(run: "PreparedRun", arguments: argparse.Namespace) -> Answer:
    """Place devices on the scenario's feeder at one interval's baseline."""
    from adapters.grid.factory import make_engine
    from twin.gate.errors import GateInputError
    from twin.gate.gate import TradeGate
    from twin.gate.hosting import Study, hosting, hosting_with_gate
    from twin.gate.limits import Limits

    s = run.scenario
    interval, p_w, q_var = baseline(run, arguments)
    engine = make_engine(run.feeder, run.gate_engine)
    limits = Limits.from_section(run.feeder, s.limits, getattr(engine, "dead_buses", ()))
    kind = WHAT[arguments.what][0]
    points = np.flatnonzero(run.people.trades)

    def placed(count: int) -> Study:
        return Study(p_w, q_var, kind, arguments.power_w, points, count, s.seed)

    try:
        free = hosting(engine, limits, placed(arguments.placements))
        gated = None
        if arguments.gate_placements > 0:
            margins = (s.coordination.margin_v_pu, s.coordination.margin_loading_percent)
            gated = hosting_with_gate(
                TradeGate(engine, limits, *margins),
                placed(arguments.gate_placements),
                workers=_workers(arguments),
            )
    except GateInputError as error:
        raise WrongInputError(str(error)) from None
    return Answer(arguments.what, interval, s.at(interval).isoformat(), free, gated)


def _workers(arguments: argparse.Namespace) -> int:
    """As many processes as asked for, or as cores may be used; one where few placements would not repay them."""
    if arguments.workers is not None:
        return max(1, int(arguments.workers))
    return 1 if arguments.gate_placements < 50 else len(os.sched_getaffinity(0))


def baseline(run: "PreparedRun", arguments: argparse.Namespace) -> "tuple[int, FloatArray, FloatArray]":
    """Interval and powers that the study starts from: as asked, or the hardest of the run for what is placed.

    The hardest is the least net load for PV, else the greatest; batteries and cars are left out.
    """
    from twin.profiles import Profiles

    profiles = Profiles(run.table, run.scenario, run.people)
    n = run.scenario.n_intervals
    if arguments.at is not None and not 0 <= arguments.at < n:
        raise WrongInputError(f"--at is {arguments.at}: the scenario has intervals 0 to {n - 1}")

    def net(interval: int) -> "tuple[FloatArray, FloatArray]":
        load_w, load_var, pv_w = profiles.interval_means(interval)
        return pv_w - load_w, -load_var

    if arguments.at is None:
        totals: IntArray = np.array([net(k)[0].sum() for k in range(n)])
        interval = int(totals.argmax() if WHAT[arguments.what][0] == "export" else totals.argmin())
    else:
        interval = arguments.at
    return interval, *net(interval)


def _record(found: "Hosting") -> dict[str, Any]:
    low, middle, high = found.quantile_w(0.05)
    return {
        "placements": len(found.hosted),
        "power_w": found.power_w,
        "mean_w": found.mean_w,
        "mean_ci95_w": [found.mean_w - found.mean_half_width_w, found.mean_w + found.mean_half_width_w],
        "hosted_by_95_percent_w": middle,
        "hosted_by_95_percent_ci95_w": [low, high],
        "all_hosted_count": found.full,
        "most_w": found.steps * found.power_w,
        "binding": found.binding,
        "solves": found.solves,
    }


def _json(answer: Answer) -> str:
    record = {
        "what": answer.what,
        "interval": answer.interval,
        "time": answer.time,
        "without_gate": _record(answer.without_gate),
        "with_gate": None if answer.with_gate is None else _record(answer.with_gate),
    }
    return json.dumps(record, allow_nan=False, default=str) + "\n"


def _table(answer: Answer) -> str:
    lines = [f"{answer.what}: {WHAT[answer.what][1]}; baseline of interval {answer.interval} ({answer.time})"]
    for title, found in (("without the gate", answer.without_gate), ("with the gate", answer.with_gate)):
        if found is None:
            continue
        record = _record(found)
        low, high = (w / 1e3 for w in record["mean_ci95_w"])
        floor, ceiling = (w / 1e3 for w in record["hosted_by_95_percent_ci95_w"])
        lines += [
            f"{title}: {record['placements']} placements of {found.power_w / 1e3:g} kW, {found.solves} power flows",
            f"  hosted on average      {found.mean_w / 1e3:8.1f} kW   (95 % interval {low:.1f} to {high:.1f})",
            f"  by 95 of 100 placements{record['hosted_by_95_percent_w'] / 1e3:8.1f} kW   "
            f"(95 % interval {floor:.1f} to {ceiling:.1f})",
            f"  everything ({record['most_w'] / 1e3:g} kW) in {found.full} placements",
        ]
        lines += [f"  {count:6d} x  {limit}" for limit, count in list(found.binding.items())[:5]]
    return "\n".join(lines) + "\n"

"""What three oracles and the devices' signatures add to an interval, in CPU time."""

import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import Row

CODE = "1-LV-semiurb4--2-sw"
DAYS = 8
SCENARIO = f"""
name: bench
start: 2016-05-23T00:00:00+02:00
duration_days: {DAYS + 1}
seed: 58
grid: {{source: "simbench:{CODE}"}}
participants:
  assets:
    - {{kind: pv, share_percent: 50, p_max_w: 12000}}
    - {{kind: battery, share_percent: 25, p_max_w: 5000}}
    - {{kind: ev, share_percent: 25, energy_need_wh: 12000, strategy: cheap}}
settlement: {{chain: none, oracles: {{}}}}
"""


def _flows(prepared: Any, power_w: Any) -> list[Any]:
    """Branch flows of a day of powers; the plant's own time is not the oracles'."""
    from adapters.grid.factory import make_engine
    from twin.oracles.grid_log import BranchFlows

    engine = make_engine(prepared.feeder, prepared.plant_engine)
    engine.keeps_ends = True
    state = engine.solve(power_w, np.zeros_like(power_w))
    assert state.p_branch_to_w is not None
    ends = zip(state.p_branch_w, state.p_branch_to_w, state.p_slack_w.tolist(), strict=True)
    return [BranchFlows(at_from, at_to, at_from + at_to, slack_w) for at_from, at_to, slack_w in ends]


def _spent_ms(prepared: Any, power_w: Any, flows: list[Any]) -> dict[str, float]:
    """CPU milliseconds per interval, of the least disturbed day: agreeing, and a day's batch of signatures and root."""
    from twin.fleet import Flows
    from twin.oracles.panel import Panel
    from twin.oracles.witness import Witness
    from twin.profiles import Profiles

    s, people = prepared.scenario, prepared.people
    profiles = Profiles(prepared.table, s, people)
    panel = Panel(s.settlement.oracles, s, prepared.feeder, people, profiles, np.full(people.n, 3e4), ())
    witness = Witness(panel.metering.names, "bench", 58, panel.meters, panel.meter_oracle)
    behind = Flows(*[np.zeros(people.n)] * 7)
    days = [{"agree": 0.0, "sign": 0.0} for _ in range(DAYS + 1)]
    held = 0
    for k in range((DAYS + 1) * 96):
        spent = days[k // 96]
        energy_wh = power_w[k % 96] / 4
        began = time.process_time()
        panel.step(k * 900, energy_wh, flows[k % 96], behind)
        made = panel.close(k, (k + 1) * 900)
        spent["agree"] += time.process_time() - began
        held += int(made.held.sum())
        began = time.process_time()
        witness.add(k * 900, (k + 1) * 900, panel.counted)
        if k % 96 == 95:
            witness.close((k - 95) * 900, (k + 1) * 900)
        spent["sign"] += time.process_time() - began
    if held or witness.refused:
        raise RuntimeError(f"{held} honest readings held, {len(witness.refused)} signatures refused")
    least = min(days[1:], key=lambda day: sum(day.values()))  # the first day compiles and warms up
    return {name: seconds / 96 * 1e3 for name, seconds in least.items()}


def _row(name: str, text: str) -> Row:
    """One street."""
    from twin.prepare import prepare
    from twin.scenario.load import load_scenario

    with TemporaryDirectory() as folder:
        path = Path(folder) / "bench.yaml"
        path.write_text(text)
        prepared = prepare(load_scenario(path)).runs["main"]
    people = prepared.people
    # houses only: a band that holds for any sun
    power_w = -np.random.default_rng(58).uniform(0, 3000, (96, people.n))
    spent = _spent_ms(prepared, power_w, _flows(prepared, power_w))
    total = sum(spent.values())
    meters = people.n + 2 * int(((people.pv_rated_w > 0) & (people.battery_wh > 0)).sum())
    return Row(
        f"three oracles and signatures, {CODE}: {name}, {meters} meters", total, "ms", "budget", 0.3, 0.3 / total,
        "at most 0.3 ms an interval", total <= 0.3,
        f"CPU: agreeing {spent['agree']:.3f}, signatures and root of a day's batch {spent['sign']:.3f}",
    )  # fmt: skip


def run() -> list[Row]:
    """Measure on the street of the interval benchmark, with daily batches."""
    warnings.simplefilter("ignore")
    plain = "\n".join(line for line in SCENARIO.splitlines() if "battery" not in line)
    return [
        _row("58 participants", plain),
        _row("58 participants, ten with PV and a battery", SCENARIO),
    ]

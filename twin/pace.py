"""How long a run will take where its engine is slow: measured on a few power flows, told before the run."""

import time
from collections.abc import Collection, Iterator

import numpy as np

from twin.attributed import MOST_EPISODES, MOST_ONE_BY_ONE, ONE_BY_ONE
from twin.prepare import PreparedRun, PreparedScenario

WORTH_SAYING_S = 10.0
TRIES = 3
GATE_STATES, PLANT_STATES = 2, 2
"""Power flows of an interval without violation, and of a step: each with trades and without."""
STATES_PER_SHARES = 300
"""About as many states as one attribution takes, where no faster engine can model the feeder."""
STATES_OF_ENDS = 3
"""Where one can: the states that its shares are held against."""


def slow_notes(prepared: PreparedScenario, names: Collection[str] | None = None) -> Iterator[str]:
    """A sentence for every run (of those named) that is solved one state at a time for more than ten seconds.

    Costs nothing where no run uses such an engine, else the time of a few power flows.
    """
    for name, run in prepared.runs.items():
        if names is not None and name not in names:
            continue
        roles = [
            role
            for role, engine in (("gate", run.gate_engine), ("plant", run.plant_engine))
            if engine == ONE_BY_ONE
        ]
        if not roles:
            continue
        each_s = seconds_per_state(run)
        least, more = states_of(run, roles)
        if each_s * least < WORTH_SAYING_S:
            continue
        yield (
            f"{name}: {' and '.join(roles)} solve with pandapower, one state at a time, here {each_s * 1e3:.0f} ms "
            f"each: about {_span(each_s * least)}, up to {_span(each_s * more)} more to attribute violations, and some "
            f"hundred states for each interval that the gate must cut. {_way_out(run)}"
        )


def states_of(run: PreparedRun, roles: list[str]) -> tuple[int, int]:
    """Power flows that the run takes at least with the slow engine, and those that attribution may take on top."""
    s = run.scenario
    steps = s.n_intervals * s.interval_s // s.step_s
    gated = s.coordination.mode != "none"
    least = (GATE_STATES * s.n_intervals if "gate" in roles and gated else 0) + (
        PLANT_STATES * steps if "plant" in roles else 0
    )
    if _alone(run):
        return least, STATES_PER_SHARES * (MOST_ONE_BY_ONE * len(roles) + 2)
    return least, STATES_OF_ENDS * (MOST_EPISODES * len(roles) + 2)


def seconds_per_state(run: PreparedRun) -> float:
    """The median time of a power flow at nominal load, the first one left out (it imports and builds)."""
    from adapters.grid.factory import make_engine

    engine = make_engine(run.feeder, ONE_BY_ONE)
    p_w = -np.array([[point.p_rated_w for point in run.feeder.points]])
    q_var = -np.array([[point.q_rated_var for point in run.feeder.points]])
    took = []
    for _ in range(1 + TRIES):
        begun = time.perf_counter()
        engine.solve(p_w, q_var)
        took.append(time.perf_counter() - begun)
    return float(np.median(took[1:]))


def _alone(run: PreparedRun) -> bool:
    """Whether no faster engine can model the feeder."""
    return any(ONE_BY_ONE in note for note in run.notes)


def _way_out(run: PreparedRun) -> str:
    if _alone(run):
        return "No faster engine here can model the feeder; twin feeder names the elements that stand in the way."
    return "grid.engine: power_grid_model is some thousand times faster."


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""The plant: what the feeder does, with and without trades, from the same state and in one batch."""

from dataclasses import dataclass, replace

import numpy as np

from adapters.grid.engine import Engine, GridState
from twin.answers import AnswerLog
from twin.devices import DeviceStep
from twin.oracles.grid_log import BranchFlows

WITH, WITHOUT = 0, 1
"""Rows of a plant state."""


@dataclass(frozen=True)
class PlantStep:
    """The solved plant of one step: row WITH has the trades, row WITHOUT has not."""

    devices: DeviceStep
    state: GridState
    flows: BranchFlows | None = None  # of the row WITH, where the engine keeps both ends of its branches
    engine: Engine | None = None  # that solved it, where the plant has several (its taps move)


class Plant:
    """Solves the plant's own engine, apart from the gate's.

    Where the plant draws another power than a device was told, because a load depends on its voltage, meters count
    what was drawn; a meter on a wire says itself what it counts.
    """

    def __init__(self, engine: Engine, step_s: int = 0) -> None:
        """Bind the plant; ``step_s`` is the length of a step."""
        self._engine = engine
        self._hours = step_s / 3600.0
        self.n_bus = engine.feeder.n_bus
        n = len(engine.feeder.points)
        self._p = np.empty((2, n))
        self._q = np.empty((2, n))

    @property
    def answers(self) -> AnswerLog | None:
        """What inverters and taps did by themselves, step by step, where there are any."""
        return None

    @property
    def tap(self) -> tuple[int, ...] | None:
        """Positions of the taps, where the plant moves them; what the operator is told."""
        return None

    def step(self, devices: DeviceStep) -> PlantStep:
        """Solve one step of all devices' powers."""
        self._p[WITH], self._p[WITHOUT] = devices.flows.p_gen_w, devices.base.p_gen_w
        self._q[WITH], self._q[WITHOUT] = devices.flows.q_gen_var, devices.base.q_gen_var
        return self._finished(devices, self._engine.solve(self._p, self._q))

    def _finished(self, devices: DeviceStep, state: GridState) -> PlantStep:
        if state.p_shift_w is not None and state.converged[WITH]:
            shift_wh = np.where(devices.wire, 0.0, state.p_shift_w[WITH]) * self._hours
            devices = replace(devices, metered_wh=devices.metered_wh + shift_wh)
        if state.p_branch_to_w is None:
            return PlantStep(devices, state)
        at_from, at_to = state.p_branch_w[WITH], state.p_branch_to_w[WITH]
        flows = BranchFlows(at_from, at_to, at_from + at_to, float(state.p_slack_w[WITH]))
        return PlantStep(devices, state, flows)

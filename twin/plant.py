"""The plant: what the feeder does, with and without trades, from the same state and in one batch."""

from dataclasses import dataclass

import numpy as np

from adapters.grid.engine import Engine, GridState
from twin.devices import DeviceStep

WITH, WITHOUT = 0, 1
"""Rows of a plant state."""


@dataclass(frozen=True)
class PlantStep:
    """The solved plant of one step: row WITH has the trades, row WITHOUT has not."""

    devices: DeviceStep
    state: GridState


class Plant:
    """Solves the plant's own engine, apart from the gate's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.n_bus = engine.feeder.n_bus
        n = len(engine.feeder.points)
        self._p = np.empty((2, n))
        self._q = np.empty((2, n))

    def step(self, devices: DeviceStep) -> PlantStep:
        """Solve one step of all devices' powers."""
        self._p[WITH], self._p[WITHOUT] = devices.flows.p_gen_w, devices.base.p_gen_w
        self._q[WITH], self._q[WITHOUT] = devices.flows.q_gen_var, devices.base.q_gen_var
        return PlantStep(devices, self._engine.solve(self._p, self._q))

"""What happens on the street in a step: the devices do what was decided, and the feeder carries it."""

import numpy as np

from twin.devices import Devices
from twin.operator import Decided
from twin.plant import WITH, Plant, PlantStep


class Field:
    """The devices, then the plant.

    A bench that is coupled to the plant (``coupled``) sees the voltages of the step before, so there is no algebraic
    loop; at first they are nominal.
    """

    def __init__(self, devices: Devices, plant: Plant, coupled: bool = False) -> None:
        self.devices, self.plant = devices, plant
        self._v_pu = np.ones(plant.n_bus) if coupled else None

    def step(self, step: int, decided: Decided, hold: bool = False) -> PlantStep:
        """One step; ``hold`` leaves the bench's devices at their last set points."""
        solved = self.plant.step(self.devices.step(step, decided, self._v_pu, hold))
        self.devices.state = solved.devices.state  # less what the plant kept a battery from giving
        if self._v_pu is not None:
            self._v_pu = solved.state.v_pu[WITH]
        return solved

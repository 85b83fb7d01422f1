"""A trial: the gate's question to the power flow, what if these energies were accepted?"""

from dataclasses import dataclass

import numpy as np

from adapters.grid.engine import Engine, GridState
from adapters.grid.feeder import FloatArray
from twin.gate.limits import Limits
from twin.gate.units import Units, WattHours


@dataclass
class Trial:
    """Baseline, units and the limits that hold in this interval; counts the power flows it asked for."""

    engine: Engine
    limits: Limits
    p_base_w: FloatArray
    q_base_var: FloatArray
    units: Units
    solves: int = 0

    def solve(self, p_gen_w: FloatArray) -> GridState:
        """Solve k scenarios of power at the connection points, (k, n_points)."""
        self.solves += len(p_gen_w)
        return self.engine.solve(p_gen_w, np.broadcast_to(self.q_base_var, p_gen_w.shape))

    def state(self, accepted_wh: WattHours) -> GridState:
        """Solve one schedule (n,) or several (k, n)."""
        return self.solve(np.atleast_2d(self.p_base_w + self.units.power_w(accepted_wh)))

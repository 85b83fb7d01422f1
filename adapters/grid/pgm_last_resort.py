"""What power-grid-model tries where its fast method gives up."""

from typing import Any

import numpy as np

from adapters.grid.own_solution import own_solution
from adapters.grid.pgm_core import ITERATIVE_CURRENT, NEWTON_RAPHSON, BatchPlan, CoreModel

TOLERANCE = 1e-9
ITERATIONS = 50


class LastResort:
    """Newton-Raphson for scenarios, one by one, that iterative current gives up; it knows what no load looks like.

    Newton's first step takes feed-in for a negative impedance and may end on a solution that is not the feeder's own.
    Such a one is none here.
    """

    def __init__(self, model: CoreModel, kind: str) -> None:
        """Bind to a model whose output has ``u_pu`` and ``u_angle`` of nodes; ``kind``: 'sym_gen' or 'asym_gen'."""
        self._model, self._kind = model, kind
        self._plan = model.plan(1)
        self._idle = self._solved(0.0, 0.0, ITERATIVE_CURRENT)

    def solve(self, p_w: Any, q_var: Any) -> BatchPlan | None:
        """The plan with its output, for powers in the shape of the update; None without a solution."""
        v = self._solved(p_w, q_var, NEWTON_RAPHSON)
        if v is None or self._idle is None:
            return None
        return self._plan if own_solution(v, self._idle) else None

    def _solved(self, p_w: Any, q_var: Any, method: int) -> Any:
        update, node = self._plan.update[self._kind], self._plan.output["node"]
        update["p_specified"][:], update["q_specified"][:] = p_w, q_var
        node["u_pu"].fill(np.nan)
        if self._model.calculate(self._plan, method, TOLERANCE, ITERATIONS):
            return None
        return node["u_pu"] * np.exp(1j * node["u_angle"])

"""The Thevenin equivalent of a feeder, measured in power-grid-model: one power flow per node that injects."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from adapters.grid.engine import ModelError
from adapters.grid.errors import GridError
from adapters.grid.feeder import Feeder, FloatArray
from adapters.grid.pgm_core import ITERATIVE_CURRENT, CoreModel
from adapters.grid.thevenin import Affine, ComplexArray, Thevenin, phase_rows

MOST_NODES = 400
"""Beyond, a dense model would be no faster than the sparse one."""
TOLERANCE = 1e-12
ITERATIONS = 60
FIRST_VA = 100.0
RISE_PU = 0.02
"""The currents are chosen so that each raises the voltage of its own node by about this."""
MOST_VA = 1e8
CHUNK = 64
_OUTPUT = {
    "node": ("u_pu", "u_angle"),
    "line": ("p_from", "q_from", "p_to", "q_to"),
    "transformer": ("p_from", "q_from", "p_to", "q_to"),
    "source": ("p", "q"),
}


def thevenin(
    data: Mapping[str, Any], frequency_hz: float, feeder: Feeder, shares: FloatArray, per_a: FloatArray
) -> Thevenin | None:
    """Measure the equivalent; None where the feeder has too many nodes with connection points, or does not solve.

    Args:
        data: input arrays of the model, with one generator per connection point.
        frequency_hz: system frequency.
        feeder: whose rows are meant.
        shares: (n_points, phases) which part of a point's power flows in which phase; one column if balanced.
        per_a: (2, n_branch) percent of the rating per A at the from and to side, NaN without rating.
    """
    phases = shares.shape[1]
    point, phase = np.nonzero(shares)
    bus = np.array([p.bus for p in feeder.points], dtype=np.int64)
    node, unit = np.unique(phases * (bus[point] // phases) + phase, return_inverse=True)
    if not len(node) or len(node) > MOST_NODES:
        return None
    share = np.zeros((len(node), len(bus)))
    share[unit, point] = shares[point, phase]
    probe = _Probe(data, frequency_hz, phases, node, share, feeder)
    rest = probe.states(np.zeros((1, len(node))))
    size = np.full(len(node), FIRST_VA)
    for _ in range(2):
        found = probe.states(np.diag(size))
        current = size / np.conj(found[0][np.arange(len(node)), node])
        slopes = [((each - base) / current[:, None]).T for each, base in zip(found, rest, strict=True)]
        own = np.abs(slopes[0][node, np.arange(len(node))])
        size = np.minimum(RISE_PU / np.maximum(own, 1e-30), MOST_VA)
    v, into_from, into_to, source = (Affine(base[0], slope) for base, slope in zip(rest, slopes, strict=True))
    if not all(np.isfinite(each.slope).all() for each in (v, into_from, into_to, source)):
        return None
    line_v = feeder.bus_vn_v / np.sqrt(3) * (3 if phases == 1 else 1)
    per_va = np.stack((per_a[0] / line_v[feeder.branch_from], per_a[1] / line_v[feeder.branch_to]))
    port, head = (Affine(v.constant[rows], v.slope[rows]) for rows in (node, probe.source_rows))
    return Thevenin(
        share, port, v, into_from, into_to, per_va, feeder.branch_from, head, source, phase_rows(feeder)
    )


def borrowed(feeder: Feeder, error: ModelError) -> Thevenin | None:
    """The equivalent for another engine's model of the same feeder; None where power-grid-model cannot model it."""
    from adapters.grid.factory import make_engine

    if not hasattr(feeder.native, "bus"):
        return None
    try:
        found: Thevenin | None = getattr(make_engine(feeder, "power_grid_model", error), "thevenin", None)
    except GridError:
        return None
    return found


class _Probe:
    """A model of its own whose results are phasors."""

    def __init__(
        self,
        data: Mapping[str, Any],
        frequency_hz: float,
        phases: int,
        node: Any,
        share: FloatArray,
        feeder: Feeder,
    ) -> None:
        self._kind = "asym_gen" if phases == 3 else "sym_gen"
        update = {self._kind: ("p_specified", "q_specified")}
        self._model = CoreModel(data, frequency_hz, update, _OUTPUT, symmetric=phases == 1)
        self._phases, self._node, self._feeder = phases, node, feeder
        first = share.argmax(axis=1)  # a point at each node, whose generator injects
        self._point = first
        self._n_generators = len(data[self._kind])
        sources = data["source"]["node"].astype(np.int64)
        self.source_rows = (phases * sources[:, None] + np.arange(phases)).ravel()

    def states(self, power: FloatArray) -> tuple[ComplexArray, ...]:
        """Voltages in pu, currents into both ends of branches and of the source in VA per pu, (k, rows) each."""
        parts = [self._solve(power[first : first + CHUNK]) for first in range(0, len(power), CHUNK)]
        return tuple(np.concatenate(each) for each in zip(*parts, strict=True))

    def _solve(self, power: FloatArray) -> tuple[ComplexArray, ...]:
        k, phases = len(power), self._phases
        plan = self._model.plan(k)
        given = np.zeros((k, self._n_generators, phases))
        for unit, point in enumerate(self._point):
            given[:, point, self._node[unit] % phases] += power[:, unit]
        update = plan.update[self._kind]
        update["p_specified"][:] = given if phases == 3 else given[:, :, 0]
        update["q_specified"][:] = 0.0
        plan.output["node"]["u_pu"].fill(np.nan)
        failed = self._model.calculate(plan, ITERATIVE_CURRENT, TOLERANCE, ITERATIONS)
        out = plan.output
        v = (out["node"]["u_pu"] * np.exp(1j * out["node"]["u_angle"])).reshape(k, -1)
        v[failed] = np.nan
        feeder = self._feeder
        ends = [
            np.concatenate(
                [
                    (out[name][f"p_{end}"] + 1j * out[name][f"q_{end}"]).reshape(k, -1)
                    for name in ("line", "transformer")
                    if name in out
                ],
                axis=1,
            )
            for end in ("from", "to")
        ]
        into = [
            np.conj(power / v[:, at])
            for power, at in zip(ends, (feeder.branch_from, feeder.branch_to), strict=True)
        ]
        delivered = (out["source"]["p"] + 1j * out["source"]["q"]).reshape(k, -1)
        return v, *into, np.conj(delivered / v[:, self.source_rows])

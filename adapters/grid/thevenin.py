"""What connection points see of a feeder: between them it is linear, so a small dense model stands for all of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.grid.engine import BoolArray
from adapters.grid.feeder import FloatArray, IntArray

ComplexArray = npt.NDArray[np.complex128]

TOLERANCE_PU = 1e-12
ITERATIONS = 80


@dataclass(frozen=True)
class Affine:
    """Phasors as functions of the injected currents: ``constant`` (rows,) + ``slope`` (rows, m) @ currents."""

    constant: ComplexArray
    slope: ComplexArray

    def at(self, current: ComplexArray, row: int) -> ComplexArray:
        """One phasor at currents of shape (k, m), (k,)."""
        found: ComplexArray = self.constant[row] + current @ self.slope[row]
        return found


@dataclass(frozen=True)
class Thevenin:
    """A feeder whose loads and generators all are connection points, seen from these.

    Loads take constant power; everything else (lines, transformers, shunts, an ideal source) is linear. Voltages are
    in pu; a current is the power that it carries at 1 pu, in VA, so that ``power = v * conj(current)``. ``share``
    (m, n_points) says which part of a point's power is injected at which of the m nodes, ``node`` (m,) their bus
    rows. ``into_from`` and ``into_to`` are the currents into each branch row, ``percent_per_va`` (2, n_branch) what
    one VA of them is of the branch's rating. ``source_v`` (s,) are the fixed voltages of the source's rows,
    ``source`` the currents that it delivers.
    """

    share: FloatArray
    node: IntArray
    v: Affine
    into_from: Affine
    into_to: Affine
    percent_per_va: FloatArray
    branch_from: IntArray
    source_v: ComplexArray
    source: Affine

    def injected(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Currents and voltages at the nodes, (k, m) each, for powers (k, n_points); NaN without a solution.

        The implicit Z-bus method: v = E + Z conj(S / v).
        """
        power = (p_gen_w + 1j * q_gen_var) @ self.share.T
        e, z = self.v.constant[self.node], self.v.slope[self.node]
        v: ComplexArray = np.broadcast_to(e, power.shape).copy()
        current: ComplexArray = np.zeros_like(power)
        moved: FloatArray = np.full(len(power), np.inf)
        with np.errstate(all="ignore"):
            for _ in range(ITERATIONS):
                current = np.conj(power / v)
                before, v = v, e + current @ z.T
                moved = np.abs(v - before).max(axis=1, initial=0.0)
                if not (moved > TOLERANCE_PU).any():
                    break
        lost: BoolArray = ~(moved <= 1e3 * TOLERANCE_PU)
        current[lost], v[lost] = np.nan, np.nan
        return current, v

    def slopes(self, weight: ComplexArray, current: ComplexArray, v: ComplexArray) -> ComplexArray:
        """Derivatives of a number with respect to the points' powers at one operating point, (n_points,).

        The number changes by Re(``weight`` @ d currents). The real part of the result is per W, its imaginary part
        per var. One solution of the transposed (adjoint) system: d current + D conj(d current) = conj(d power / v),
        with D = diag(conj(power / v^2)) conj(Z).
        """
        m = len(self.node)
        d = (current / np.conj(v))[:, None] * np.conj(self.v.slope[self.node])
        jacobian = np.eye(2 * m)
        jacobian[:m, :m] += d.real
        jacobian[:m, m:] += d.imag
        jacobian[m:, :m] += d.imag
        jacobian[m:, m:] -= d.real
        adjoint: Any = np.linalg.solve(jacobian.T, np.concatenate((weight.real, -weight.imag)))
        # Re(conj(adjoint) conj(d power / v)) = Re(adjoint / v d power)
        found: ComplexArray = np.conj((adjoint[:m] + 1j * adjoint[m:]) / v) @ self.share
        return found

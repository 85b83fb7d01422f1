"""What connection points see of a feeder: between them it is linear, so a small dense model stands for all of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.grid.engine import BoolArray
from adapters.grid.feeder import Feeder, FloatArray, IntArray

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


def phase_rows(feeder: Feeder) -> IntArray:
    """Rows of the phases a, b, c of every row's bus, (n_bus, 3); -1 where it lacks one (all, on a balanced feeder)."""
    rows = np.full((int(feeder.site.max()) + 1, 3), -1, dtype=np.int64)
    for row, (site, phase) in enumerate(zip(feeder.site.tolist(), feeder.bus_phase, strict=True)):
        if len(phase) == 1:
            rows[site, "abc".index(phase)] = row
    found: IntArray = rows[feeder.site]
    return found


@dataclass(frozen=True)
class Dependence:
    """How the powers at the ports follow their voltages: ``parts`` (2, 3, m) are quadratic, linear and constant.

    The first row is of active, the second of reactive power, at the voltage over ``nominal_v`` (m,), as in a ZIP load.
    """

    parts: FloatArray
    nominal_v: FloatArray

    def factors(self, v: ComplexArray) -> FloatArray:
        """What powers are multiplied by at port voltages (..., m): (2, ..., m)."""
        z, i, p = (self.parts[:, k].reshape(2, *(1,) * (v.ndim - 1), -1) for k in range(3))
        u = np.abs(v) / self.nominal_v
        return np.asarray((z * u + i) * u + p)

    def slopes(self, v: ComplexArray) -> FloatArray:
        """Derivatives of the factors with respect to the magnitude of the voltage, (2, m) for (m,)."""
        u = np.abs(v) / self.nominal_v
        return np.asarray((2 * self.parts[:, 0] * u + self.parts[:, 1]) / self.nominal_v)


@dataclass(frozen=True)
class Thevenin:
    """A feeder whose loads and generators all are connection points, seen from these.

    Loads take constant power, or follow their voltage as ``depends`` says; everything else (lines, transformers,
    shunts, sources) is linear. Voltages are in pu; a current is the power that it carries at 1 pu, in VA, so that
    ``power = v * conj(current)``. Power is injected at m ports: a phase and the neutral, or two phases. ``share``
    (m, n_points) says which part of a point's power is injected at which, ``port`` are their voltages.
    ``into_from`` and ``into_to`` are the currents into each branch row, ``percent_per_va`` (2, n_branch) what
    one VA of them is of the branch's rating. ``head`` (s,) are the voltages of the source's terminals, ``source`` the
    currents that it delivers there, in units whose product is W. ``together`` is ``phase_rows`` of the feeder.
    """

    share: FloatArray
    port: Affine
    v: Affine
    into_from: Affine
    into_to: Affine
    percent_per_va: FloatArray
    branch_from: IntArray
    head: Affine
    source: Affine
    together: IntArray
    depends: Dependence | None = None

    def injected(self, p_gen_w: FloatArray, q_gen_var: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Currents and voltages at the ports, (k, m) each, for powers (k, n_points); NaN without a solution.

        The implicit Z-bus method: v = E + Z conj(S / v).
        """
        power: ComplexArray = np.asarray((p_gen_w + 1j * q_gen_var) @ self.share.T, dtype=np.complex128)
        e, z = self.port.constant, self.port.slope
        v: ComplexArray = np.broadcast_to(e, power.shape).copy()
        current: ComplexArray = np.zeros_like(power)
        moved: FloatArray = np.full(len(power), np.inf)
        with np.errstate(all="ignore"):
            for _ in range(ITERATIONS):
                current = np.conj(self._at(power, v) / v)
                before, v = v, e + current @ z.T
                moved = np.abs(v - before).max(axis=1, initial=0.0)
                if not (moved > TOLERANCE_PU).any():
                    break
        lost: BoolArray = ~(moved <= 1e3 * TOLERANCE_PU)
        current[lost], v[lost] = np.nan, np.nan
        return current, v

    def _at(self, power: ComplexArray, v: ComplexArray) -> ComplexArray:
        if self.depends is None:
            return power
        of_p, of_q = self.depends.factors(v)
        drawn: ComplexArray = power.real * of_p + 1j * power.imag * of_q
        return drawn

    def slopes(self, weight: ComplexArray, current: ComplexArray, v: ComplexArray) -> ComplexArray:
        """Derivatives of a number with respect to the points' powers at one operating point, (n_points,).

        The number changes by Re(``weight`` @ d currents). The real part of the result is per W, its imaginary part
        per var. One solution of the transposed (adjoint) system: d current + A d current + D conj(d current) =
        conj(d power / v), with D = diag(conj(power / v^2)) conj(Z) and A = 0 where power does not depend on voltage.
        """
        m = len(v)
        z, jacobian = self.port.slope, np.eye(2 * m)
        d = (current / np.conj(v))[:, None] * np.conj(z)
        of_p = of_q = np.ones(m)
        if self.depends is not None:
            of_p, of_q = self.depends.factors(v)
            steep = self.depends.slopes(v)
            power = v * np.conj(current)  # as injected; what was asked for is that less the factors
            risen = power.real / of_p * steep[0] + 1j * power.imag / of_q * steep[1]
            turn = np.conj(risen / v) / (2 * np.abs(v))
            d = d - (turn * v)[:, None] * np.conj(z)
            a = -(turn * np.conj(v))[:, None] * z
            jacobian[:m, :m] += a.real
            jacobian[:m, m:] -= a.imag
            jacobian[m:, :m] += a.imag
            jacobian[m:, m:] += a.real
        jacobian[:m, :m] += d.real
        jacobian[:m, m:] += d.imag
        jacobian[m:, :m] += d.imag
        jacobian[m:, m:] -= d.real
        adjoint: Any = np.linalg.solve(jacobian.T, np.concatenate((weight.real, -weight.imag)))
        # Re(conj(adjoint) conj(d power / v)) = Re(adjoint / v d power)
        back: ComplexArray = np.conj((adjoint[:m] + 1j * adjoint[m:]) / v)
        each: ComplexArray = back.real * of_p + 1j * (back.imag * of_q)
        found: ComplexArray = each @ self.share
        return found

"""One element along the path from baseline to traded state, in the feeder's Thevenin equivalent: exact derivatives."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from adapters.grid.thevenin import ComplexArray, Thevenin
from twin.gate.kinds import Kind, place_of

TURN = np.exp(2j * np.pi / 3)
POSITIVE, NEGATIVE = np.array([1, TURN, TURN**2]) / 3, np.array([1, TURN**2, TURN]) / 3


class Element(Protocol):
    """What is attributed: a bus or branch row, its kind and its limit (a ``Violation`` is one)."""

    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def row(self) -> int: ...  # noqa: D102
    @property
    def limit(self) -> float: ...  # noqa: D102


@dataclass
class SeenPath:
    """The element's value and slopes along the path; the adverse direction is positive, as in ``attribution``."""

    seen: Thevenin
    element: Element
    start: FloatArray  # (2, n): P and Q
    change: FloatArray  # (2, n)
    tolerance: float
    solves: int = 0
    active: IntArray = field(init=False)
    start_v_pu: float = float("nan")

    def __post_init__(self) -> None:
        self.active = np.flatnonzero((self.change != 0).any(axis=0))
        if self.element.kind == "voltage_rise":
            current, _ = self.currents(np.zeros(1))
            self.start_v_pu = float(abs(self.seen.v.at(current, self.element.row)[0]))

    def currents(self, tau: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Currents and voltages at the injecting nodes at points of the path, (k, m) each."""
        power = self.start + tau[:, None, None] * self.change
        return self.seen.injected(power[:, 0], power[:, 1])

    def events(self, tau: FloatArray) -> FloatArray:
        """Functions of tau whose zeros are kinks, (k, 2): distance to the limit, power through branch or head."""
        current, _ = self.currents(tau)
        value, _ = self.measured(current)
        kind, seen, row = self.element.kind, self.seen, self.element.row
        flow = np.ones_like(value)
        if kind in ("line_loading", "transformer_loading"):
            into = seen.into_from.at(current, row)
            flow = (seen.v.at(current, int(seen.branch_from[row])) * np.conj(into)).real
        elif place_of(kind) == "head":
            flow = self.head(current).real
        limit = -self.element.limit if kind == "voltage_min" else self.element.limit
        return np.stack((value - limit, flow), axis=1)

    def slopes(self, tau: FloatArray, length: FloatArray) -> FloatArray:
        """Partial derivative along each active point's own change, (k, n_active); ``length`` is not needed."""
        current, v = self.currents(tau)
        _, weights = self.measured(current)
        own = self.change[0] - 1j * self.change[1]  # Re(slope * own) = per W * dP + per var * dQ
        found = [
            (self.seen.slopes(weight, at, volt) * own).real
            if np.isfinite(weight).all()
            else np.full(len(own), np.nan)
            for weight, at, volt in zip(weights, current, v, strict=True)
        ]
        return np.array(found)[:, self.active]

    def head(self, current: ComplexArray) -> ComplexArray:
        """Power that the source delivers, (k,)."""
        delivered = self.seen.source.constant + current @ self.seen.source.slope.T
        power: ComplexArray = (np.conj(delivered) * self._head_v(current)).sum(axis=1)
        return power

    def _head_v(self, current: ComplexArray) -> ComplexArray:
        at: ComplexArray = self.seen.head.constant + current @ self.seen.head.slope.T
        return at

    def measured(self, current: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        """Value (k,) and, for Re(weight @ d currents) its change, the weights (k, m)."""
        kind, row, seen = self.element.kind, self.element.row, self.seen
        if place_of(kind) == "head":
            return self._of_head(current)
        if kind == "voltage_unbalance":
            return self._of_unbalance(current, row)
        if kind in ("line_loading", "transformer_loading"):
            both = [
                _magnitude(side.at(current, row), side.slope[row], float(factor[row]))
                for side, factor in zip((seen.into_from, seen.into_to), seen.percent_per_va, strict=True)
            ]
            far = ~(both[0][0] >= both[1][0])
            value, weight = np.where(far, both[1][0], both[0][0]), both[0][1]
            weight[far] = both[1][1][far]
            return value, weight
        factor = {"voltage_min": -1.0, "voltage_max": 1.0}.get(kind, 100 / self.start_v_pu)
        value, weight = _magnitude(seen.v.at(current, row), seen.v.slope[row], factor)
        return (value - 100 if kind == "voltage_rise" else value), weight

    def _of_head(self, current: ComplexArray) -> tuple[FloatArray, ComplexArray]:
        power, source, head = self.head(current), self.seen.source, self.seen.head
        delivered = source.constant + current @ source.slope.T
        # S = sum v conj(i): dP = Re(conj(v) di + conj(i) dv), dQ = Re(j conj(v) di - j conj(i) dv)
        by_current, by_voltage = (
            np.conj(self._head_v(current)) @ source.slope,
            np.conj(delivered) @ head.slope,
        )
        per_p, per_q = by_current + by_voltage, 1j * (by_current - by_voltage)
        p_w, q_var = power.real[:, None], power.imag[:, None]
        if self.element.kind == "reverse_power":
            return -power.real, -per_p
        if self.element.kind == "feeder_cap":
            return np.abs(power.real), np.sign(p_w) * per_p
        size = np.abs(power)
        return size, (p_w * per_p + q_var * per_q) / size[:, None]

    def _of_unbalance(self, current: ComplexArray, row: int) -> tuple[FloatArray, ComplexArray]:
        rows = self.seen.together[row]
        v = np.stack([self.seen.v.at(current, int(each)) for each in rows])
        slope = self.seen.v.slope[rows]
        negative, by_negative = _magnitude(NEGATIVE @ v, NEGATIVE @ slope, 100.0)
        positive, by_positive = _magnitude(POSITIVE @ v, POSITIVE @ slope, 1.0)
        value = negative / positive
        return value, (by_negative - value[:, None] * by_positive) / positive[:, None]


def _magnitude(phasor: ComplexArray, slope: ComplexArray, factor: float) -> tuple[FloatArray, ComplexArray]:
    """``factor`` times the magnitude of a phasor (k,), and its weights (k, m)."""
    size = np.abs(phasor)
    return factor * size, factor * (np.conj(phasor) / size)[:, None] * slope

"""The inner power process of an emulated device: reference, ramp, first-order lag, storage, counters.

Integrated in closed form, so that a step of 900 s costs as much as one of 0.1 s and has no step error.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

_SETTLED = 40.0  # time constants after which exp() is below the precision of a double
_BISECTIONS = 60


@dataclass
class Storage:
    """A store behind the terminals: ``dE = efficiency * p * dt`` charging, ``dE = p * dt / efficiency``
    discharging.
    """

    capacity_wh: float
    energy_wh: float
    efficiency: float = 1.0

    def after(self, energy_wh: float) -> float:
        """Return the stored energy after ``energy_wh`` flowed at the terminals (positive: discharged)."""
        if energy_wh > 0:
            return self.energy_wh - energy_wh / self.efficiency
        return self.energy_wh - energy_wh * self.efficiency

    @property
    def soc(self) -> float:
        """State of charge, 0..1."""
        return self.energy_wh / self.capacity_wh


class PowerProcess:
    """Power at the terminals in W, positive into the grid, following a target.

    The reference moves towards the target by at most ``ramp_w_per_s`` (0: at once); the power follows the
    reference with the time constant ``response_s``. An empty or full store cuts the power off at once.
    """

    def __init__(
        self, *, response_s: float = 0.0, ramp_w_per_s: float = 0.0, storage: Storage | None = None
    ) -> None:
        self.response_s = response_s
        self.ramp_w_per_s = ramp_w_per_s
        self.storage = storage
        self.target_w = 0.0
        self.reference_w = 0.0
        self.power_w = 0.0
        self.export_wh = 0.0
        self.import_wh = 0.0

    def run(self, duration_s: float) -> None:
        """Let ``duration_s`` pass with the target as it is."""
        left_s = duration_s
        while left_s > 0:
            goal_w = self._goal_w()
            slope, piece_s = self._piece(goal_w, left_s)
            done_s = self._flow(slope, piece_s)
            if done_s >= piece_s and slope and math.isclose(self.reference_w, goal_w, abs_tol=1e-9):
                self.reference_w = goal_w
            left_s -= done_s

    def trip(self) -> None:
        """Cut the power off at once."""
        self.reference_w = self.power_w = 0.0

    def _goal_w(self) -> float:
        store = self.storage
        if store is not None:
            if self.target_w > 0 and store.energy_wh <= 0:
                return 0.0
            if self.target_w < 0 and store.energy_wh >= store.capacity_wh:
                return 0.0
        return self.target_w

    def _piece(self, goal_w: float, left_s: float) -> tuple[float, float]:
        """Return slope of the reference and length of the next piece over which it is constant."""
        distance_w = goal_w - self.reference_w
        if self.ramp_w_per_s and distance_w:
            return math.copysign(self.ramp_w_per_s, distance_w), min(
                left_s, abs(distance_w) / self.ramp_w_per_s
            )
        self.reference_w = goal_w
        if self.power_w == goal_w:
            return 0.0, left_s
        if left_s > _SETTLED * self.response_s:  # the transient alone, then one constant piece
            if not self.response_s:
                self.power_w = goal_w
                return 0.0, left_s
            return 0.0, _SETTLED * self.response_s
        return 0.0, left_s

    def _flow(self, slope: float, piece_s: float) -> float:
        """Advance over one piece, up to a change of sign or the end of the store; returns the time passed."""
        end_s = piece_s
        if self.power_w * self._power_at(slope, piece_s) < 0:
            end_s = self._first(piece_s, lambda t: self._power_at(slope, t) * self.power_w <= 0)
        store = self.storage
        cut = False
        if store is not None and not 0 <= store.after(self._energy_wh(slope, end_s)) <= store.capacity_wh:
            end_s = self._first(
                end_s, lambda t: not 0 <= store.after(self._energy_wh(slope, t)) <= store.capacity_wh
            )
            cut = True
        energy_wh = self._energy_wh(slope, end_s)
        power_w = self._power_at(slope, end_s)
        if energy_wh > 0:
            self.export_wh += energy_wh
        else:
            self.import_wh -= energy_wh
        if store is not None:
            store.energy_wh = min(max(store.after(energy_wh), 0.0), store.capacity_wh)
            if cut:
                store.energy_wh = 0.0 if energy_wh > 0 else store.capacity_wh
        self.reference_w += slope * end_s
        self.power_w = power_w if end_s < piece_s or self.response_s == 0 else self._settle(power_w)
        if cut:
            self.trip()
        return end_s

    def _settle(self, power_w: float) -> float:
        return self.reference_w if math.isclose(power_w, self.reference_w, abs_tol=1e-9) else power_w

    def _power_at(self, slope: float, t: float) -> float:
        tau = self.response_s
        if not tau:
            return self.reference_w + slope * t
        lag_w = self.power_w - self.reference_w + slope * tau
        return self.reference_w + slope * (t - tau) + lag_w * math.exp(-t / tau)

    def _energy_wh(self, slope: float, t: float) -> float:
        tau = self.response_s
        energy_ws = self.reference_w * t + slope * t * t / 2
        if tau:
            lag_w = self.power_w - self.reference_w + slope * tau
            energy_ws += lag_w * tau * -math.expm1(-t / tau) - slope * tau * t
        return energy_ws / 3600

    @staticmethod
    def _first(end_s: float, holds: Callable[[float], bool]) -> float:
        """Return the earliest time in (0, end_s] from which ``holds`` (it does at the end), by bisection."""
        low, high = 0.0, end_s
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if holds(middle):
                high = middle
            else:
                low = middle
        return high

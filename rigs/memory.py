"""Devices in memory: the same equations as the emulated ones, without a wire."""

import math
from dataclasses import dataclass

from rigs.device import Ambient, Car, Command, Quality, RoleSpec, Sample, least_charge_w
from rigs.sg_ready import HeatNeed, draws_w, state_of


@dataclass
class MemoryDevice:
    """An ideal device of any kind: reaches its set point at once, integrates exactly over a step."""

    spec: RoleSpec
    energy_wh: float = 0.0
    export_wh: float = 0.0
    import_wh: float = 0.0
    car: Car | None = None

    def __post_init__(self) -> None:
        self.energy_wh = self.spec.capacity_wh * self.spec.soc_initial

    def step(self, step_s: float, command: Command, ambient: Ambient) -> Sample:
        """Advance by ``step_s`` and return the mean power and the counters (unrounded)."""
        hours, state = step_s / 3600, 0
        if self.spec.kind == "battery":
            p_w = self._battery_w(command.p_set_w, hours)
        elif self.spec.kind == "ev_charger":
            p_w = self._charger_w(command.p_set_w, hours, ambient.car)
        elif self.spec.kind == "heat_pump":
            state = state_of(command.p_set_w, self.spec.p_max_w)
            need = ambient.heat or HeatNeed(ambient.p_available_w, self.spec.p_max_w)
            p_w = -draws_w(state, need, self.spec.p_max_w)
        elif self.spec.kind == "meter":
            p_w = ambient.p_available_w
        else:
            p_w = max(0.0, min(ambient.p_available_w, command.p_set_w, self.spec.p_max_w))
        self.export_wh += max(p_w, 0.0) * hours
        self.import_wh += max(-p_w, 0.0) * hours
        soc = self.energy_wh / self.spec.capacity_wh if self.spec.capacity_wh else math.nan
        return Sample(p_w, 0.0, self.export_wh, self.import_wh, soc, Quality.GOOD, 0.0, False, sg_state=state)

    def _charger_w(self, p_set_w: float, hours: float, car: Car | None) -> float:
        """Charge at the limit; below the least current a wallbox pauses, and a car stops by itself."""
        if car is not None and (self.car is None or car.session != self.car.session):
            self.car, self.energy_wh = car, 0.0
        capacity_wh = self.spec.capacity_wh if self.car is None else self.car.need_wh
        if not -p_set_w >= least_charge_w(self.spec.p_max_w):
            return 0.0
        room_w = (capacity_wh - self.energy_wh) / (self.spec.efficiency * hours)
        p_w = min(-p_set_w, self.spec.p_max_w, room_w)
        self.energy_wh = min(self.energy_wh + p_w * hours * self.spec.efficiency, capacity_wh)
        return -p_w

    def _battery_w(self, p_set_w: float, hours: float) -> float:
        eta = self.spec.efficiency
        p_w = min(max(p_set_w, -self.spec.p_max_w), self.spec.p_max_w)
        most_w = self.energy_wh * eta / hours
        least_w = -(self.spec.capacity_wh - self.energy_wh) / (eta * hours)
        p_w = min(max(p_w, least_w), most_w)
        energy_wh = self.energy_wh - p_w * hours * (eta if p_w < 0 else 1 / eta)
        self.energy_wh = min(max(energy_wh, 0.0), self.spec.capacity_wh)
        return p_w

"""A wallbox by KEBA's register map: current limit, enable, and a failsafe that takes over when nobody
writes."""

from adapters.modbus.register_map import load_map, shipped_maps
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.device import EmulatedDevice
from rigs.emulator.image import Key
from rigs.emulator.map_image import MapImage
from rigs.emulator.process import PowerProcess, Storage
from rigs.emulator.timer import ReversionTimer

_LEAST_A = 6.0  # IEC 61851-1: no charging current below 6 A
_NOT_READY, _READY, _CHARGING, _SUSPENDED = 1, 2, 3, 5
_CABLE_AT_STATION, _PLUGGED_AND_LOCKED = 3, 7
_CONTROLS = {"SetCurrent", "SetEnable", "SetFailsafeCurrent", "SetFailsafeTimeout"}


class EvCharger(EmulatedDevice):
    """Charges a plugged car at its current limit until the car is full. Charging is negative power.

    ``capacity_wh`` and ``soc_initial`` are those of the car that is there until ``plug`` says otherwise. A real one
    takes a failsafe time of 10 to 600 s; this one takes any, since a step of simulated time may last longer.
    """

    def __init__(self, config: EmulatorConfig) -> None:
        image = MapImage(load_map(shipped_maps()["keba_p30"]))
        car = Storage(config.capacity_wh, config.capacity_wh * config.soc_initial, config.efficiency)
        process = PowerProcess(response_s=config.response_s, ramp_w_per_s=config.ramp_w_per_s, storage=car)
        super().__init__(config, image, process)
        self.car = car
        self.v_total_v = config.v_nominal_v * config.phases
        self._enabled = self._plugged = True
        self._session, self._began_wh = -1, 0.0
        self._current_a = config.p_max_w / self.v_total_v
        self._timer = ReversionTimer(self.env, self._fail_safe)
        image.put_all(
            0,
            {
                "Serial": int(config.serial or "1", 16) & 0x7FFFFFFF,
                "Product": 3, "Firmware": 1, "SupportedCurrent": self._current_a, "FailsafeCurrent": 0,
                "FailsafeTimeout": 0,
            },
        )  # fmt: skip
        self.retarget()
        self.advance(0)

    def plug(self, session: int, need_wh: float) -> None:
        """Let a car come or go; the one that is there already keeps its own account."""
        if session == self._session:
            return
        self.settle()
        self._session, self._plugged = session, session != 0
        self.car = self.process.storage = Storage(need_wh, 0.0, self.config.efficiency)
        self._began_wh = self.meter.import_wh
        self.retarget()

    def allows(self, key: Key, value: float) -> bool:
        """Refuse currents that the installation does not allow."""
        if key[1] in ("SetCurrent", "SetFailsafeCurrent"):
            return value == 0 or _LEAST_A <= value <= self.image.get(0, "SupportedCurrent") + 1e-9
        return key[1] != "SetEnable" or value in (0, 1)

    def written(self, points: frozenset[Key]) -> None:
        """Take controls into force; any of them restarts the failsafe timer."""
        names, image = {name for _, name in points}, self.image
        if "SetCurrent" in names:
            self._current_a = image.get(0, "SetCurrent")
        if "SetEnable" in names:
            self._enabled = bool(image.get(0, "SetEnable"))
        if "SetFailsafeCurrent" in names:
            image.put(0, "FailsafeCurrent", image.get(0, "SetFailsafeCurrent"))
        if "SetFailsafeTimeout" in names:
            image.put(0, "FailsafeTimeout", image.get(0, "SetFailsafeTimeout"))
        if names & _CONTROLS:
            self._timer.start(image.get(0, "FailsafeTimeout"))
        image.put(0, "MaxCurrent", self._current_a)  # read after write shows the new limit at once

    def power_on(self) -> None:
        """Enabled at its full current, without a failsafe."""
        self._enabled, self._current_a = True, self.config.p_max_w / self.v_total_v
        self.image.put_all(0, {"FailsafeCurrent": 0, "FailsafeTimeout": 0})
        self._timer.start(0)
        self._began_wh = 0.0

    def _fail_safe(self) -> None:
        self.settle()
        self._current_a = self.image.get(0, "FailsafeCurrent")
        self.image.put(0, "MaxCurrent", self._current_a)
        self.retarget()

    def retarget(self) -> None:
        """Follow the limit in force."""
        flows = self._plugged and self._enabled and self._current_a >= _LEAST_A
        self.process.target_w = -self._current_a * self.v_total_v if flows else 0.0

    def publish(self) -> None:
        """Put measurements."""
        power_w = max(0.0, -self.meter.mean_w)
        full = self.car.energy_wh >= self.car.capacity_wh
        waits = _READY if full else _SUSPENDED
        state = _CHARGING if power_w > 0 else waits if self._plugged else _NOT_READY
        lines = ["L1", "L2", "L3"][: self.config.phases]
        self.image.put_all(0, dict.fromkeys((f"Current{x}" for x in lines), power_w / self.v_total_v))
        self.image.put_all(
            0, dict.fromkeys((f"Voltage{x}" for x in lines), self.config.v_nominal_v * self.v_pu)
        )
        self.image.put_all(
            0,
            {
                "CableState": _PLUGGED_AND_LOCKED if self._plugged else _CABLE_AT_STATION, "ChargingState": state,
                "ActivePower": power_w, "TotalEnergy": self.meter.import_wh,
                "SessionEnergy": self.meter.import_wh - self._began_wh, "MaxCurrent": self._current_a,
            },
        )  # fmt: skip

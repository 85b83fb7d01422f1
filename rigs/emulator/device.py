"""An emulated device: a register image in front, a simpy-driven process inside."""

from abc import ABC, abstractmethod
from typing import Any

import simpy

from rigs.emulator.config import EmulatorConfig
from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.map_image import MapImage
from rigs.emulator.meter import Meter
from rigs.emulator.process import PowerProcess
from rigs.emulator.terminals import Terminals


class EmulatedDevice(ABC):
    """Base of all emulated devices. Time passes only in ``advance``; writes take effect at the moment they
    come.
    """

    def __init__(self, config: EmulatorConfig, image: SunSpecImage | MapImage, process: PowerProcess) -> None:
        self.config = config
        self.image: Any = image  # each kind knows its own
        self.process = process
        self.env = simpy.Environment()
        self.meter = Meter(process)
        self.p_available_w = 0.0
        self.q_var = 0.0  # that flows at a meter
        self.v_pu, self.f_hz = 1.0, config.f_nominal_hz
        self._integrated_s = 0.0
        self._epoch_s = 0.0
        self._terminals = Terminals(config.terminals_fd) if config.terminals_fd >= 0 else None
        if isinstance(image, SunSpecImage):
            image.put_all(1, {"Mn": config.maker, "Md": config.model, "SN": config.serial})
            image.put_all(1, {"Vr": "1", "DA": config.unit})
        image.on_write = self._written
        image.allows = self.allows

    @property
    def now_s(self) -> float:
        """Simulated seconds since the start, or since ``zero``."""
        return float(self.env.now) - self._epoch_s

    def zero(self) -> None:
        """Call now the start: what came before (a proof of the reversion timer) is not part of the run."""
        self.settle()
        self._epoch_s = float(self.env.now)
        self._integrated_s = 0.0

    def surroundings(self, p_available_w: float, v_pu: float, f_hz: float | None = None) -> None:
        """Set what the sun allows, and voltage (pu) and frequency (default: as before) at the terminals, from
        now on. Where an AC source feeds the terminals, its voltage and frequency hold, not these.
        """
        self.settle()
        applied = self._terminals.see() if self._terminals is not None else None
        if applied is not None:
            v_pu, f_hz = applied.voltage_v / applied.nominal_v, applied.frequency_hz
        self.p_available_w, self.v_pu = p_available_w, v_pu
        self.f_hz = self.f_hz if f_hz is None else f_hz
        self.mains(v_pu, self.f_hz)
        self.retarget()

    def plug(self, session: int, need_wh: float) -> None:  # noqa: B027 - only a wallbox has a car
        """Let the car of a session be plugged in; session 0 means that none is."""

    def ask(self, most_w: float) -> None:  # noqa: B027 - only a heat pump has a store to fill
        """Let the house's heat store take no more than this, in W of electrical power."""

    def mains(self, v_pu: float, f_hz: float) -> None:  # noqa: B027 - not every device cares
        """React to voltage and frequency, beyond what ``retarget`` does."""

    def advance(self, duration_s: float) -> None:
        """Let time pass, then publish what the device's own meter saw: power is the mean over
        ``duration_s``."""
        if self._terminals is not None:
            self._see_terminals(self._terminals)
        if duration_s > 0:
            self.env.run(until=self.env.now + duration_s)
        self.settle()
        self.meter.close(duration_s, self.now_s)
        self.close_step(duration_s)
        self.publish()

    def _see_terminals(self, terminals: Terminals) -> None:
        """Take the voltage that an AC source applies."""
        mains = terminals.see()
        if mains is None:
            return
        if (mains.voltage_v / mains.nominal_v, mains.frequency_hz) != (self.v_pu, self.f_hz):
            self.surroundings(self.p_available_w, self.v_pu)

    def close_step(self, duration_s: float) -> None:  # noqa: B027 - not every device has more to sum up
        """Sum up what beside active power is reported as a mean over the step."""

    def reboot(self) -> None:
        """Lose what a device loses with its supply: controls and counters. The store keeps its energy."""
        self.settle()
        self.meter.restart()
        self.power_on()
        self.retarget()

    def power_on(self) -> None:  # noqa: B027 - a meter has no controls
        """Set control registers to what they are after power-on; nothing for a device without controls."""

    def settle(self) -> None:
        """Integrate the process up to now, before anything about it changes."""
        passed_s = self.now_s - self._integrated_s
        if passed_s > 0:
            self.process.run(passed_s)
            self.passed(passed_s)
            self._integrated_s = self.now_s

    def passed(self, seconds: float) -> None:  # noqa: B027 - not every device has more than active power
        """Integrate what else moves; the active power is done."""

    def _written(self, points: frozenset[Key]) -> None:
        self.settle()
        self.written(points)
        self.retarget()

    def allows(self, key: Key, value: float) -> bool:
        """Tell whether a written value (in its unit) is acceptable."""
        return True

    @abstractmethod
    def written(self, points: frozenset[Key]) -> None:
        """React to points that were just written."""

    @abstractmethod
    def retarget(self) -> None:
        """Set the process' target from registers and surroundings."""

    @abstractmethod
    def publish(self) -> None:
        """Put measurements into the image."""

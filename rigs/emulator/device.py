"""An emulated device: a register image in front, a simpy-driven process inside."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any

import simpy

from rigs.emulator.config import EmulatorConfig
from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.map_image import MapImage
from rigs.emulator.meter import Meter
from rigs.emulator.process import PowerProcess


class ReversionTimer:
    """A function's own dead man's switch: runs out unless it is restarted, then calls ``revert`` once."""

    def __init__(self, env: simpy.Environment, revert: Callable[[], None]) -> None:
        self._env = env
        self._revert = revert
        self._deadline: float | None = None
        self._generation = 0

    def start(self, seconds: float) -> None:
        """Start or restart; 0 stops it (no reversion)."""
        self._generation += 1
        self._deadline = None
        if seconds > 0:
            self._deadline = self._env.now + seconds
            self._env.process(self._watch(self._generation, seconds))

    @property
    def remaining_s(self) -> float:
        """Seconds left; 0 when it does not run."""
        return max(0.0, self._deadline - self._env.now) if self._deadline is not None else 0.0

    def _watch(self, generation: int, seconds: float) -> Generator[simpy.Event, Any, None]:
        yield self._env.timeout(seconds)
        if generation == self._generation:
            self._deadline = None
            self._revert()


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
        self.v_pu = 1.0
        self._integrated_s = 0.0
        self._epoch_s = 0.0
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

    def surroundings(self, p_available_w: float, v_pu: float) -> None:
        """Set what the sun allows and the voltage at the terminals, from now on."""
        self.settle()
        self.p_available_w, self.v_pu = p_available_w, v_pu
        self.retarget()

    def advance(self, duration_s: float) -> None:
        """Let time pass, then publish what the device's own meter saw: power is the mean over
        ``duration_s``."""
        if duration_s > 0:
            self.env.run(until=self.env.now + duration_s)
        self.settle()
        self.meter.close(duration_s, self.now_s)
        self.publish()

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
            self._integrated_s = self.now_s

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

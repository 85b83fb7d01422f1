"""Model 715 inside a device: both heartbeats, alarm reset, start and stop."""

from collections.abc import Callable

import simpy

from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.timer import ReversionTimer

_STOP, _START, _STANDBY, _LEAVE_STANDBY = 0, 1, 2, 3
_WRAP = 1 << 31


class Heartbeat:
    """Listens to the controller's heartbeat: once it has been heard, it must change within ``timeout_s``, or
    ``lost`` is called. ``timeout_s`` 0 never listens.
    """

    def __init__(
        self, env: simpy.Environment, image: SunSpecImage, timeout_s: float, lost: Callable[[], None]
    ) -> None:
        self._env, self._image, self._timeout_s = env, image, timeout_s
        self._timer = ReversionTimer(env, self._lose)
        self._lost = lost
        self._heard: float | None = None
        self.missing = False

    def describe(self) -> None:
        """Started, remote, no heartbeat yet."""
        self._image.put_all(
            715, {"LocRemCtl": 0, "DERHb": 0, "ControllerHb": 0, "AlarmReset": 0, "OpCtl": _START}
        )

    def power_on(self) -> None:
        """Forget the controller."""
        self._timer.start(0)
        self._heard, self.missing = None, False
        self.describe()

    @property
    def stopped(self) -> bool:
        """Whether a person or a controller has stopped the device (``OpCtl``)."""
        return self._image.get(715, "OpCtl") in (_STOP, _STANDBY)

    def written(self, points: frozenset[Key]) -> None:
        """Hear the heartbeat; only a value that changed is one."""
        if (715, "ControllerHb") in points and self._timeout_s > 0:
            value = self._image.get(715, "ControllerHb")
            if value != self._heard:
                self._heard, self.missing = value, False
                self._timer.start(self._timeout_s)
        if (715, "AlarmReset") in points:
            self._image.put(715, "AlarmReset", 0)  # done: it reads 0 again

    def publish(self) -> None:
        """Put our own heartbeat: whole seconds."""
        self._image.put(715, "DERHb", int(self._env.now) % _WRAP)

    def _lose(self) -> None:
        self.missing = True
        self._lost()

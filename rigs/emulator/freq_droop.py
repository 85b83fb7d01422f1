"""Model 711 inside a device: frequency droop (frequency-watt) of IEEE 1547-2018, 6.5.2.7, with its stored controls.

Control 1 is the one in force and cannot be written; another comes into force by ``AdptCtlReq``.
"""

from collections.abc import Callable, Mapping
from typing import Any

import simpy

from rigs.emulator import grid_code
from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.lag import LN10, Lag
from rigs.emulator.timer import ReversionTimer

_CONTROLS = 2
_COMPLETED, _FAILED = 1, 2
_POINTS = ("DbOf", "DbUf", "KOf", "KUf", "RspTms", "PMin")


class FreqDroop:
    """How far active power leaves what it was when the frequency left the dead band."""

    def __init__(self, env: simpy.Environment, image: SunSpecImage, f_nominal_hz: float) -> None:
        self._image, self._f_nominal_hz = image, f_nominal_hz
        self.timer = ReversionTimer(env, self._revert)
        self.changed: Callable[[], None] = lambda: None
        self.lag = Lag()  # share of rated power, as it moves
        self._before_w: float | None = None  # power when the frequency left the dead band

    @staticmethod
    def groups() -> Mapping[str, Any]:
        """Return what lays the model out."""
        return {"NCtl": _CONTROLS}

    def describe(self, least_percent: float) -> None:
        """Store the standard's default in every place, disabled; ``least_percent`` of rated power is its floor."""
        self._put_all({"Db_SF": -3, "K_SF": -3, "RspTms_SF": -1, "NCtl": _CONTROLS, "Ena": 0})
        self._put_all({"AdptCtlReq": 1, "AdptCtlRslt": _COMPLETED, "RvrtTms": 0, "RvrtRem": 0, "RvrtCtl": 2})
        band_hz, k, response_s = grid_code.FREQ_DROOP
        for number in range(_CONTROLS):
            here = f"Ctl[{number}]."
            self._put_all({f"{here}DbOf": band_hz, f"{here}DbUf": band_hz, f"{here}KOf": k, f"{here}KUf": k})
            self._put_all({f"{here}RspTms": response_s, f"{here}PMin": least_percent})
            self._put_all({f"{here}ReadOnly": int(number == 0)})
        self.lag.jump(0.0)
        self._before_w = None

    @property
    def enabled(self) -> bool:
        """Whether the function is on."""
        return bool(self._get("Ena"))

    def share(self, f_hz: float) -> float:
        """Return the change of power at a frequency, as a share of rated power: negative above the dead band.

        Source: IEEE 1547-2018, table 23: ``(f - (f_N + db)) / (f_N k)``.
        """
        off_hz, over, under = f_hz - self._f_nominal_hz, self._get("Ctl[0].DbOf"), self._get("Ctl[0].DbUf")
        if off_hz > over:
            return -(off_hz - over) / (self._f_nominal_hz * self._get("Ctl[0].KOf"))
        if off_hz < -under:
            return (-off_hz - under) / (self._f_nominal_hz * self._get("Ctl[0].KUf"))
        return 0.0

    def within(
        self, wanted_w: float, now_w: float, f_hz: float, rated_w: float, ceiling_w: float, piece_s: float
    ) -> float:
        """Return the power over the coming ``piece_s``: what is wanted, moved by the droop.

        ``now_w`` is what flows now, ``ceiling_w`` what the device could give; it is never below ``PMin``.
        """
        if not self.enabled:
            self.lag.jump(0.0)
            self._before_w = None
            return wanted_w
        asked = self.share(f_hz)
        if asked and self._before_w is None:
            self._before_w = now_w
        self.lag.aim(asked, self._get("Ctl[0].RspTms") / LN10)
        if abs(self.lag.value - self.lag.goal) <= 1e-4:
            self.lag.jump(self.lag.goal)
        moved_w = rated_w * self.lag.mean_ahead(piece_s)
        if not moved_w or self._before_w is None:
            self._before_w = None if not asked else self._before_w
            return wanted_w
        if moved_w < 0:
            floor_w = rated_w * self._get("Ctl[0].PMin") / 100
            return min(wanted_w, max(self._before_w + moved_w, floor_w))
        return max(wanted_w, min(self._before_w + moved_w, ceiling_w))

    def allows(self, name: str, value: float) -> bool:
        """Refuse the control in force, and what this device cannot do."""
        if name.startswith("Ctl[0]."):
            return False
        if name in ("AdptCtlReq", "RvrtCtl"):
            return 1 <= value <= _CONTROLS
        return not name.endswith("PMin") or -100 <= value <= 100

    def written(self, points: frozenset[Key]) -> None:
        """Adopt where it was asked for; any write to the function starts its timer anew."""
        names = {name for model, name in points if model == 711}
        if not names:
            return
        if "AdptCtlReq" in names:
            self.adopt(int(self._get("AdptCtlReq")))
        self.timer.start(self._get("RvrtTms") if self.enabled else 0)
        self.publish()

    def adopt(self, number: int) -> None:
        """Put a stored control (1 is the one in force) into force, or say why not by ``AdptCtlRslt``."""
        source = f"Ctl[{number - 1}]."
        if not (self._get(f"{source}KOf") > 0 and self._get(f"{source}KUf") > 0):
            self._put_all({"AdptCtlRslt": _FAILED})
            return
        for name in _POINTS:
            self._image.copy(711, source + name, f"Ctl[0].{name}")
        self._put_all({"AdptCtlRslt": _COMPLETED})

    def publish(self) -> None:
        """Put the time left."""
        if self.timer.remaining_s or self._get("RvrtRem"):
            self._put_all({"RvrtRem": self.timer.remaining_s})

    def fall_back(self) -> None:
        """Take the default control into force, as after the timer."""
        self.timer.start(0)
        self.adopt(int(self._get("RvrtCtl")))

    def _revert(self) -> None:
        self.adopt(int(self._get("RvrtCtl")))
        self.changed()

    def _get(self, name: str) -> float:
        return self._image.get(711, name)

    def _put_all(self, values: Mapping[str, float]) -> None:
        self._image.put_all(711, values)

"""Model 704 inside a device: watt limit, signed set point, reactive power, power factor; each with its own
reversion timer.
"""

import math
from collections.abc import Callable

import simpy

from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.timer import ReversionTimer

_VALUES = {
    "WMaxLimPct": ("WMaxLimPct",),
    "WSet": ("WSet", "WSetPct"),
    "VarSet": ("VarSet", "VarSetPct"),
    "PFWInj": ("PFWInj.PF", "PFWInj.Ext"),
    "PFWAbs": ("PFWAbs.PF", "PFWAbs.Ext"),
}
_IN_WATTS, _IN_VARS = 1, 4  # WSetMod, VarSetMod
_OF_VAR_MAX, _OF_VAR_AVAILABLE, _OF_VA_MAX = 1, 2, 3
_UNDER_EXCITED = 1  # Ext: absorbs reactive power
_REFUSED = frozenset({"WRmp", "WRmpRef", "VarRmp"})  # not implemented


class AcControl:
    """The functions of model 704. ``before`` is called before a timer changes them, ``changed`` after."""

    def __init__(
        self,
        env: simpy.Environment,
        image: SunSpecImage,
        before: Callable[[], None],
        changed: Callable[[], None],
        *,
        may_absorb: bool,
    ) -> None:
        self._image, self._before, self._changed = image, before, changed
        self._may_absorb = may_absorb
        self._timers = {name: ReversionTimer(env, self._reverter(name)) for name in _VALUES}

    def describe(self) -> None:
        """Nothing enabled, no timer set."""
        image = self._image
        image.put_all(
            704,
            {
                "WSet_SF": -1, "WSetPct_SF": -1, "VarSet_SF": 0, "VarSetPct_SF": -1, "WMaxLimPct_SF": -2,
                "PF_SF": -3, "WSetMod": _IN_WATTS, "WSet": 0, "WSetRvrt": 0, "WSetPct": 0, "WSetPctRvrt": 0,
                "WMaxLimPct": 100, "WMaxLimPctRvrt": 100, "VarSetMod": _IN_VARS, "VarSetPri": 1, "VarSet": 0,
                "VarSetRvrt": 0, "VarSetPct": 0, "VarSetPctRvrt": 0, "AntiIslEna": 1,
            },
        )  # fmt: skip
        for name in _VALUES:
            image.put_all(
                704, {f"{name}Ena": 0, f"{name}EnaRvrt": 0, f"{name}RvrtTms": 0, f"{name}RvrtRem": 0}
            )
        for name in ("PFWInj", "PFWInjRvrt", "PFWAbs", "PFWAbsRvrt"):
            image.put_all(704, {f"{name}.PF": 1, f"{name}.Ext": _UNDER_EXCITED})

    def power_on(self) -> None:
        """Nothing enabled, no timer running."""
        for name, timer in self._timers.items():
            self._image.put_all(704, {f"{name}Ena": 0, f"{name}RvrtTms": 0})
            timer.start(0)
        self._image.put(704, "WSet", 0)

    def allows(self, name: str, value: float) -> bool:
        """Refuse what the nameplate does not allow, and what this device does not do."""
        if name in ("WSet", "WSetRvrt"):
            most_w = self._get("WMaxRtg", 702)
            return (-most_w if self._may_absorb else 0) <= value <= most_w
        if name in ("WSetPct", "WSetPctRvrt"):
            return (-100 if self._may_absorb else 0) <= value <= 100
        if name in ("WMaxLimPct", "WMaxLimPctRvrt"):
            return 0 <= value <= 100
        if name in ("VarSet", "VarSetRvrt"):
            return -self._get("VarMaxAbsRtg", 702) <= value <= self._get("VarMaxInjRtg", 702)
        if name in ("VarSetPct", "VarSetPctRvrt"):
            return abs(value) <= 100
        if name.endswith(".PF"):
            return 0 < value <= 1
        if name == "AntiIslEna":
            return value == 1
        return name not in _REFUSED

    def written(self, points: frozenset[Key]) -> None:
        """Restart a function's timer with every write to it (it is inert while disabled)."""
        names = [name for model, name in points if model == 704]
        for function, timer in self._timers.items() if names else ():
            if any(name.startswith(function) for name in names):
                enabled = self._get(f"{function}Ena")
                timer.start(self._get(f"{function}RvrtTms") if enabled else 0)
        if names:
            self.publish()

    def limited(self, p_w: float) -> float:
        """Return a power within the watt limit, where that is enabled."""
        if not self._get("WMaxLimPctEna"):
            return p_w
        return min(p_w, self._get("WMax", 702) * self._get("WMaxLimPct") / 100)

    @property
    def limits(self) -> bool:
        """Whether the watt limit is on."""
        return bool(self._get("WMaxLimPctEna"))

    def set_w(self) -> float | None:
        """Return the set point in W, None where the function is off."""
        if not self._get("WSetEna"):
            return None
        if self._get("WSetMod") == _IN_WATTS:
            return self._get("WSet")
        return self._get("WSetPct") / 100 * self._get("WMax", 702)

    def q_var(self, p_w: float) -> tuple[float, bool] | None:
        """Return the reactive power that is asked for and whether it comes before active power; None where
        neither a power factor nor a reactive power is set.
        """
        side = "PFWInj" if p_w >= 0 else "PFWAbs"
        if self._get(f"{side}Ena"):
            pf = self._get(f"{side}.PF")
            sign = -1 if self._get(f"{side}.Ext") == _UNDER_EXCITED else 1
            return sign * abs(p_w) * math.sqrt(1 - pf * pf) / pf, True
        if not self._get("VarSetEna"):
            return None
        return self._var_set(p_w), self._get("VarSetPri") != 0

    def _var_set(self, p_w: float) -> float:
        mode = self._get("VarSetMod")
        if mode == _IN_VARS:
            return self._get("VarSet")
        share = self._get("VarSetPct") / 100
        most = "VarMaxInj" if share >= 0 else "VarMaxAbs"
        va_max = self._get("VAMax", 702)
        if mode == _OF_VAR_MAX:
            return share * self._get(most, 702)
        if mode == _OF_VAR_AVAILABLE:
            return share * min(self._get(most, 702), math.sqrt(max(0.0, va_max**2 - p_w**2)))
        return share * (va_max if mode == _OF_VA_MAX else self._get("WMax", 702))

    def fall_back(self) -> None:
        """Let every function fall back to its reversion values at once."""
        for name, timer in self._timers.items():
            timer.start(0)
            self._revert(name)

    def publish(self) -> None:
        """Put the time left of every running timer."""
        for name, timer in self._timers.items():
            if timer.remaining_s or self._get(f"{name}RvrtRem"):
                self._image.put(704, f"{name}RvrtRem", timer.remaining_s)

    def _reverter(self, name: str) -> Callable[[], None]:
        def revert() -> None:
            self._before()
            self._revert(name)
            self._changed()

        return revert

    def _revert(self, name: str) -> None:
        for value in _VALUES[name]:
            stem, dot, leaf = value.partition(".")
            self._image.copy(704, f"{stem}Rvrt{dot}{leaf}", value)
        self._image.copy(704, f"{name}EnaRvrt", f"{name}Ena")

    def _get(self, name: str, model_id: int = 704) -> float:
        return self._image.get(model_id, name)

"""The stored curves of models 705 (volt-var), 706 (volt-watt) and 712 (watt-var): adopt, check, fall back, look up.

Curve 1 shows what is in force and cannot be written; the others can, and come into force by ``AdptCrvReq``. A
curve is checked when it is adopted, not point by point (SunSpec model definitions, ``detail``).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import simpy

from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.timer import ReversionTimer

CURVES, POINTS = 3, 4
_COMPLETED, _FAILED = 1, 2
_PERCENT = 100.0
_OF_VAR = (705, 712)  # whose dependent value may be negative, with a priority of active or reactive power


class StoredCurves:
    """The curves of one model. ``x`` and ``y`` are the names of its points, ``fixed_s`` is the open-loop response time
    of a model that has no point for it.
    """

    def __init__(
        self, env: simpy.Environment, image: SunSpecImage, model_id: int, y: str, references: Sequence[int],
        x: str = "V", fixed_s: float | None = None,
    ) -> None:  # fmt: skip
        self.model_id, self._image, self._x, self._y = model_id, image, x, y
        self._fixed_s = fixed_s
        self._references = references  # of the dependent point that the device understands
        self.timer = ReversionTimer(env, self._revert)
        self.changed: Callable[[], None] = lambda: None

    @staticmethod
    def groups() -> Mapping[str, Any]:
        """Return what lays the model out."""
        return {"NCrv": CURVES, "NPt": POINTS}

    def describe(self, points: Sequence[tuple[float, float]], response_s: float, reference: int) -> None:
        """Store one default curve in every place, disabled."""
        self._put_all({f"{self._x}_SF": -2, "DeptRef_SF": -2, "NCrv": CURVES, "NPt": POINTS})
        if self._fixed_s is None:
            self._put_all({"RspTms_SF": -1})
        self._put_all({"Ena": 0, "AdptCrvReq": 1, "AdptCrvRslt": _COMPLETED, "RvrtTms": 0, "RvrtRem": 0})
        self._put_all({"RvrtCrv": 2})
        for number in range(CURVES):
            curve = f"Crv[{number}]."
            self._put_all({f"{curve}ActPt": len(points), f"{curve}DeptRef": reference})
            self._put_all({f"{curve}ReadOnly": int(number == 0)})
            if self._fixed_s is None:
                self._put_all({f"{curve}RspTms": response_s})
            if self.model_id in _OF_VAR:
                self._put_all({f"{curve}Pri": 1})
            if self.model_id == 705:
                self._put_all({f"{curve}VRef": _PERCENT, f"{curve}VRefAutoEna": 0})
            for i, (x, y) in enumerate(points):
                self._put_all({f"{curve}Pt[{i}].{self._x}": x, f"{curve}Pt[{i}].{self._y}": y})

    @property
    def enabled(self) -> bool:
        """Whether the function is on."""
        return bool(self._get("Ena"))

    @property
    def response_s(self) -> float:
        """Open-loop response time of the curve in force."""
        return self._get("Crv[0].RspTms") if self._fixed_s is None else self._fixed_s

    @property
    def reference(self) -> int:
        """What the dependent value is a percentage of (``DeptRef``)."""
        return int(self._get("Crv[0].DeptRef"))

    @property
    def active_power_first(self) -> bool:
        """Whether reactive power gives way where both do not fit (``Pri``)."""
        return self.model_id in _OF_VAR and self._get("Crv[0].Pri") == 0

    def percent(self, share: float) -> float:
        """Return the curve's value at a voltage in pu, or at a share of rated power, in % of its reference."""
        x = _PERCENT * share
        if self.model_id == 705:
            x -= self._get("Crv[0].VRef") - _PERCENT
        points = self._points(0)
        if x <= points[0][0]:
            return points[0][1]
        for (x0, y0), (x1, y1) in pairwise(points):
            if x <= x1:
                return y0 + (y1 - y0) * (x - x0) / (x1 - x0) if x1 > x0 else y1
        return points[-1][1]

    def allows(self, name: str, value: float) -> bool:
        """Refuse the curve in force, and what this device cannot do."""
        if name.startswith("Crv[0]."):
            return False
        if name.endswith("VRefAutoEna"):
            return value == 0
        if name in ("AdptCrvReq", "RvrtCrv"):
            return 1 <= value <= CURVES
        return True

    def written(self, points: frozenset[Key]) -> None:
        """Adopt where it was asked for; any write to the function starts its timer anew."""
        names = {name for model, name in points if model == self.model_id}
        if not names:
            return
        if "AdptCrvReq" in names:
            self.adopt(int(self._get("AdptCrvReq")))
        self.timer.start(self._get("RvrtTms") if self.enabled else 0)
        self.publish()

    def adopt(self, number: int) -> None:
        """Put a stored curve (1 is the one in force) into force, or say why not by ``AdptCrvRslt``."""
        if self._is_sound(number - 1):
            self._copy(number - 1)
            self._put_all({"AdptCrvRslt": _COMPLETED})
        else:
            self._put_all({"AdptCrvRslt": _FAILED})

    def publish(self) -> None:
        """Put the time left."""
        if self.timer.remaining_s or self._get("RvrtRem"):
            self._put_all({"RvrtRem": self.timer.remaining_s})

    def fall_back(self) -> None:
        """Take the default curve into force, as after the timer."""
        self.timer.start(0)
        self.adopt(int(self._get("RvrtCrv")))

    def _revert(self) -> None:
        self.adopt(int(self._get("RvrtCrv")))
        self.changed()

    def _points(self, number: int) -> list[tuple[float, float]]:
        curve = f"Crv[{number}]."
        return [
            (self._get(f"{curve}Pt[{i}].{self._x}"), self._get(f"{curve}Pt[{i}].{self._y}"))
            for i in range(int(self._get(f"{curve}ActPt")))
        ]

    def _is_sound(self, number: int) -> bool:
        curve = f"Crv[{number}]."
        if not 2 <= self._get(f"{curve}ActPt") <= POINTS:
            return False
        if self._get(f"{curve}DeptRef") not in self._references:
            return False
        points = self._points(number)
        rises = all(a[0] <= b[0] for a, b in pairwise(points))
        least = -_PERCENT if self.model_id in _OF_VAR else 0.0
        return rises and all(least <= y <= _PERCENT for _, y in points)

    def _copy(self, number: int) -> None:
        layout = self._image.layouts[self.model_id].points
        source, target = f"Crv[{number}].", "Crv[0]."
        for name in [n for n in layout if n.startswith(source) and not n.endswith("ReadOnly")]:
            self._image.copy(self.model_id, name, target + name[len(source) :])

    def _get(self, name: str) -> float:
        return self._image.get(self.model_id, name)

    def _put_all(self, values: Mapping[str, float]) -> None:
        self._image.put_all(self.model_id, values)

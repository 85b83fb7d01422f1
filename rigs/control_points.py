"""How a set point becomes points of a SunSpec model: value, reversion and enable, in the order they are
written.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.modbus.errors import PointError
from adapters.modbus.sunspec import SunSpecDevice

Points = Mapping[str, float]

ALLOWED = {
    123: frozenset({"WMaxLimPct", "WMaxLimPct_RvrtTms", "WMaxLim_Ena"}),
    704: frozenset(
        {
            "WSetMod", "WSet", "WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms", "WSetEna",
            "WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms", "WMaxLimPctEna",
        }
    ),
}  # fmt: skip
"""The only points that may ever be written, by name. Grid protection (703, 707-710) is not among them."""


@dataclass(frozen=True)
class Actuator:
    """One control function of a device that can hold a power.

    ``signed`` tells a set point (positive and negative) from an upper limit. ``w_max`` is what percentages
    refer to, in W.
    """

    model_id: int
    signed: bool
    w_max: float

    def value(self, p_w: float) -> Points:
        """Return the points that carry the value. Percentages are rounded down: never more than was asked."""
        if self.signed:
            return {"WSetMod": 1, "WSet": p_w}
        return {"WMaxLimPct": math.floor(1e4 * p_w / self.w_max + 1e-6) / 100}

    def reversion(self, safe_w: float, seconds: float) -> Points:
        """Return the points that make the device fall back to ``safe_w`` after ``seconds`` without a
        write."""
        seconds = max(1, round(seconds))
        if self.signed:
            return {"WSetRvrt": safe_w, "WSetEnaRvrt": 1, "WSetRvrtTms": seconds}
        if self.model_id == 704:
            percent = self.value(safe_w)["WMaxLimPct"]
            return {"WMaxLimPctRvrt": percent, "WMaxLimPctEnaRvrt": 1, "WMaxLimPctRvrtTms": seconds}
        return {"WMaxLimPct_RvrtTms": seconds}  # model 123 can only fall back to 'no limit'

    def proof(self, safe_w: float, seconds: float) -> Points:
        """Return points that let the reversion timer expire once without an effect on the power.

        A set point is proven at the safe value, a limit at 100 %; falling back means: disabled again.
        """
        seconds = max(1, round(seconds))
        if self.signed:
            value = {
                "WSetMod": 1,
                "WSet": safe_w,
                "WSetRvrt": safe_w,
                "WSetEnaRvrt": 0,
                "WSetRvrtTms": seconds,
            }
        elif self.model_id == 704:
            value = {"WMaxLimPct": 100, "WMaxLimPctRvrt": 100, "WMaxLimPctEnaRvrt": 0}
            value["WMaxLimPctRvrtTms"] = seconds
        else:
            value = {"WMaxLimPct": 100, "WMaxLimPct_RvrtTms": seconds}
        return {**value, **self.enable()}

    def enable(self) -> Points:
        """Return the point that puts the function into force."""
        if self.signed:
            return {"WSetEna": 1}
        return {"WMaxLimPctEna": 1} if self.model_id == 704 else {"WMaxLim_Ena": 1}


async def find_actuator(device: SunSpecDevice, kind: str) -> Actuator:
    """Choose the control function for a kind of device.

    Raises:
        PointError: the device has none that fits.
    """
    if device.has(121):
        rated = (await device.read(121, "WMax"))["WMax"]
    elif device.has(702):
        rated = (await device.read(702, "WMax"))["WMax"]
    else:
        rated = None
    if not isinstance(rated, float) or not rated > 0:
        raise PointError(f"{device.port.name} unit {device.unit}: no WMax in model 121 or 702")
    if kind == "battery":
        device.layout(704)
        return Actuator(704, signed=True, w_max=rated)
    return Actuator(123 if device.has(123) else 704, signed=False, w_max=rated)

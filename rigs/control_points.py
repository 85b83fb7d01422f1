"""How a set point becomes points of a SunSpec model: value, reversion and enable, in the order they are
written.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from adapters.modbus.errors import PointError
from adapters.modbus.register_map import MapDevice
from adapters.modbus.sunspec import SunSpecDevice
from rigs.bench_file import FAILSAFE_S
from rigs.device import LEAST_A, LINE_V
from rigs.sg_ready import INPUTS, state_of

Points = Mapping[str, float]
_PRESENT_V = 100.0  # a phase below this is not connected

ALLOWED = {
    123: frozenset({"WMaxLimPct", "WMaxLimPct_RvrtTms", "WMaxLim_Ena"}),
    0: frozenset({  # register maps
        "SetCurrent", "SetEnable", "SetFailsafeCurrent", "SetFailsafeTimeout", "SgReadyOn", "SgReadyInput1",
        "SgReadyInput2",
    }),
    704: frozenset(
        {
            "WSetMod", "WSet", "WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms", "WSetEna",
            "WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms", "WMaxLimPctEna",
        }
    ),
    705: frozenset({"Ena"}),  # volt-var and volt-watt, switched for their tests; their curves are not ours to set
    706: frozenset({"Ena"}),
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
    proof_s: ClassVar[float] = 1.0  # reversion time with which the timer is proven

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

    def lasting(self, safe_w: float, seconds: float) -> Points:
        """Return the points with which the safe value stays: a fall-back to it, or, where the device can only fall back
        to 'no limit', no timer.
        """
        return {"WMaxLimPct_RvrtTms": 0} if self.model_id == 123 else self.reversion(safe_w, seconds)

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

    def proof_point(self) -> tuple[str, float, float]:
        """Return point, value before and value after the timer has run out."""
        return next(iter(self.enable())), 1.0, 0.0

    def enable(self) -> Points:
        """Return the point that puts the function into force."""
        if self.signed:
            return {"WSetEna": 1}
        return {"WMaxLimPctEna": 1} if self.model_id == 704 else {"WMaxLim_Ena": 1}


@dataclass(frozen=True)
class CurrentLimit:
    """A wallbox's current limit as the upper limit of charging power; its failsafe is the reversion timer.

    ``w_per_a`` is W per A over all phases. Orders are at most 0 (charging is negative power).
    """

    w_per_a: float
    w_max: float
    model_id: int = 0
    signed: bool = False
    kind: Literal["charger"] = "charger"
    proof_s: ClassVar[float] = FAILSAFE_S[0]

    def value(self, p_w: float) -> Points:
        """Return the current, rounded down to whole mA; below 6 A a wallbox cannot charge, so 0."""
        amps = math.floor(1000 * -p_w / self.w_per_a + 1e-6) / 1000
        return {"SetCurrent": amps if amps >= LEAST_A else 0.0}

    def reversion(self, safe_w: float, seconds: float) -> Points:
        """Return the failsafe."""
        amps = self.value(safe_w)["SetCurrent"]
        return {"SetFailsafeCurrent": amps, "SetFailsafeTimeout": max(1, round(seconds))}

    def lasting(self, safe_w: float, seconds: float) -> Points:
        """Return the failsafe: it holds the safe current."""
        return self.reversion(safe_w, seconds)

    def enable(self) -> Points:
        """Return the point that lets the car charge."""
        return {"SetEnable": 1}

    def proof(self, safe_w: float, seconds: float) -> Points:
        """Return points with which the failsafe runs out once: seen as the limit in force going to 0."""
        return {"SetFailsafeCurrent": 0, "SetFailsafeTimeout": max(1, round(seconds)), "SetCurrent": LEAST_A}

    def proof_point(self) -> tuple[str, float, float]:
        """Return point, value before and value after the failsafe has taken over."""
        return "MaxCurrent", LEAST_A, 0.0


@dataclass(frozen=True)
class SgReady:
    """A heat pump's SG Ready interface: an order stands for one of four states (``rigs.sg_ready``). It has no timer."""

    w_max: float
    model_id: int = 0
    signed: bool = False
    kind: Literal["heat_pump"] = "heat_pump"
    proof_s: ClassVar[float] = 1.0

    def value(self, p_w: float) -> Points:
        """Return both inputs of the state, those that are released first: no state between two is a stronger one."""
        first, second = INPUTS[state_of(p_w, self.w_max)]
        inputs = {"SgReadyInput1": first, "SgReadyInput2": second}
        return dict(sorted(inputs.items(), key=lambda item: item[1]))

    def reversion(self, safe_w: float, seconds: float) -> Points:
        """Return nothing: it has no timer."""
        return {}

    def lasting(self, safe_w: float, seconds: float) -> Points:
        """Return nothing: a state stays."""
        return {}

    def enable(self) -> Points:
        """Return the point that lets the inputs count."""
        return {"SgReadyOn": 1}

    def proof(self, safe_w: float, seconds: float) -> Points:
        """Return nothing: there is no timer to prove."""
        return {}

    def proof_point(self) -> tuple[str, float, float]:
        """Return what can never be seen: there is no timer."""
        return "SgReadyState", math.nan, math.nan


AnyActuator = Actuator | CurrentLimit | SgReady
AnyDevice = SunSpecDevice | MapDevice


async def find_actuator(device: AnyDevice, kind: str, p_max_w: float = 0.0) -> AnyActuator:
    """Choose the control function for a kind of device; ``p_max_w`` is the rating of one that does not tell its own.

    Raises:
        PointError: the device has none that fits.
    """
    if kind == "heat_pump":
        return SgReady(p_max_w)
    if isinstance(device, MapDevice):
        found = await device.read(0, "SupportedCurrent", "VoltageL1", "VoltageL2", "VoltageL3")
        amps = found.pop("SupportedCurrent")
        phases = sum(isinstance(volts, float) and volts > _PRESENT_V for volts in found.values())
        if not isinstance(amps, float) or not amps > 0 or not phases:
            raise PointError(f"{device.port.name} unit {device.unit}: no supported current or voltage")
        return CurrentLimit(w_per_a=phases * LINE_V, w_max=phases * LINE_V * amps)
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

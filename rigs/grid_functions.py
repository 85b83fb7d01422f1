"""The grid support functions that a device shows: its volt-var and volt-watt settings, read and switched."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

from rigs.errors import NotArmedError, RigError
from rigs.wire import WireDevice

MODELS = {"volt_var": 705, "volt_watt": 706}
_VA_MAX, _W_MAX, _VAR_MAX = 3, 0, 1


@dataclass(frozen=True)
class FunctionSettings:
    """A curve in force. ``points`` are voltage in pu and power as a share of ``base`` (W or VA)."""

    name: str
    points: tuple[tuple[float, float], ...]
    base: float
    response_s: float  # open-loop response time: 90 % of a step are done by then
    enabled: bool

    def at(self, v_pu: float) -> float:
        """Return power in W or var at a voltage."""
        x0, y0 = self.points[0]
        if v_pu <= x0:
            return y0 * self.base
        for (xa, ya), (xb, yb) in pairwise(self.points):
            if v_pu <= xb:
                return self.base * (ya + (yb - ya) * (v_pu - xa) / (xb - xa) if xb > xa else yb)
        return self.points[-1][1] * self.base


async def read_function(wire: WireDevice, name: str) -> FunctionSettings | None:
    """Read a function's active curve; None where the device does not have it.

    Raises:
        RigError: a curve that is incomplete, or in a reference that is not supported here.
    """
    device, model_id = wire.device, MODELS[name]
    if not device.has(model_id) or not device.has(702):
        return None
    y = "Var" if model_id == 705 else "W"
    head = await device.read(model_id, "Ena", "Crv[0].ActPt", "Crv[0].DeptRef", "Crv[0].RspTms")
    rated = await device.read(702, "WMax", "VAMax", "VarMaxInj")
    count, reference = head["Crv[0].ActPt"], head["Crv[0].DeptRef"]
    base = {_VA_MAX: rated["VAMax"], _W_MAX: rated["WMax"], _VAR_MAX: rated["VarMaxInj"]}.get(
        int(reference) if isinstance(reference, float) else -1
    )
    response_s = head["Crv[0].RspTms"]
    if not isinstance(count, float) or not isinstance(base, float) or not isinstance(response_s, float):
        raise RigError(f"{wire.spec.role}: model {model_id} does not say points, reference or response time")
    points = []
    for i in range(int(count)):
        read = await device.read(model_id, f"Crv[0].Pt[{i}].V", f"Crv[0].Pt[{i}].{y}")
        v, share = read[f"Crv[0].Pt[{i}].V"], read[f"Crv[0].Pt[{i}].{y}"]
        if not isinstance(v, float) or not isinstance(share, float):
            raise RigError(f"{wire.spec.role}: model {model_id}: point {i + 1} of the curve holds no number")
        points.append((v / 100, share / 100))
    return FunctionSettings(name, tuple(points), base, response_s, head["Ena"] == 1)


async def switch_function(wire: WireDevice, name: str, on: bool) -> None:
    """Switch a function, and read back that it is.

    Raises:
        NotArmedError: the device is not armed.
        RigError: it reads back otherwise.
    """
    if wire.gate is None or wire.gate.writer is None:
        raise NotArmedError(f"{wire.spec.role}: {name} is switched by writing; arm the device first")
    if on:  # switching back is always allowed
        wire.gate.check(asyncio.get_running_loop().time())
    points = {"Ena": float(on)}
    wire.gate.count(len(points))
    wire.gate.journal("switched", {"role": wire.spec.role, "function": name, "on": on})
    await wire.gate.writer.write(MODELS[name], points)
    if wrong := await wire.gate.writer.differences(MODELS[name], points):
        raise RigError(f"{wire.spec.role}: {name}: {'; '.join(wrong)}")

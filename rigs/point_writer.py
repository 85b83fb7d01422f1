"""The only code that sends a write: allowed points of one armed device, and their read-back."""

import math

from adapters.modbus.sunspec import SunSpecDevice
from rigs.control_points import ALLOWED, Points
from rigs.errors import NotArmedError


class PointWriter:
    """Writes allowed points of one device and reads them back. Cannot be built for a role that is not
    armed."""

    def __init__(self, device: SunSpecDevice, mode: str) -> None:
        if mode != "armed":
            raise NotArmedError(f"{device.port.name}: mode {mode} cannot write; arm the device first")
        self._device = device
        self.held: dict[tuple[int, str], float] = {}

    async def write(self, model_id: int, points: Points) -> None:
        """Write points one by one, in their order.

        Raises:
            NotArmedError: a point that is not on the allow-list; nothing was written.
        """
        forbidden = [n for n in points if n not in ALLOWED.get(model_id, ())]
        if forbidden:
            raise NotArmedError(f"model {model_id}: {', '.join(forbidden)} may not be written")
        for name, value in points.items():
            self.held.pop((model_id, name), None)  # unknown until the device has answered
            held = await self._device.write(model_id, name, value)
            self.held[model_id, name] = held

    async def differences(self, model_id: int, points: Points) -> list[str]:
        """Read points back; returns what differs from what was written."""
        found = await self._device.read(model_id, *points)
        wrong = []
        for name, value in points.items():
            _, _, encoded = await self._device.encode(model_id, name, value)
            expected = self.held.get((model_id, name), encoded)
            got = found[name]
            if not isinstance(got, float) or not math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9):
                wrong.append(f"{name} reads {got}, written {expected}")
        return wrong

    async def read(self, model_id: int, name: str) -> float:
        """Return one point as the device holds it now; NaN where it holds no number."""
        got = (await self._device.read(model_id, name))[name]
        return got if isinstance(got, float) else math.nan

    async def registers(self, model_id: int, points: Points) -> list[tuple[int, bytes]]:
        """Return address and registers of points without writing them: what the supervisor would send."""
        forbidden = [n for n in points if n not in ALLOWED.get(model_id, ())]
        if forbidden:
            raise NotArmedError(f"model {model_id}: {', '.join(forbidden)} may not be written")
        return [(await self._device.encode(model_id, name, value))[:2] for name, value in points.items()]

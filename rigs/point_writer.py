"""The only code that sends a write: allowed points of one armed device, and their read-back."""

import math

from adapters.modbus.register_map import MapDevice
from rigs.control_points import ALLOWED, AnyDevice, Points
from rigs.errors import NotArmedError


class PointWriter:
    """Writes allowed points of one device and reads them back. Cannot be built for a role that is not
    armed."""

    def __init__(self, device: AnyDevice, mode: str) -> None:
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
        where = self._read_back(points)
        found = await self._device.read(model_id, *where.values())
        wrong = []
        for name, value in points.items():
            if name not in where:
                continue
            _, _, encoded = await self._device.encode(model_id, name, value)
            expected = self.held.get((model_id, name), encoded)
            got = found[where[name]]
            if not isinstance(got, float) or not math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9):
                wrong.append(f"{name} reads {got}, written {expected}")
        return wrong

    def _read_back(self, points: Points) -> dict[str, str]:
        """Return where each point can be read; a map may say that another one shows it, or that none does."""
        if not isinstance(self._device, MapDevice):
            return {name: name for name in points}
        rows = {name: self._device.map.point(name) for name in points}
        return {
            n: n if row.readable else row.readback for n, row in rows.items() if row.readable or row.readback
        }

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

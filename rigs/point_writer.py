"""The only code that sends a write: allowed points of one armed device, and their read-back."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.modbus.errors import ModbusError
from adapters.modbus.lean_tcp import LeanTcpPort, read_request, write_request
from adapters.modbus.port import Table
from adapters.modbus.register_map import MapDevice
from adapters.modbus.sunspec import BlockPlan, Value
from rigs.control_points import ALLOWED, AnyDevice, Points
from rigs.errors import NotArmedError
from rigs.gate_rules import Outcome


@dataclass(frozen=True)
class PreparedWrite:
    """One point, ready to be written and read back in one exchange: both requests without their headers."""

    key: tuple[int, str]
    held: float
    plan: BlockPlan
    requests: tuple[bytes, bytes]


def _by_list(model_id: int, name: str) -> bool:
    return name in ALLOWED.get(model_id, ())


class PointWriter:
    """Writes allowed points of one device and reads them back. Cannot be built for a role that is not
    armed. ``allowed`` tells by model and name what may be written: what orders of power need, by default.
    """

    def __init__(self, device: AnyDevice, mode: str, allowed: Callable[[int, str], bool] = _by_list) -> None:
        if mode != "armed":
            raise NotArmedError(f"{device.port.name}: mode {mode} cannot write; arm the device first")
        self._device, self._allowed = device, allowed
        self.held: dict[tuple[int, str], float] = {}
        self._plans: dict[tuple[int, str], BlockPlan] = {}

    async def write(self, model_id: int, points: Points) -> None:
        """Write points one by one, in their order.

        Raises:
            NotArmedError: a point that is not on the allow-list; nothing was written.
        """
        self._allow(model_id, points)
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
            if difference := _difference(name, found[where[name]], expected):
                wrong.append(difference)
        return wrong

    async def prepare(self, model_id: int, points: Points) -> PreparedWrite | None:
        """Return a write and its read-back that may travel together; None where they must not: several points have an
        order in which each must succeed before the next is sent.

        Raises:
            NotArmedError: a point that is not on the allow-list; PointError: a value that does not fit.
        """
        self._allow(model_id, points)
        if len(points) != 1 or isinstance(self._device, MapDevice):
            return None
        ((name, value),) = points.items()
        key = model_id, name
        if key not in self._plans:
            (self._plans[key],) = self._device.plan(model_id, (name,))
        plan = self._plans[key]
        address, data, held = await self._device.encode(model_id, name, value)
        self.held.pop(key, None)
        back = read_request(plan.model.address + plan.first, plan.count)
        return PreparedWrite(key, held, plan, (write_request(address, data), back))

    def outcome(self, prepared: PreparedWrite, answers: Sequence[bytes]) -> tuple[Outcome, str]:
        """Return what the answers to a prepared write and its read-back say."""
        device, name = self._device, prepared.key[1]
        port, (ask, back) = device.port, prepared.requests
        assert isinstance(port, LeanTcpPort)
        what = f"write {name}"
        try:
            port.confirm(device.unit, what, ask, answers[0])
        except ModbusError as error:
            return "unknown", str(error)
        self.held[prepared.key] = prepared.held
        try:
            found = prepared.plan.decode(port.data(device.unit, f"read {name} back", back, answers[1]))
        except ModbusError as error:
            return "unknown", f"no read-back: {error}"
        wrong = _difference(name, found[name], prepared.held)
        return ("unknown", wrong) if wrong else ("sent", "")

    def _allow(self, model_id: int, points: Points) -> None:
        """Raise ``NotArmedError`` for points that are not on the allow-list."""
        forbidden = [n for n in points if not self._allowed(model_id, n)]
        if forbidden:
            raise NotArmedError(f"model {model_id}: {', '.join(forbidden)} may not be written")

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

    async def read_back_as(self, model_id: int, points: Points) -> list[tuple[Table, int, bytes]]:
        """Return table, address and registers with which points must read back, once they are written."""
        found: list[tuple[Table, int, bytes]] = []
        for name, shown in self._read_back(points).items():
            address, data, held = await self._device.encode(model_id, name, points[name])
            if isinstance(self._device, MapDevice):
                point = self._device.map.point(shown)
                found.append((point.table, point.address, self._device.registers(point, held)))
            else:
                found.append(("holding", address, data))
        return found

    async def registers(self, model_id: int, points: Points) -> list[tuple[int, bytes]]:
        """Return address and registers of points without writing them: what the supervisor would send."""
        self._allow(model_id, points)
        return [(await self._device.encode(model_id, name, value))[:2] for name, value in points.items()]


@dataclass(frozen=True)
class Proposal:
    """An order that passed every check, shaped: what has to be sent now."""

    writer: PointWriter
    asked_w: float
    value_w: float
    time_s: float
    shaped: str


def _difference(name: str, got: Value, expected: float) -> str:
    """Return how a point reads otherwise than it was written, empty where it does not."""
    if isinstance(got, float) and math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9):
        return ""
    return f"{name} reads {got}, written {expected}"

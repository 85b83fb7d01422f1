"""One connection for several units: a gateway or a serial line has one owner, and each role its own view of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from adapters.modbus.errors import LinkDownError, RequestTimeoutError
from adapters.modbus.port import FrameListener, ModbusPort, Table
from rigs.bench_file import BenchFile, endpoint_of
from rigs.errors import RigError
from rigs.rig_lock import RigLock, holder

_SILENT_AFTER = 2  # time-outs in a row
_REST_TIMEOUTS = 5.0  # how long a silent unit is left alone, in its time-outs


@dataclass
class Line:
    """A link that several roles share. ``listeners`` hear the frames of their unit; ``unit_at`` is where a frame says
    whose it is (6 in Modbus/TCP, 0 on a serial line).
    """

    unit_at: int = 6
    port: ModbusPort | None = None
    listeners: dict[int, FrameListener] = field(default_factory=dict)
    life: int = 0  # counts connections, so that every role notices a new one
    users: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def heard(self, sent: bool, frame: bytes) -> None:
        """Hand a frame to the role that it belongs to."""
        listener = self.listeners.get(frame[self.unit_at]) if len(frame) > self.unit_at else None
        if listener is not None:
            listener(sent, frame)

    def view(
        self, unit: int, make: Callable[[FrameListener], ModbusPort], listener: FrameListener | None
    ) -> "LineView":
        """Return a role's port on this line; the first makes the link."""
        if listener is not None:
            self.listeners[unit] = listener
        if self.port is None:
            self.port = make(self.heard)
        self.users += 1
        return LineView(self, self.port)


class LineView:
    """A ``ModbusPort`` of one unit on a shared line. It stands only while the connection is the one it joined, so
    that identity is checked by every role whenever the link returned. A unit that stays silent is left alone for a
    while, so that it does not stall the others; writes always go out.
    """

    def __init__(self, line: Line, port: ModbusPort) -> None:
        self._line, self._port = line, port
        self.name, self.timing = port.name, port.timing
        self._life = -1
        self._timeouts = 0
        self._rests_until_s = 0.0
        self._open = True

    @property
    def connected(self) -> bool:
        """Whether the connection that this view joined still stands."""
        return self._port.connected and self._life == self._line.life

    async def connect(self) -> None:
        """Join the line's one connection, and open it where it does not stand."""
        async with self._line.lock:
            if not self._port.connected:
                await self._port.connect()
                self._line.life += 1
            self._life = self._line.life

    async def read(self, unit: int, address: int, count: int, table: Table = "holding") -> bytes:
        """Read registers; see ``ModbusPort.read``."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._rests_until_s:
            raise RequestTimeoutError(f"{self.name} unit {unit}: it did not answer lately and is left alone")
        self._must_stand(unit)
        try:
            data = await self._port.read(unit, address, count, table)
        except RequestTimeoutError:
            self._timeouts += 1
            if self._timeouts >= _SILENT_AFTER:
                now_s = asyncio.get_running_loop().time()
                self._rests_until_s = now_s + _REST_TIMEOUTS * self.timing.timeout_s
            raise
        self._timeouts = 0
        return data

    async def write(self, unit: int, address: int, data: bytes) -> None:
        """Write registers; see ``ModbusPort.write``."""
        self._must_stand(unit)
        await self._port.write(unit, address, data)

    async def close(self) -> None:
        """Leave the line; the last one closes it."""
        if self._open:
            self._open = False
            self._line.users -= 1
            if not self._line.users:
                await self._port.close()

    def _must_stand(self, unit: int) -> None:
        if not self.connected:
            raise LinkDownError(f"{self.name} unit {unit}: not connected since the link returned")


class Lines:
    """Which roles of a bench share a link: real devices behind one gateway, or on one serial line."""

    def __init__(self, bench: BenchFile) -> None:
        self._roles: dict[tuple[str, int], list[str]] = {}
        self._lines: dict[str, Line] = {}
        for role, device in bench.devices.items():
            if device.driver == "modbus":
                self._roles.setdefault(endpoint_of(device), []).append(role)
        for roles in self._roles.values():
            if len(roles) > 1:
                line = Line(0 if bench.devices[roles[0]].serial else 6)
                self._lines |= dict.fromkeys(roles, line)

    def of(self, role: str) -> Line | None:
        """Return the line that a role shares, None where it has a link of its own."""
        return self._lines.get(role)

    def lock(self, folder: Path) -> list[RigLock]:
        """Take every endpoint for this harness.

        Raises:
            RigError: another harness holds one; those taken before are given back.
        """
        locks: list[RigLock] = []
        try:
            for host, port in self._roles:
                locks.append(RigLock(folder, (host, port, 0), holder()))
        except RigError:
            for lock in locks:
                lock.release()
            raise
        return locks

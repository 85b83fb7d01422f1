"""Faults on a real link: what is scheduled happens in our own end of it. The device is asked nothing that it would
not be asked anyway, and never anything on top.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from adapters.modbus.errors import DeviceBusyError, LinkDownError, RequestTimeoutError
from adapters.modbus.port import ModbusPort, Table
from rigs.faults import Fault

T = TypeVar("T")
_BUSY = 6


class LinkTap:
    """A ``ModbusPort`` around that of a real device.

    While a fault is active: ``mute`` sends nothing and waits the time-out, ``late`` holds the answer back, ``busy``
    takes it for exception 6 without asking, ``reset`` closes our own connection in mid-request, ``kick`` closes it
    after every answer as a second master would have it. Whoever makes the device safe lifts all of them.
    """

    def __init__(self, port: ModbusPort) -> None:
        self._port = port
        self.name, self.timing = port.name, port.timing
        self._faults: tuple[Fault, ...] = ()
        self._began_s = 0.0
        self._lifted = False

    def schedule(self, faults: Sequence[Fault]) -> None:
        """Schedule faults, in s from now on."""
        self._began_s = asyncio.get_running_loop().time()
        self._faults = (*self._faults, *faults)

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let no fault stand between us and the device."""
        before, self._lifted = self._lifted, True
        try:
            yield
        finally:
            self._lifted = before

    @property
    def connected(self) -> bool:
        """Whether the connection stands; see ``ModbusPort``."""
        return self._port.connected

    async def connect(self) -> None:
        """Open the connection; see ``ModbusPort``."""
        await self._port.connect()

    async def read(self, unit: int, address: int, count: int, table: Table = "holding") -> bytes:
        """Read registers; see ``ModbusPort``."""
        what = f"{self.name} unit {unit}: read {count} registers at {address}"
        return await self._pass(what, lambda: self._port.read(unit, address, count, table))

    async def write(self, unit: int, address: int, data: bytes) -> None:
        """Write registers; see ``ModbusPort``."""
        what = f"{self.name} unit {unit}: write {len(data) // 2} registers at {address}"
        await self._pass(what, lambda: self._port.write(unit, address, data))

    async def close(self) -> None:
        """Close the connection; see ``ModbusPort``."""
        await self._port.close()

    async def _pass(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        fault = self._active()
        if fault is None:
            return await ask()
        late = RequestTimeoutError(f"{what}: no answer within {self.timing.timeout_s} s")
        if fault.kind == "mute":
            await asyncio.sleep(self.timing.timeout_s)
            raise late
        if fault.kind == "busy":
            raise DeviceBusyError(what, _BUSY)
        answer = await ask()
        if fault.kind == "late":
            await asyncio.sleep(min(fault.value, self.timing.timeout_s))
            if not fault.value < self.timing.timeout_s:
                raise late
            return answer
        await self._port.close()
        if fault.kind == "reset":
            raise LinkDownError(f"{what}: connection lost")
        return answer

    def _active(self) -> Fault | None:
        if self._lifted or not self._faults:
            return None
        now_s = asyncio.get_running_loop().time() - self._began_s
        return next((f for f in self._faults if f.from_s <= now_s < f.until_s), None)

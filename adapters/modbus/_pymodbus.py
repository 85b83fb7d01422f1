"""What TCP, TLS and serial share: a pymodbus client behind our port, one object per connection life."""

import asyncio
import logging
import struct
from abc import ABC, abstractmethod
from typing import Any

from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException

from adapters.modbus.errors import (
    BadAnswerError,
    DeviceBusyError,
    DeviceRefusedError,
    LinkDownError,
    ModbusError,
    RequestTimeoutError,
)
from adapters.modbus.port import FrameListener, LinkTiming, Table

_BUSY = (5, 6)
_MAX_WRITE = 123


class PymodbusPort(ABC):
    """Base of the pymodbus ports.

    pymodbus' own reconnection is off (it can leave a second connection open for ever), and so are its
    retries: after a lost connection they would send into nothing until the last time-out. A loss fails the
    pending request at once.
    """

    def __init__(self, name: str, timing: LinkTiming, listener: FrameListener | None = None) -> None:
        self.name = name
        self.timing = timing
        self._listener = listener
        self._client: Any = None
        self._lock = asyncio.Lock()
        self._next_at = 0.0
        self._quiet_until_s = 0.0
        # its loggers describe every lost frame at ERROR; we raise instead, so the text would only be doubled
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

    @abstractmethod
    def _new_client(self, **common: Any) -> Any:
        """Make a pymodbus client that is not yet connected."""

    _late_answers_confuse = False
    """True on links without transaction ids, where a late answer could be taken for the next one."""

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as this side knows."""
        return self._client is not None and bool(self._client.connected)

    async def connect(self) -> None:
        """Open the connection; see ``ModbusPort.connect``."""
        async with self._lock:
            if self.connected:
                return
            self._drop()
            if (quiet_s := self._quiet_until_s - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(quiet_s)
            client = self._new_client(
                name=self.name,
                timeout=self.timing.timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_connect=self._trace_connect,
                trace_packet=self._trace_packet if self._listener else None,
            )
            client.set_max_no_responses(1 << 30)  # whether to close after silence is our decision
            try:
                up = await client.connect()
            except Exception as error:
                client.close()
                raise LinkDownError(f"{self.name}: cannot connect ({error})") from error
            if not up:
                client.close()
                raise LinkDownError(
                    f"{self.name}: no connection in {self.timing.timeout_s} s (refused, unreachable, mute)"
                )
            self._client = client
            if self.timing.connect_delay_s:
                await asyncio.sleep(self.timing.connect_delay_s)

    async def read(self, unit: int, address: int, count: int, table: Table = "holding") -> bytes:
        """Read registers; see ``ModbusPort.read``."""
        if not 1 <= count <= self.timing.max_registers:
            raise BadAnswerError(f"{self.name}: count {count} is not in 1..{self.timing.max_registers}")
        request = f"{self.name} unit {unit}: read {count} registers at {address}"
        answer = await self._ask(request, f"read_{table}_registers", address, count=count, device_id=unit)
        registers: list[int] = answer.registers
        if len(registers) != count:
            raise BadAnswerError(f"{request}: {len(registers)} registers came back")
        return struct.pack(f">{count}H", *registers)

    async def write(self, unit: int, address: int, data: bytes) -> None:
        """Write registers with function 16; see ``ModbusPort.write``."""
        if len(data) % 2 or not 2 <= len(data) <= 2 * _MAX_WRITE:
            raise BadAnswerError(f"{self.name}: {len(data)} bytes are not 1..{_MAX_WRITE} whole registers")
        values = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
        request = f"{self.name} unit {unit}: write {len(values)} registers at {address}"
        if self.timing.single_writes and len(values) == 1:
            answer = await self._ask(request, "write_register", address, values[0], device_id=unit)
            if (answer.address, answer.registers) != (address, values):
                raise BadAnswerError(f"{request}: confirmed {answer.registers} at {answer.address}")
            return
        answer = await self._ask(request, "write_registers", address, values, device_id=unit)
        if (answer.address, answer.count) != (address, len(values)):
            raise BadAnswerError(f"{request}: confirmed {answer.count} registers at {answer.address}")

    async def close(self) -> None:
        """Close the connection; see ``ModbusPort.close``."""
        self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _ask(self, request: str, call: str, *arguments: Any, **keywords: Any) -> Any:
        async with self._lock:
            client = self._client
            if client is None or not client.connected:
                raise LinkDownError(f"{request}: not connected")
            await self._keep_gap()
            try:
                answer = await getattr(client, call)(*arguments, **keywords)
            except ConnectionException as error:
                self._drop()
                raise LinkDownError(f"{request}: connection lost") from error
            except ModbusIOException as error:
                if self._late_answers_confuse:
                    self._drop()
                    # what comes late falls on a closed line, and opening flushes it
                    self._quiet_until_s = asyncio.get_running_loop().time() + self.timing.timeout_s
                if "No response" not in str(error):
                    self._drop()
                    raise BadAnswerError(f"{request}: {error}") from error
                raise RequestTimeoutError(f"{request}: no answer within {self.timing.timeout_s} s") from error
            except ModbusException as error:
                self._drop()
                raise ModbusError(f"{request}: {error}") from error
            if answer.isError():
                code = answer.exception_code
                raise (DeviceBusyError if code in _BUSY else DeviceRefusedError)(request, code)
            return answer

    async def _keep_gap(self) -> None:
        if not self.timing.gap_s:
            return
        loop = asyncio.get_running_loop()
        if (wait_s := self._next_at - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        self._next_at = loop.time() + self.timing.gap_s

    def _trace_connect(self, up: bool) -> None:
        if up or self._client is None:
            return
        pending = self._client.ctx.response_future
        if not pending.done():
            pending.set_exception(ConnectionException("lost"))
            pending.exception()  # mark as seen: nobody may be waiting

    def _trace_packet(self, sending: bool, data: bytes) -> bytes:
        # what arrives is handed over again with every further segment, until it is whole
        if self._listener and (sending or self._is_whole(data)):
            self._listener(sending, data)
        return data

    def _is_whole(self, data: bytes) -> bool:
        """Tell whether what has arrived so far is a frame."""
        return len(data) < 6 or len(data) >= 6 + int.from_bytes(data[4:6], "big")

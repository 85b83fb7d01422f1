"""Modbus/TCP behind our port without a library: for devices that are emulated on the loopback and advance in
lockstep, where the client's own CPU time is what a simulated interval costs.

Real devices are reached by pymodbus (``adapters.modbus.tcp``), which needs about 100 us of CPU per request; this
needs about 40. Both keep the same contract. Source: MODBUS Messaging on TCP/IP V1.0b.
"""

import asyncio
import struct
from collections.abc import Sequence
from typing import Any

from adapters.modbus.errors import (
    BadAnswerError,
    DeviceBusyError,
    DeviceRefusedError,
    LinkDownError,
    RequestTimeoutError,
)
from adapters.modbus.port import FrameListener, LinkTiming, Table

_MBAP = struct.Struct(">HHHB")
_READ, _WRITE = struct.Struct(">BHH"), struct.Struct(">BHHB")
_BUSY = (5, 6)
_MAX_WRITE = 123
_MOST_BODY = 254


def read_request(address: int, count: int, table: Table = "holding") -> bytes:
    """Return the request that reads registers, without its header."""
    return _READ.pack(3 if table == "holding" else 4, address, count)


def write_request(address: int, data: bytes, single: bool = False) -> bytes:
    """Return the request that writes whole registers: function 16, or 6 for one where ``single`` is asked."""
    if single and len(data) == 2:
        return b"\6" + address.to_bytes(2, "big") + data
    return _WRITE.pack(16, address, len(data) // 2, len(data)) + data


class _Wire(asyncio.Protocol):
    """One connection: cuts frames from the stream and hands each to whoever waits for its transaction."""

    def __init__(self, listener: FrameListener | None) -> None:
        self._listener = listener
        self._buffer = b""
        self.transport: Any = None
        self._first, self._answers, self._missing = 0, list[bytes](), 0
        self.future: asyncio.Future[list[bytes]] | None = None
        self.up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self.transport, self.up = transport, True

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the pending request at once."""
        self.up = False
        self.fail(LinkDownError("connection lost"))

    def data_received(self, data: bytes) -> None:
        """Keep every complete frame that is waited for; late answers to older requests are skipped."""
        data = self._buffer + data
        while len(data) >= _MBAP.size:
            tid, protocol, length, _ = _MBAP.unpack_from(data)
            if protocol or not 2 <= length <= _MOST_BODY:
                self.fail(BadAnswerError("an answer that is no Modbus"))
                self.transport.abort()
                return
            if len(data) < 6 + length:
                break
            frame, data = data[: 6 + length], data[6 + length :]
            if self._listener is not None:
                self._listener(False, frame)
            which = (tid - self._first) & 0xFFFF
            if which < len(self._answers) and not self._answers[which]:
                self._answers[which] = frame
                self._missing -= 1
        self._buffer = data
        if not self._missing and self.future is not None and not self.future.done():
            self.future.set_result(self._answers)

    def expect(self, first: int, count: int) -> "asyncio.Future[list[bytes]]":
        """Return what will hold the answers to ``count`` transactions from ``first``, in their order."""
        self._first, self._answers, self._missing = first, [b""] * count, count
        self.future = asyncio.get_running_loop().create_future()
        return self.future

    def fail(self, error: Exception) -> None:
        """End the pending request."""
        if self.future is not None and not self.future.done():
            self.future.set_exception(error)


class LeanTcpPort:
    """One connection to ``host:port``; see ``ModbusPort``. Answers are matched by transaction id."""

    def __init__(
        self, host: str, port: int, timing: LinkTiming | None = None, listener: FrameListener | None = None
    ) -> None:
        self.name = f"tcp://{host}:{port}"
        self.timing = timing or LinkTiming()
        self._host, self._port, self._listener = host, port, listener
        self._wire: _Wire | None = None
        self._lock = asyncio.Lock()
        self._tid = 0
        self._next_at = 0.0

    @property
    def local_port(self) -> int:
        """The port that this side speaks from; only while connected."""
        assert self._wire is not None
        port: int = self._wire.transport.get_extra_info("sockname")[1]
        return port

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as this side knows."""
        return self._wire is not None and self._wire.up

    async def connect(self) -> None:
        """Open the connection; see ``ModbusPort.connect``."""
        async with self._lock:
            if self.connected:
                return
            self._drop()
            loop, timeout_s = asyncio.get_running_loop(), self.timing.timeout_s
            try:
                async with asyncio.timeout(timeout_s):
                    _, self._wire = await loop.create_connection(
                        lambda: _Wire(self._listener), self._host, self._port
                    )
            except (OSError, TimeoutError) as error:
                raise LinkDownError(f"{self.name}: no connection in {timeout_s} s ({error})") from error
            if self.timing.connect_delay_s:
                await asyncio.sleep(self.timing.connect_delay_s)

    async def read(self, unit: int, address: int, count: int, table: Table = "holding") -> bytes:
        """Read registers; see ``ModbusPort.read``."""
        if not 1 <= count <= self.timing.max_registers:
            raise BadAnswerError(f"{self.name}: count {count} is not in 1..{self.timing.max_registers}")
        pdu = read_request(address, count, table)
        what = f"read {count} registers at {address}"
        return self.data(unit, what, pdu, (await self.exchange(unit, [pdu], what))[0])

    async def write(self, unit: int, address: int, data: bytes) -> None:
        """Write registers with function 16; see ``ModbusPort.write``."""
        count = len(data) // 2
        if len(data) % 2 or not 1 <= count <= _MAX_WRITE:
            raise BadAnswerError(f"{self.name}: {len(data)} bytes are not 1..{_MAX_WRITE} whole registers")
        pdu = write_request(address, data, self.timing.single_writes)
        what = f"write {count} registers at {address}"
        self.confirm(unit, what, pdu, (await self.exchange(unit, [pdu], what))[0])

    async def close(self) -> None:
        """Close the connection; see ``ModbusPort.close``."""
        self._drop()

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None and wire.transport is not None:
            wire.up = False
            wire.transport.abort()

    def _bad(self, text: str) -> BadAnswerError:
        self._drop()
        return BadAnswerError(text)

    async def exchange(
        self, unit: int, pdus: Sequence[bytes], what: str = "requests in a row"
    ) -> list[bytes]:
        """Send requests in one segment and return the answers' frames in their order, exceptions among them.

        One way there and back for all of them, where the device serves a stream in its order; see ``data`` and
        ``confirm`` for what the frames say.

        Raises:
            LinkDownError, RequestTimeoutError, BadAnswerError: as ``ModbusPort.read``; how many of them the device
            served is then unknown.
        """
        async with self._lock:
            wire = self._wire
            if wire is None or not wire.up:
                raise LinkDownError(f"{self.name} unit {unit}: {what}: not connected")
            await self._keep_gap()
            first = (self._tid + 1) & 0xFFFF
            self._tid = (self._tid + len(pdus)) & 0xFFFF
            frames = [
                _MBAP.pack((first + i) & 0xFFFF, 0, 1 + len(pdu), unit) + pdu for i, pdu in enumerate(pdus)
            ]
            if self._listener is not None:
                for frame in frames:
                    self._listener(True, frame)
            future = wire.expect(first, len(pdus))
            timeout_s = self.timing.timeout_s
            late = RequestTimeoutError(f"{self.name} unit {unit}: {what}: no answer within {timeout_s} s")
            timer = asyncio.get_running_loop().call_later(timeout_s, wire.fail, late)
            try:
                wire.transport.write(b"".join(frames))
                return await future
            except LinkDownError as error:
                self._drop()
                raise LinkDownError(f"{self.name} unit {unit}: {what}: connection lost") from error
            except BadAnswerError as error:
                raise self._bad(f"{self.name} unit {unit}: {what}: {error}") from error
            finally:
                timer.cancel()
                wire.future = None

    def data(self, unit: int, what: str, request: bytes, answer: bytes) -> bytes:
        """Return the registers in an answer to ``read_request``; raises as ``ModbusPort.read``."""
        body = self._body(f"{self.name} unit {unit}: {what}", unit, request[0], answer)
        size = 2 * int.from_bytes(request[3:5], "big")
        if len(body) != 1 + size or body[0] != size:
            raise self._bad(f"{self.name} unit {unit}: {what}: {len(body) - 1} bytes came back")
        return body[1:]

    def confirm(self, unit: int, what: str, request: bytes, answer: bytes) -> None:
        """Raise, as ``ModbusPort.write``, unless an answer confirms a ``write_request``."""
        if self._body(f"{self.name} unit {unit}: {what}", unit, request[0], answer) != request[1:5]:
            raise self._bad(f"{self.name} unit {unit}: {what}: something else was confirmed")

    def _body(self, request: str, unit: int, function: int, answer: bytes) -> bytes:
        if answer[6] != unit:
            raise self._bad(f"{request}: unit {answer[6]} answered")
        if answer[7] == function | 0x80 and len(answer) == 9:
            raise (DeviceBusyError if answer[8] in _BUSY else DeviceRefusedError)(request, answer[8])
        if answer[7] != function:
            raise self._bad(f"{request}: answered with function {answer[7]}")
        return answer[8:]

    async def _keep_gap(self) -> None:
        if not self.timing.gap_s:
            return
        loop = asyncio.get_running_loop()
        if (wait_s := self._next_at - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        self._next_at = loop.time() + self.timing.gap_s

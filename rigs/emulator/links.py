"""Other ways to an emulated device: TLS with roles, and RTU over a pseudo-terminal."""

import asyncio
import os
import ssl
import time
import tty

from adapters.modbus.tls import TlsFiles, role_of
from rigs.emulator.faulty import Faults, FaultyProtocol, drip
from rigs.emulator.server import ILLEGAL_FUNCTION, Connections, Units, answer

READERS = frozenset(
    {"ReadOnlySunSpec", "GridServiceSunSpec", "NetworkAdministratorSunSpec", "SuperAdministratorSunSpec"}
)
"""Roles that may read; without one of them nothing is served (SunSpec Modbus/TCP Security roles)."""
WRITERS = READERS - {"ReadOnlySunSpec"}
_CRC_BYTES = 2
_SHORTEST = {3: 8, 4: 8, 6: 8, 16: 9}
_QUIET_S = 0.02


class SecureProtocol(FaultyProtocol):
    """A TLS connection whose client certificate says what it may do."""

    def reply(self, unit: int, pdu: bytes) -> bytes:
        """Serve what the role allows; anything else is an illegal function."""
        assert self._transport is not None
        peer: ssl.SSLObject = self._transport.get_extra_info("ssl_object")
        role = role_of(peer.getpeercert(binary_form=True) or b"")
        if role not in (READERS if pdu[0] in (3, 4) else WRITERS):
            return bytes(((pdu[0] | 0x80) & 0xFF, ILLEGAL_FUNCTION))
        return super().reply(unit, pdu)


async def serve_tls(
    units: Units, host: str, port: int, files: TlsFiles, connections: Connections, faults: Faults
) -> tuple[asyncio.Server, int]:
    """Listen with TLS and demand a client certificate."""
    loop = asyncio.get_running_loop()
    context = files.context(ssl.Purpose.CLIENT_AUTH)
    server = await loop.create_server(
        lambda: SecureProtocol(units, connections, faults), host, port, ssl=context
    )
    return server, server.sockets[0].getsockname()[1]


def crc16(data: bytes) -> bytes:
    """Return the CRC of a serial frame, low byte first (MODBUS over Serial Line V1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


class RtuServer:
    """One device on a pseudo-terminal; ``path`` is what a client opens. Frames for other units are
    ignored. ``faults`` spoil answers; a line has no connection, so it cannot lose one."""

    def __init__(self, units: Units, faults: Faults | None = None) -> None:
        self._units, self._faults = units, faults
        self._last = b""
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)  # kept open, so that the line lives while no client has it
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._buffer = bytearray()
        self._heard_s, self._closed = 0.0, False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._readable)

    def close(self) -> None:
        """Close the line."""
        self._closed = True
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    def _readable(self) -> None:
        now_s = time.monotonic()  # the loop keeps milliseconds
        if now_s - self._heard_s > _QUIET_S:  # a pause ends a frame, whole or not
            self._buffer.clear()
        self._heard_s = now_s
        self._buffer += os.read(self._master, 4096)
        while (length := self._length()) and len(self._buffer) >= length:
            frame = bytes(self._buffer[:length])
            del self._buffer[:length]
            unit, pdu = frame[0], frame[1:-_CRC_BYTES]
            if crc16(frame[:-_CRC_BYTES]) != frame[-_CRC_BYTES:]:
                self._buffer.clear()  # find the next frame after a pause
                return
            if unit not in self._units:
                continue
            self._answer(unit, answer(self._units, unit, pdu))

    def _answer(self, unit: int, pdu: bytes) -> None:
        """Send an answer as the active fault has it."""
        fault = self._faults.on_wire() if self._faults is not None and self._faults.any else None
        kind, value = fault or ("", 0.0)
        if kind == "mute":
            return
        if kind == "wrong_unit":
            unit = unit + 1 & 0xFF
        elif kind == "busy":
            pdu = bytes(((pdu[0] | 0x80) & 0xFF, 6))
        body = bytes((unit,)) + pdu
        frame = body + crc16(body)
        if kind == "late":
            self._loop.call_later(value, self._write, frame)
        elif kind == "split":
            drip(self._write, frame)
        else:
            self._write(self._last + frame if kind == "merged" else frame)
        if not kind:
            self._last = frame

    def _write(self, data: bytes) -> None:
        if not self._closed:
            os.write(self._master, data)

    def _length(self) -> int:
        """Return the length of the frame at the front, 0 while it is not known."""
        if len(self._buffer) < 2:
            return 0
        function = self._buffer[1]
        shortest = _SHORTEST.get(function, 4 if len(self._buffer) >= 4 else 0)
        if function != 16:
            return shortest
        return shortest + self._buffer[6] if len(self._buffer) >= 7 else 0

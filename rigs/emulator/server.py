"""A small Modbus/TCP server over register images.

pymodbus' server loses the second of two requests in a segment and answers unknown functions with function 0,
so it cannot play the device under test. Source: MODBUS Application Protocol V1.1b3, MODBUS Messaging on
TCP/IP V1.0b.
"""

import asyncio
import struct
from collections.abc import Callable, Mapping
from typing import Protocol, cast

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE, GATEWAY_NO_TARGET = 1, 2, 3, 4, 11
_MBAP = struct.Struct(">HHHB")
_READ, _READ_HEAD = struct.Struct(">HHHBBHH"), struct.Struct(">HHHBBB")
_MAX_READ, _MAX_WRITE = 125, 123
_MAX_BODY = 254  # unit id and PDU


class Refused(Exception):  # noqa: N818 - not an error of ours: it becomes an exception answer
    """The image will not serve a request; ``code`` is the Modbus exception."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"Modbus exception {code}")


class RegisterStore(Protocol):
    """Registers behind one unit id."""

    def read(self, address: int, count: int) -> bytes:
        """Return ``2 * count`` bytes, or raise ``Refused``."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """Take whole registers, or raise ``Refused`` and change nothing."""
        ...


Units = Mapping[int, RegisterStore]


def answer(units: Units, unit: int, pdu: bytes) -> bytes:
    """Return the answer to one request, an exception answer where it cannot be served."""
    function = pdu[0]
    try:
        store = units.get(unit)
        if store is None:
            raise Refused(GATEWAY_NO_TARGET)
        return _serve(store, function, pdu)
    except Refused as refused:
        return bytes(((function | 0x80) & 0xFF, refused.code))


def _serve(store: RegisterStore, function: int, pdu: bytes) -> bytes:
    if function in (3, 4):
        if len(pdu) != 5:
            raise Refused(ILLEGAL_VALUE)
        address, count = struct.unpack_from(">HH", pdu, 1)
        if not 1 <= count <= _MAX_READ:
            raise Refused(ILLEGAL_VALUE)
        return bytes((function, 2 * count)) + store.read(address, count)
    if function == 6:
        if len(pdu) != 5:
            raise Refused(ILLEGAL_VALUE)
        store.write(int.from_bytes(pdu[1:3], "big"), pdu[3:5])
        return pdu
    if function == 16:
        if len(pdu) < 6:
            raise Refused(ILLEGAL_VALUE)
        address, count, size = struct.unpack_from(">HHB", pdu, 1)
        if not 1 <= count <= _MAX_WRITE or size != 2 * count or len(pdu) != 6 + size:
            raise Refused(ILLEGAL_VALUE)
        store.write(address, pdu[6:])
        return pdu[:5]
    raise Refused(ILLEGAL_FUNCTION)


class ModbusTcpProtocol(asyncio.Protocol):
    """One connection: frames are cut from the stream whatever the segments, and answered in order."""

    def __init__(self, units: Units, connections: "Connections") -> None:
        self._units = units
        self._connections = connections
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._plain = type(self).reply is ModbusTcpProtocol.reply  # nobody asks who reads

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close an older one where the device serves one at a time."""
        self._transport = cast(
            asyncio.Transport, transport
        )  # uvloop's is one by its methods, not by its class
        self._connections.opened(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._transport is not None:
            self._connections.closed(self._transport)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every complete request in the stream; what is no Modbus ends the connection."""
        buffer = self._buffer
        if len(data) == _READ.size and not buffer and self._plain and self._read(data):
            return
        if not buffer and len(data) >= _MBAP.size + 1:  # the common case: one whole request in one segment
            tid, protocol, length, unit = _MBAP.unpack_from(data)
            if not protocol and length <= _MAX_BODY and len(data) == 6 + length:
                reply = self.reply(unit, data[7:])
                self._send(_MBAP.pack(tid, 0, len(reply) + 1, unit) + reply)
                return
        if buffer:
            buffer += data
            data = bytes(buffer)
        answers = bytearray()
        at = 0
        while len(data) >= at + _MBAP.size:
            tid, protocol, length, unit = _MBAP.unpack_from(data, at)
            if protocol or not 2 <= length <= _MAX_BODY:
                self._send(bytes(answers))
                if self._transport is not None:
                    self._transport.close()
                buffer.clear()
                return
            end = at + 6 + length
            if len(data) < end:
                break
            reply = self.reply(unit, data[at + 7 : end])
            at = end
            answers += _MBAP.pack(tid, 0, len(reply) + 1, unit) + reply
        buffer[:] = data[at:]
        self._send(bytes(answers))

    def _read(self, data: bytes) -> bool:
        """Serve one whole read request; False where it is anything else, or cannot be served."""
        tid, protocol, length, unit, function, address, count = _READ.unpack(data)
        store = self._units.get(unit)
        if protocol or length != 6 or store is None or function not in (3, 4) or not 1 <= count <= _MAX_READ:
            return False
        try:
            body = store.read(address, count)
        except Refused:
            return False
        self._send(_READ_HEAD.pack(tid, 0, 3 + 2 * count, unit, function, 2 * count) + body)
        return True

    def reply(self, unit: int, pdu: bytes) -> bytes:
        """Return the answer to one request."""
        return answer(self._units, unit, pdu)

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)


class Connections:
    """Who is connected. ``most`` 1 plays the inverters that serve one client: the newest wins."""

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self.open: list[asyncio.Transport] = []
        self.seen = 0

    def opened(self, transport: asyncio.Transport) -> None:
        """Book a new connection, and drop the oldest beyond the limit."""
        self.seen += 1
        self.open.append(transport)
        while self.most and len(self.open) > self.most:
            self.open.pop(0).abort()

    def drop(self) -> None:
        """Close all connections, as a device that reboots does."""
        for transport in list(self.open):
            transport.abort()

    def closed(self, transport: asyncio.Transport) -> None:
        """Book a connection as gone."""
        if transport in self.open:
            self.open.remove(transport)


async def serve_tcp(
    units: Units,
    host: str,
    port: int,
    connections: Connections,
    wrap: Callable[[Units, Connections], asyncio.Protocol] = ModbusTcpProtocol,
) -> tuple[asyncio.Server, int]:
    """Listen on ``host:port`` (0: any free port). Returns the server and the port; ``OSError`` where it is
    taken.
    """
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: wrap(units, connections), host, port)
    return server, server.sockets[0].getsockname()[1]

"""The transport contract over a real socket: errors, loss, late answers, and never two connections."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from adapters.modbus.errors import (
    BadAnswerError,
    DeviceBusyError,
    DeviceRefusedError,
    LinkDownError,
    RequestTimeoutError,
)
from adapters.modbus.lean_tcp import LeanTcpPort
from adapters.modbus.port import LinkTiming
from adapters.modbus.tcp import TcpPort

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Peer:
    """A server that does with each request what the test says."""

    def __init__(self, behaviour: Callable[["Peer", bytes, asyncio.StreamWriter], Any]) -> None:
        self.behaviour = behaviour
        self.accepted = 0
        self.open = 0
        self.requests: list[bytes] = []

    async def __aenter__(self) -> "Peer":
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await asyncio.sleep(0.02)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        try:
            while True:
                head = await reader.readexactly(6)
                frame = head + await reader.readexactly(int.from_bytes(head[4:6], "big"))
                self.requests.append(frame)
                result = self.behaviour(self, frame, writer)
                if asyncio.iscoroutine(result):
                    await result
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture(autouse=True, params=[TcpPort, LeanTcpPort])
def each_port(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs over pymodbus' client and over our own: one contract."""
    monkeypatch.setitem(globals(), "TcpPort", request.param)


def reply(frame: bytes, pdu: bytes) -> bytes:
    return frame[:4] + struct.pack(">HB", len(pdu) + 1, frame[6]) + pdu


def honest(peer: Peer, frame: bytes, writer: asyncio.StreamWriter) -> None:
    if frame[7] == 3:
        address, count = struct.unpack(">HH", frame[8:12])
        pdu = bytes((3, 2 * count)) + b"".join(
            ((address + i) & 0xFFFF).to_bytes(2, "big") for i in range(count)
        )
    else:
        pdu = frame[7:12]
    writer.write(reply(frame, pdu))


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_read_and_write_bring_registers_as_they_are_on_the_wire() -> None:
    async def work() -> None:
        async with Peer(honest) as peer:
            port = TcpPort("127.0.0.1", peer.port)
            await port.connect()
            assert await port.read(1, 40000, 3) == struct.pack(">HHH", 40000, 40001, 40002)
            await port.write(7, 5, b"\x12\x34")
            assert (
                peer.requests[-1][6:] == b"\x07\x10\x00\x05\x00\x01\x02\x12\x34"
            )  # one register, function 16
            await port.close()
            await port.close()
            assert not port.connected

    run(work())


@pytest.mark.parametrize(
    ("code", "kind"), [(2, DeviceRefusedError), (6, DeviceBusyError), (5, DeviceBusyError)]
)
def test_an_exception_answer_names_request_and_code(code, kind) -> None:
    def refuse(peer: Peer, frame: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(frame, bytes((frame[7] | 0x80, code))))

    async def work() -> None:
        async with Peer(refuse) as peer:
            port = TcpPort("127.0.0.1", peer.port)
            await port.connect()
            with pytest.raises(kind, match=rf"unit 3: read 2 registers at 17.*{code}") as caught:
                await port.read(3, 17, 2)
            assert caught.value.code == code
            await port.close()

    run(work())


def test_a_connection_lost_in_mid_request_is_noticed_at_once() -> None:
    """pymodbus alone notices after (1 + retries) time-outs; here the time-out is 5 s."""

    def reset(peer: Peer, frame: bytes, writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async def work() -> None:
        async with Peer(reset) as peer:
            port = TcpPort("127.0.0.1", peer.port, LinkTiming(timeout_s=5))
            await port.connect()
            start = time.perf_counter()
            with pytest.raises(LinkDownError, match="lost"):
                await port.read(1, 0, 1)
            assert time.perf_counter() - start < 0.5
            assert not port.connected
            await port.close()

    run(work())


def test_reconnecting_keeps_exactly_one_connection() -> None:
    dropping = [True]

    def sometimes(peer: Peer, frame: bytes, writer: asyncio.StreamWriter) -> None:
        if dropping[0]:
            writer.transport.abort()
        else:
            honest(peer, frame, writer)

    async def work() -> None:
        async with Peer(sometimes) as peer:
            port = TcpPort("127.0.0.1", peer.port)
            for _ in range(3):
                await port.connect()
                await asyncio.gather(port.connect(), port.connect())
                with pytest.raises(LinkDownError):
                    await port.read(1, 0, 1)
            dropping[0] = False
            await asyncio.gather(*(port.connect() for _ in range(5)))
            assert await port.read(1, 9, 1) == b"\x00\x09"
            await asyncio.sleep(0.3)  # longer than pymodbus' own reconnection would wait
            assert (peer.open, peer.accepted) == (1, 4)
            await port.close()
            await asyncio.sleep(0.05)
            assert peer.open == 0

    run(work())


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    async def late(peer: Peer, frame: bytes, writer: asyncio.StreamWriter) -> None:
        if len(peer.requests) == 1:
            await asyncio.sleep(0.7)
        honest(peer, frame, writer)

    async def work() -> None:
        async with Peer(late) as peer:
            port = TcpPort("127.0.0.1", peer.port, LinkTiming(timeout_s=0.6))
            await port.connect()
            with pytest.raises(RequestTimeoutError, match=r"0\.6 s"):
                await port.read(1, 111, 1)
            assert await port.read(1, 222, 1) == (222).to_bytes(2, "big")
            assert await port.read(1, 333, 1) == (333).to_bytes(2, "big")
            await port.close()

    run(work())


def test_a_mute_device_times_out_once_and_the_link_stays() -> None:
    mute = [True]

    def maybe(peer: Peer, frame: bytes, writer: asyncio.StreamWriter) -> None:
        if not mute[0]:
            honest(peer, frame, writer)

    async def work() -> None:
        async with Peer(maybe) as peer:
            port = TcpPort("127.0.0.1", peer.port, LinkTiming(timeout_s=0.2))
            await port.connect()
            for _ in range(6):  # pymodbus would close the link after a few
                with pytest.raises(RequestTimeoutError):
                    await port.write(1, 0, b"\0\0")
            mute[0] = False
            assert await port.read(1, 1, 1) == b"\0\1"
            assert peer.accepted == 1
            await port.close()

    run(work())


def test_nobody_listening_is_a_link_error_that_names_the_address() -> None:
    async def work() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = TcpPort("127.0.0.1", unused.getsockname()[1], LinkTiming(timeout_s=0.5))
            with pytest.raises(LinkDownError, match=r"tcp://127\.0\.0\.1"):
                await port.connect()
            with pytest.raises(LinkDownError, match="not connected"):
                await port.read(1, 0, 1)

    run(work())


def test_counts_beyond_the_protocol_never_reach_the_wire() -> None:
    async def work() -> None:
        async with Peer(honest) as peer:
            port = TcpPort("127.0.0.1", peer.port)
            await port.connect()
            for count in (0, 126):
                with pytest.raises(BadAnswerError):
                    await port.read(1, 0, count)
            for data in (b"", b"\1", bytes(248)):
                with pytest.raises(BadAnswerError):
                    await port.write(1, 0, data)
            assert peer.requests == []
            await port.close()

    run(work())


def test_the_gap_between_requests_is_kept() -> None:
    async def work() -> None:
        async with Peer(honest) as peer:
            port = TcpPort("127.0.0.1", peer.port, LinkTiming(gap_s=0.05, connect_delay_s=0.05))
            start = time.perf_counter()
            await port.connect()
            for _ in range(3):
                await port.read(1, 0, 1)
            assert time.perf_counter() - start >= 0.15 - 1e-3
            await port.close()

    run(work())


def test_one_register_is_written_with_function_6_where_the_device_knows_no_other() -> None:
    def old(peer: Peer, frame: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(frame, frame[7:12] if frame[7] == 6 else bytes((frame[7] | 0x80, 1))))

    async def main() -> None:
        async with Peer(old) as peer:
            port = TcpPort("127.0.0.1", peer.port, LinkTiming(single_writes=True))
            await port.connect()
            await port.write(255, 5004, b"\x27\x10")
            assert peer.requests[-1][6:] == bytes.fromhex("ff06138c2710")
            with pytest.raises(DeviceRefusedError):
                await port.write(255, 5004, bytes(4))  # two registers need function 16
            await port.close()

    run(main())

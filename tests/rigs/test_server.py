"""Raw-wire conformance of the emulator's server: bytes in, bytes out, no Modbus library between."""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from rigs.emulator.server import Connections, Refused, answer, serve_tcp


class Store:
    """Registers 0..199, where register n holds 1000 * unit + n; 150 and up are read only."""

    def __init__(self, unit: int) -> None:
        self.data = bytearray(struct.pack(">200H", *(1000 * unit + n for n in range(200))))

    def read(self, address: int, count: int) -> bytes:
        if address + count > 200:
            raise Refused(2)
        return bytes(self.data[2 * address : 2 * (address + count)])

    def write(self, address: int, data: bytes) -> None:
        if address + len(data) // 2 > 150:
            raise Refused(2)
        self.data[2 * address : 2 * address + len(data)] = data


@pytest.fixture
def server() -> Iterator[tuple[int, dict[int, Store]]]:
    units = {1: Store(1), 3: Store(3)}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    connections = Connections()
    listening, port = asyncio.run_coroutine_threadsafe(
        serve_tcp(units, "127.0.0.1", 0, connections), loop
    ).result()
    yield port, units

    async def end() -> None:
        listening.close()
        for transport in list(connections.open):
            transport.abort()
        await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def request(tid: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", tid, 0, len(pdu) + 1, unit) + pdu


def read_request(tid: int, unit: int, address: int, count: int, function: int = 3) -> bytes:
    return request(tid, unit, struct.pack(">BHH", function, address, count))


def receive(sock: socket.socket) -> tuple[int, int, bytes]:
    head = b""
    while len(head) < 7:
        more = sock.recv(7 - len(head))
        if not more:
            raise EOFError
        head += more
    tid, protocol, length, unit = struct.unpack(">HHHB", head)
    assert protocol == 0
    body = b""
    while len(body) < length - 1:
        body += sock.recv(length - 1 - len(body))
    return tid, unit, body


@pytest.fixture
def wire(server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server[0]), 2) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def test_two_requests_in_one_segment_get_two_answers_in_order(wire) -> None:
    wire.sendall(read_request(1, 1, 10, 1) + read_request(2, 3, 20, 1))
    assert receive(wire) == (1, 1, b"\x03\x02" + struct.pack(">H", 1010))
    assert receive(wire) == (2, 3, b"\x03\x02" + struct.pack(">H", 3020))


def test_a_request_in_single_bytes_is_answered_once(wire) -> None:
    for byte in read_request(7, 1, 0, 2):
        wire.sendall(bytes((byte,)))
    assert receive(wire) == (7, 1, b"\x03\x04" + struct.pack(">HH", 1000, 1001))
    wire.settimeout(0.1)
    with pytest.raises(TimeoutError):
        wire.recv(1)


def test_many_pipelined_requests_come_back_with_their_own_data(wire) -> None:
    wire.sendall(b"".join(read_request(t, 1 + 2 * (t % 2), t % 100, 1) for t in range(200)))
    for t in range(200):
        unit = 1 + 2 * (t % 2)
        assert receive(wire) == (t, unit, b"\x03\x02" + struct.pack(">H", 1000 * unit + t % 100))


@pytest.mark.parametrize(
    ("name", "pdu", "unit", "expected"),
    [
        ("unknown unit", struct.pack(">BHH", 3, 0, 1), 9, b"\x83\x0b"),
        ("count 126", struct.pack(">BHH", 3, 0, 126), 1, b"\x83\x03"),
        ("count 0", struct.pack(">BHH", 3, 0, 0), 1, b"\x83\x03"),
        ("address hole", struct.pack(">BHH", 3, 199, 2), 1, b"\x83\x02"),
        ("unknown function", b"\x63\x01\x02", 1, b"\xe3\x01"),
        ("write 124 registers", struct.pack(">BHHB", 16, 0, 124, 248) + bytes(200), 1, b"\x90\x03"),
        ("byte count that lies", struct.pack(">BHHB", 16, 0, 2, 2) + bytes(2), 1, b"\x90\x03"),
        ("read only", struct.pack(">BHHB", 16, 150, 1, 2) + bytes(2), 1, b"\x90\x02"),
        ("request cut short", b"\x03\x00", 1, b"\x83\x03"),
        ("request too long", struct.pack(">BHHH", 3, 0, 1, 0), 1, b"\x83\x03"),
        ("function alone", b"\x10", 1, b"\x90\x03"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_right_exception(wire, name, pdu, unit, expected) -> None:
    wire.sendall(request(5, unit, pdu))
    assert receive(wire) == (5, unit, expected)
    wire.sendall(read_request(6, 1, 0, 1))  # and the connection lives
    assert receive(wire) == (6, 1, b"\x03\x02" + struct.pack(">H", 1000))


@pytest.mark.parametrize("write", [struct.pack(">BHHB", 16, 5, 1, 2), struct.pack(">BH", 6, 5)])
def test_read_after_write_returns_the_written_value_at_once(wire, write) -> None:
    wire.sendall(request(1, 1, write + b"\xbe\xef") + read_request(2, 1, 5, 1))
    assert receive(wire)[2][0] == write[0]
    assert receive(wire) == (2, 1, b"\x03\x02\xbe\xef")


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", bytes(30), b"\x00\x01\x00\x00\xff\xff\x01\x03"]
)
def test_garbage_ends_the_connection_and_the_next_one_is_served(server, garbage) -> None:
    with socket.create_connection(("127.0.0.1", server[0]), 2) as sock:
        sock.sendall(garbage)
        assert sock.recv(100) == b""
    with socket.create_connection(("127.0.0.1", server[0]), 2) as sock:
        sock.sendall(read_request(1, 1, 0, 1))
        assert receive(sock)[0] == 1


def test_a_client_that_goes_in_mid_request_harms_nobody(server, wire) -> None:
    with socket.create_connection(("127.0.0.1", server[0]), 2) as other:
        other.sendall(read_request(1, 1, 0, 1)[:5])
    wire.sendall(read_request(2, 1, 0, 1))
    assert receive(wire)[0] == 2


@pytest.mark.parametrize("frames", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_fuzzed_frames_never_crash_it_or_get_a_wrong_answer(server, frames) -> None:
    """Random bodies in valid envelopes: every answer has the request's id, unit and function, or is an
    exception."""
    rng = random.Random(20261121)
    with socket.create_connection(("127.0.0.1", server[0]), 5) as sock:
        for start in range(0, frames, 100):
            batch = []
            for tid in range(start, start + 100):
                pdu = bytes((rng.choice((3, 4, 6, 16, rng.randrange(256))),)) + rng.randbytes(
                    rng.randrange(1, 12)
                )
                batch.append((tid & 0xFFFF, rng.choice((1, 3, rng.randrange(256))), pdu))
            sock.sendall(b"".join(request(*b) for b in batch))
            for tid, unit, pdu in batch:
                got_tid, got_unit, body = receive(sock)
                assert (got_tid, got_unit) == (tid, unit)
                assert body[0] in (pdu[0], pdu[0] | 0x80)
                if body[0] & 0x80 and not pdu[0] & 0x80:
                    assert body[1] in (1, 2, 3, 11)
                elif body[0] in (3, 4):
                    assert len(body) == 2 + body[1] == 2 + 2 * int.from_bytes(pdu[3:5], "big")
        sock.sendall(read_request(1, 3, 199, 1))
        assert receive(sock) == (1, 3, b"\x03\x02" + struct.pack(">H", 3199))


def test_an_answer_is_a_pure_function_of_the_request() -> None:
    assert answer({1: Store(1)}, 1, struct.pack(">BHH", 3, 1, 1)) == b"\x03\x02" + struct.pack(">H", 1001)

"""The part of the conformance list about discovery, links and models: DEV, TCP, RTU, MOD."""

import asyncio
import socket
import struct
import time

from adapters.modbus.errors import ModbusError
from adapters.modbus.rtu import exchange
from rigs.conformance import NotApplicable, Subject, Test, require
from rigs.trial_points import may_be_tried

_WRITABLE = (123, 704, 705, 706, 711, 712)
"""Models whose adjustable points are tried, as far as ``rigs.trial_points`` lists them."""
_NOT_TRIED = ("Adpt", "Crv[0].", "Ctl[0].")
_QUIET_S, _ANSWER_S, _APART_S = 0.2, 3.0, 0.05


async def _dev_1(s: Subject) -> str:
    models = s.device.models
    require(bool(models) and models[0].model_id == 1, "the first model is not the common model")
    end = await s.link.read(s.where.unit, models[-1].address + models[-1].length, 2)
    require(end == b"\xff\xff\x00\x00", f"the end marker is {end.hex()}")
    return f"marker at {s.device.base}, {len(models)} models, end marker"


async def _dev_2(s: Subject) -> str:
    who = await s.device.identity()
    require(bool(who.maker and who.model and who.serial), f"maker, model or serial is empty: {who}")
    return str(who)


def _marker(s: Subject, tid: int) -> bytes:
    return struct.pack(">HHHBBHH", tid, 0, 6, s.where.unit, 3, s.device.base, 2)


def _over_tcp(s: Subject, segments: tuple[bytes, ...], expected: int) -> list[bytes]:
    """Send segments over a fresh socket; return as many answers of a marker as come, at most ``expected``."""
    if s.where.device:
        raise NotApplicable("the device is reached over a serial line")
    size, data = 13, b""
    with socket.create_connection((s.where.host, s.where.port), _ANSWER_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i, segment in enumerate(segments):
            if i:
                time.sleep(_APART_S)
            sock.sendall(segment)
        try:
            while len(data) < expected * size and (more := sock.recv(300)):
                data += more
        except TimeoutError:
            pass
    return [data[i : i + size] for i in range(0, len(data), size)]


async def _tcp_1(s: Subject) -> str:
    answers = await asyncio.to_thread(_over_tcp, s, (_marker(s, 4711),), 1)
    require([a[:2] + a[9:] for a in answers] == [b"\x12\x67SunS"], f"answers: {_hex(answers)}")
    return "one request, one answer"


async def _tcp_2(s: Subject) -> str:
    request = _marker(s, 2)
    answers = await asyncio.to_thread(_over_tcp, s, (request[:5], request[5:9], request[9:]), 1)
    require([a[9:] for a in answers] == [b"SunS"], f"answers: {_hex(answers)}")
    return "a request in three segments is answered"


async def _tcp_3(s: Subject) -> str:
    answers = await asyncio.to_thread(_over_tcp, s, (_marker(s, 1) + _marker(s, 2),), 2)
    require(
        [a[:2] for a in answers] == [b"\0\1", b"\0\2"],
        f"{len(answers)} answers to two requests in one segment",
    )
    return "two requests in one segment get two answers"


async def _over_rtu(s: Subject, *segments: bytes) -> bytes:
    """Send segments on the line with a pause between them; return what comes."""
    if not s.where.device:
        raise NotApplicable("the device is reached over TCP")
    await s.link.close()
    w = s.where
    return await asyncio.to_thread(exchange, w.device, w.baudrate, w.parity, segments, _QUIET_S)


def _serial_marker(s: Subject) -> bytes:
    return struct.pack(">BBHH", s.where.unit, 3, s.device.base, 2)


def _is_marker(s: Subject, answer: bytes) -> bool:
    return answer == bytes((s.where.unit, 3, 4)) + b"SunS"


async def _rtu_1(s: Subject) -> str:
    answer = await _over_rtu(s, _serial_marker(s))
    require(_is_marker(s, answer), f"answer: {answer.hex() or 'none'}")
    return "one request, one answer with its checksum"


async def _rtu_2(s: Subject) -> str:
    answer = await _over_rtu(s, _serial_marker(s))
    require(_is_marker(s, answer), f"no marker at {s.where.baudrate} baud: {answer.hex() or 'none'}")
    raise NotApplicable(f"it answers at {s.where.baudrate} baud; another rate is set on the device, by hand")


async def _rtu_3(s: Subject) -> str:
    answer = await _over_rtu(s, _serial_marker(s)[:4], _serial_marker(s))
    require(_is_marker(s, answer), f"after half a request: {answer.hex() or 'none'}")
    return "half a request is dropped, the next whole one answered"


def _hex(answers: list[bytes]) -> str:
    return ", ".join(a.hex() for a in answers) or "none"


async def _mod_1(s: Subject) -> str:
    wrong = [
        f"model {m.model_id} has {m.length} registers, its points need {m.layout.length}"
        for m in s.device.models
        if m.layout is not None and m.layout.length != m.length and (m.model_id, m.length) != (1, 67)
    ]
    require(not wrong, "; ".join(wrong))
    return "every known model has the length of its definition"


async def _mod_2(s: Subject) -> str:
    read = 0
    for model in s.device.models:
        if model.layout is not None:
            for at in range(0, model.length, 125):
                await s.link.read(s.where.unit, model.address + at, min(125, model.length - at))
            read += 1
    return f"{read} models read whole"


async def _mod_3(s: Subject) -> str:
    s.must_write()
    tried = 0
    for model_id in _WRITABLE:
        if not s.device.has(model_id):
            continue
        held = await s.device.read(model_id)
        for name, value in held.items():
            point = s.device.layout(model_id).point(name)
            if not point.writable or not isinstance(value, float) or name.startswith(_NOT_TRIED):
                continue
            if not may_be_tried(model_id, name):
                continue
            await _rewrite(s, model_id, name, value)
            tried += 1
    if not tried:
        raise NotApplicable("no adjustable points in models " + ", ".join(map(str, _WRITABLE)))
    await _moved(s)
    return f"{tried} adjustable points take their own value and read back at once, a set point another one"


async def _rewrite(s: Subject, model_id: int, name: str, value: float) -> None:
    """Write what a point holds, which changes nothing, and read it at once."""
    await s.write(model_id, name, value)
    after = (await s.device.read(model_id, name))[name]
    require(after == value, f"{model_id}.{name} reads {after} after {value} was written")


async def _moved(s: Subject) -> None:
    """Write another value to a set point and put it back."""
    for model_id, name in ((704, "WSet"), (123, "WMaxLimPct")):
        if not s.device.has(model_id):
            continue
        before = (await s.device.read(model_id, name))[name]
        if not isinstance(before, float):
            continue
        held = await s.write(model_id, name, before + 1 if before < 1 else before - 1)
        after = (await s.device.read(model_id, name))[name]
        await s.put_back(model_id, name)
        require(after == held, f"{model_id}.{name} reads {after} after {held} was written")
        return
    raise ModbusError("no set point in models 704 and 123")


LINK_TESTS: tuple[tuple[str, str, Test], ...] = (
    ("DEV-1", "general discovery", _dev_1),
    ("DEV-2", "model 1 support", _dev_2),
    ("RTU-1", "RTU interface", _rtu_1),
    ("RTU-2", "baud rate", _rtu_2),
    ("RTU-3", "partial request", _rtu_3),
    ("TCP-1", "TCP interface", _tcp_1),
    ("TCP-2", "partial request", _tcp_2),
    ("TCP-3", "multiple requests in a packet", _tcp_3),
    ("MOD-1", "model implementation", _mod_1),
    ("MOD-2", "model read", _mod_2),
    ("MOD-3", "point write", _mod_3),
)

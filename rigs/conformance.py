"""The public SunSpec conformance list, run against any device: pass, fail, or not applicable with the reason.

Source: SunSpec Modbus conformance test procedures (DEV, MOD, TCP, RTU, CRV, REV). What writes is only run
when the caller allows writing, and restores what it found.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from adapters.modbus.errors import DeviceRefusedError, ModbusError
from adapters.modbus.port import LinkTiming
from adapters.modbus.sunspec import SunSpecDevice, discover
from adapters.modbus.tcp import TcpPort

Verdict = Literal["pass", "fail", "not applicable"]


@dataclass(frozen=True)
class ConformanceResult:
    """One test of the list."""

    name: str
    title: str
    verdict: Verdict
    detail: str = ""


class _NotApplicable(Exception):  # noqa: N818 - a verdict, not an error
    pass


@dataclass
class _Subject:
    host: str
    port: int
    unit: int
    device: SunSpecDevice
    may_write: bool

    def raw(self, *segments: bytes, answers: int = 1) -> list[bytes]:
        """Send segments over a fresh socket, return whole answers."""
        with socket.create_connection((self.host, self.port), 3) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for segment in segments:
                sock.sendall(segment)
            return [_receive(sock) for _ in range(answers)]

    def marker(self, tid: int) -> bytes:
        """Return a request for the two marker registers."""
        return struct.pack(">HHHBBHH", tid, 0, 6, self.unit, 3, self.device.base, 2)


def _receive(sock: socket.socket) -> bytes:
    data = b""
    while len(data) < 6 or len(data) < 6 + int.from_bytes(data[4:6], "big"):
        more = sock.recv(300)
        if not more:
            raise ModbusError("the device closed the connection")
        data += more
    length = 6 + int.from_bytes(data[4:6], "big")
    if len(data) > length:
        raise ModbusError("more bytes came than one answer has")
    return data


async def _dev_1(s: _Subject) -> str:
    who = await s.device.identity()
    _require(s.device.models[0].model_id == 1, "the first model is not the common model")
    _require(bool(who.maker and who.model and who.serial), f"maker, model or serial is empty: {who}")
    return str(who)


async def _dev_2(s: _Subject) -> str:
    last = s.device.models[-1]
    end = await s.device.port.read(s.unit, last.address + last.length, 2)
    _require(end == b"\xff\xff\x00\x00", f"end marker is {end.hex()}")
    return f"{len(s.device.models)} models"


async def _mod_1(s: _Subject) -> str:
    wrong = []
    for model in s.device.models:
        if model.layout is None:
            continue
        if model.layout.length != model.length and not (model.model_id == 1 and model.length == 67):
            wrong.append(
                f"model {model.model_id} has {model.length} registers, its points need {model.layout.length}"
            )
    _require(not wrong, "; ".join(wrong))
    return "every known model has the length of its definition"


async def _mod_2(s: _Subject) -> str:
    read = 0
    for model in s.device.models:
        if model.layout is not None:
            for at in range(0, model.length, 125):
                await s.device.port.read(s.unit, model.address + at, min(125, model.length - at))
            read += 1
    return f"{read} models read whole"


async def _mod_3(s: _Subject) -> str:
    _may_write(s)
    for model_id, name in ((704, "WSet"), (123, "WMaxLimPct")):
        if not s.device.has(model_id):
            continue
        before = (await s.device.read(model_id, name))[name]
        if not isinstance(before, float):
            continue
        held = await s.device.write(model_id, name, before + 1 if before < 1 else before - 1)
        after = (await s.device.read(model_id, name))[name]
        await s.device.write(model_id, name, before)
        _require(after == held, f"{name} reads {after} after {held} was written")
        return f"{model_id}.{name} reads back at once"
    raise _NotApplicable("no writable set point of models 123 and 704")


async def _tcp_1(s: _Subject) -> str:
    (answer,) = await asyncio.to_thread(s.raw, s.marker(4711))
    _require(answer[:2] == b"\x12\x67" and answer[9:] == b"SunS", f"answer {answer.hex()}")
    return "one request, one answer"


async def _tcp_2(s: _Subject) -> str:
    request = s.marker(2)
    (answer,) = await asyncio.to_thread(s.raw, request[:5], request[5:9], request[9:])
    _require(answer[9:] == b"SunS", f"answer {answer.hex()}")
    return "a request in three segments is answered"


async def _tcp_3(s: _Subject) -> str:
    def both() -> list[bytes]:
        with socket.create_connection((s.host, s.port), 3) as sock:
            sock.sendall(s.marker(1) + s.marker(2))
            data = b""
            while len(data) < 2 * 13:
                more = sock.recv(300)
                if not more:
                    break
                data += more
            return [data[i : i + 13] for i in range(0, len(data), 13)]

    try:
        answers = await asyncio.to_thread(both)
    except TimeoutError:
        answers = []
    _require(
        [a[:2] for a in answers] == [b"\0\1", b"\0\2"],
        f"{len(answers)} answers to two requests in one segment",
    )
    return "two requests in one segment get two answers"


async def _rtu(s: _Subject) -> str:
    raise _NotApplicable("the device is reached over TCP")


def _curve_model(s: _Subject) -> int:
    """Return a curve model; the tests of curves write it, and put back what they found."""
    _may_write(s)
    for model_id in (705, 706):
        if s.device.has(model_id):
            return model_id
    raise _NotApplicable("no curve model (705, 706)")


async def _copy(s: _Subject, model_id: int, source: str, target: str) -> None:
    names = [n for n in s.device.layout(model_id).points if n.startswith(source)]
    values = await s.device.read(model_id, *names)
    for name, value in values.items():
        goal = target + name[len(source) :]
        if isinstance(value, float) and s.device.layout(model_id).point(goal).writable:
            await s.device.write(model_id, goal, value)


async def _crv_1(s: _Subject) -> str:
    model_id = _curve_model(s)
    count = (await s.device.read(model_id, "NCrv"))["NCrv"]
    if not isinstance(count, float) or count < 2:
        raise _NotApplicable("a single curve, which is the one in force")
    last = int(count)
    await _copy(s, model_id, "Crv[0].", f"Crv[{last - 1}].")  # what is in force: adopting it changes nothing
    await s.device.write(model_id, "AdptCrvReq", last)
    result = await s.device.read(model_id, "AdptCrvRslt", "AdptCrvReq")
    _require(result["AdptCrvRslt"] == 1, f"AdptCrvRslt is {result['AdptCrvRslt']} after curve {last}")
    return f"model {model_id} adopts curve {last} of {last}"


async def _crv_2(s: _Subject) -> str:
    model_id = _curve_model(s)
    try:
        await s.device.write(model_id, "Crv[0].ActPt", 2)
    except DeviceRefusedError:
        return f"the curve in force of model {model_id} cannot be written"
    raise ModbusError("the curve in force was overwritten in place")


async def _crv_3(s: _Subject) -> str:
    model_id = _curve_model(s)
    found = await s.device.read(model_id, "NCrv", "NPt", "Crv[0].ActPt")
    count, most = found["NCrv"], found["NPt"]
    if not isinstance(count, float) or not isinstance(most, float) or count < 2:
        raise _NotApplicable("a single curve, which is the one in force")
    last = int(count)
    try:
        await s.device.write(model_id, f"Crv[{last - 1}].ActPt", most + 1)
        await s.device.write(model_id, "AdptCrvReq", last)
        result = (await s.device.read(model_id, "AdptCrvRslt"))["AdptCrvRslt"]
    except DeviceRefusedError:
        result = 2.0
    finally:
        await _copy(s, model_id, "Crv[0].", f"Crv[{last - 1}].")
    now = (await s.device.read(model_id, "Crv[0].ActPt"))["Crv[0].ActPt"]
    _require(result == 2 and now == found["Crv[0].ActPt"], f"AdptCrvRslt {result}, {now} points in force")
    return "a curve with too many points is refused, the old one stays"


async def _rev(s: _Subject) -> str:
    _may_write(s)
    if not s.device.has(704):
        raise _NotApplicable("no model 704")
    before = await s.device.read(704, "WSetEna", "WSet", "WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms")
    device = s.device
    for name, value in (("WSet", 0), ("WSetRvrt", 0), ("WSetEnaRvrt", 0), ("WSetRvrtTms", 2), ("WSetEna", 1)):
        await device.write(704, name, value)
    running = (await device.read(704, "WSetEna"))["WSetEna"]
    await asyncio.sleep(1.2)
    await device.write(704, "WSet", 0)  # starts the timer anew
    await asyncio.sleep(1.2)
    restarted = (await device.read(704, "WSetEna"))["WSetEna"]
    await asyncio.sleep(1.5)
    ended = (await device.read(704, "WSetEna"))["WSetEna"]
    for name, found in before.items():
        if isinstance(found, float):
            await device.write(704, name, found)
    _require(
        (running, restarted, ended) == (1, 1, 0),
        f"enabled: {running}, {restarted} after a write, {ended} at the end",
    )
    return "runs out, and a write starts it anew"


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise ModbusError(text)


def _may_write(s: _Subject) -> None:
    if not s.may_write:
        raise _NotApplicable("writes; allow it with --write")


_TESTS: tuple[tuple[str, str, Callable[[_Subject], Awaitable[str]]], ...] = (
    ("DEV-1", "common model and identity", _dev_1),
    ("DEV-2", "end of the model chain", _dev_2),
    ("MOD-1", "model lengths", _mod_1),
    ("MOD-2", "every model can be read", _mod_2),
    ("MOD-3", "read after write", _mod_3),
    ("TCP-1", "single request", _tcp_1),
    ("TCP-2", "partial request", _tcp_2),
    ("TCP-3", "multiple requests in a packet", _tcp_3),
    ("RTU-1", "serial request", _rtu),
    ("CRV-1", "curve adoption", _crv_1),
    ("CRV-2", "the curve in force is read only", _crv_2),
    ("CRV-3", "an unsound curve is refused", _crv_3),
    ("REV-1", "reversion timer", _rev),
)


def conformance(host: str, port: int, unit: int = 1, *, may_write: bool = False) -> list[ConformanceResult]:
    """Run the list against one device.

    Raises:
        ModbusError: nobody answers, or no SunSpec device does.
    """
    return asyncio.run(_run(host, port, unit, may_write))


async def _run(host: str, port: int, unit: int, may_write: bool) -> list[ConformanceResult]:
    link = TcpPort(host, port, LinkTiming(timeout_s=2.0))
    await link.connect()
    try:
        subject = _Subject(host, port, unit, await discover(link, unit), may_write)
        results = []
        for name, title, test in _TESTS:
            try:
                results.append(ConformanceResult(name, title, "pass", await test(subject)))
            except _NotApplicable as reason:
                results.append(ConformanceResult(name, title, "not applicable", str(reason)))
            except (ModbusError, DeviceRefusedError, OSError) as error:
                results.append(ConformanceResult(name, title, "fail", str(error) or type(error).__name__))
            await link.connect()
        return results
    finally:
        await link.close()

"""Faults on a real link: in our own end, refused where they would need the device, and lifted to make safe."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from adapters.modbus.errors import DeviceBusyError, LinkDownError, RequestTimeoutError
from adapters.modbus.port import LinkTiming
from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.server import Connections, ModbusTcpProtocol, serve_tcp
from rigs.errors import RigError
from rigs.faults import KINDS, Fault
from rigs.link_tap import LinkTap
from rigs.open_bench import open_bench

PV = RoleSpec("h.pv", "pv_inverter", 8000.0)
HARMLESS = ("mute", "late", "reset", "kick", "busy")


class Link:
    """A port that answers at once, and counts what leaves."""

    name, timing = "link", LinkTiming(timeout_s=0.01)

    def __init__(self) -> None:
        self.connected, self.sent = True, []

    async def connect(self) -> None:
        self.connected = True

    async def close(self) -> None:
        self.connected = False

    async def read(self, unit, address, count, table="holding") -> bytes:
        self.sent.append(("read", address))
        return bytes(2 * count)

    async def write(self, unit, address, data) -> None:
        self.sent.append(("write", address))


def tried(kind: str, value: float = 1.0, lifted: bool = False, until_s: float = 100.0) -> SimpleNamespace:
    """A read and a write under a fault."""

    async def main() -> SimpleNamespace:
        link, errors = Link(), []
        tap = LinkTap(link)  # type: ignore[arg-type]
        tap.schedule([Fault("r", kind, 0, until_s, value)])  # type: ignore[arg-type]
        for ask in (lambda: tap.read(1, 5, 2), lambda: tap.write(1, 9, b"\0\0")):
            await tap.connect()
            try:
                if lifted:
                    with tap.lifted():
                        await ask()
                else:
                    await ask()
                errors.append(None)
            except Exception as error:
                errors.append(type(error))
        return SimpleNamespace(errors=errors, sent=link.sent, connected=link.connected)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "value", "error", "leaves", "stands"),
    [
        ("mute", 1, RequestTimeoutError, False, True),
        ("busy", 1, DeviceBusyError, False, True),
        ("late", 60, RequestTimeoutError, True, True),
        ("late", 0.001, None, True, True),
        ("reset", 1, LinkDownError, True, False),
        ("kick", 1, None, True, False),
    ],
)
def test_each_fault_costs_what_it_says_and_sends_nothing_on_top(kind, value, error, leaves, stands) -> None:
    done = tried(kind, value)
    assert done.errors == [error, error]
    assert done.sent == ([("read", 5), ("write", 9)] if leaves else [])
    assert done.connected is stands


@pytest.mark.parametrize("kind", HARMLESS)
def test_making_safe_passes_every_fault_and_a_fault_that_is_over_is_none(kind) -> None:
    for done in (tried(kind, 60, lifted=True), tried(kind, 60, until_s=1e-9)):
        assert done.errors == [None, None]
        assert done.sent == [("read", 5), ("write", 9)]
        assert done.connected


@pytest.fixture
def inverter():
    """A device that knows nothing of the harness, as in a lab: image, port, and every request that it heard."""
    device = build(EmulatorConfig("h", "pv_inverter", 8000.0, serial="1", model="m", clock="wall"))
    heard: list[bytes] = []

    class Listening(ModbusTcpProtocol):
        def data_received(self, data: bytes) -> None:
            heard.append(data)
            super().data_received(data)

    loop, connections = asyncio.new_event_loop(), Connections()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = serve_tcp({1: device.image}, "127.0.0.1", 0, connections, Listening)
    server, port = asyncio.run_coroutine_threadsafe(serving, loop).result()
    yield SimpleNamespace(device=device, port=port, heard=heard)

    async def end() -> None:
        server.close()
        connections.drop()
        await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def opened(tmp_path, port: int, armed: bool = False):
    path = tmp_path / "bench.yaml"
    path.write_text(
        f"bench: real\ndevices:\n  h.pv: {{driver: modbus, host: 127.0.0.1, port: {port}, poll_s: 0.05, mode: shadow, "
        "reversion_s: 600, limits: {p_gen_w: [0, 8000]}, safe: {p_set_w: 4000}, "
        "identity: {maker: p2p-grid-twin, model: m, serial: '1'}, "
        "no_reversion_because: the test has no time for it}\n"
    )
    return open_bench(path, [PV], arm={"h.pv": 600} if armed else {}, state=tmp_path / "state")


def until(bench, reached) -> None:
    end_s = time.monotonic() + 30
    while not reached(bench.step(0, 1, {PV.role: Command(6000)}, {PV.role: Ambient()})[PV.role]):
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_fault_of_a_real_link_is_noticed_and_the_device_is_still_made_safe(tmp_path, inverter) -> None:
    """Busy until the end of the run: no set point passes any more, but the safe value does."""
    with opened(tmp_path, inverter.port, armed=True) as bench:
        until(bench, lambda s: s.quality is Quality.GOOD)
        until(bench, lambda s: inverter.device.image.get(123, "WMaxLimPct") == 75)
        bench.schedule([Fault(PV.role, "busy", 0, 1000)])
        until(bench, lambda s: s.quality is Quality.BAD and "refused with 6" in s.note)
        (finding,) = bench.findings()
        assert finding.notice and finding.believed_wrong == 0
    assert inverter.device.image.get(123, "WMaxLimPct") == 50


def test_what_needs_the_device_is_refused_by_name_and_nothing_of_it_is_sent(tmp_path, inverter) -> None:
    with opened(tmp_path, inverter.port) as bench:
        for kind in sorted(set(KINDS) - set(HARMLESS)):
            with pytest.raises(
                RigError, match=rf"h\.pv is a real device, .* {kind}: .*mute, late, reset, kick, busy"
            ):
                bench.schedule([Fault(PV.role, kind, 0, 1)])  # type: ignore[arg-type]
    assert not [frame for frame in inverter.heard if frame[7] not in (3, 4)]

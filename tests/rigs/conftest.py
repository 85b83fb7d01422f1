"""Benches for tests: written to a temporary file, as a user writes them."""

import asyncio
import threading
from pathlib import Path

import pytest

from rigs.conformance import Where
from rigs.device import RoleSpec
from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.links import RtuServer
from rigs.emulator.server import Connections, ModbusTcpProtocol, serve_tcp

BATTERY = RoleSpec("house_1.battery", "battery", 5000.0, 10000.0, 0.5, 0.95)
PV = RoleSpec("house_2.pv", "pv_inverter", 8000.0)
ROLES = (BATTERY, PV)


@pytest.fixture
def bench_text():
    def text(driver: str = "emulated", mode: str = "armed", extra: str = "", roles=ROLES) -> str:
        lines = ["bench: test", "coupling: quasi_static", "devices:"]
        for spec in roles:
            lines += [f"  {spec.role}:", f"    driver: {driver}", f"    mode: {mode}"]
            lines += [f"    {line}" for line in extra.splitlines() if line]
        return "\n".join(lines) + "\n"

    return text


@pytest.fixture
def write_bench(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "bench.yaml"
        path.write_text(text)
        return path

    return write


class Served:
    """A battery in a thread. Its clock runs a quarter of a second with every look at model 704, so that timers run out
    without anybody having to wait.
    """

    def __init__(self, protocol=ModbusTcpProtocol, serial: bool = False) -> None:
        self.frames: list[bytes] = []  # as they came in over TCP
        config = EmulatorConfig("b", "battery", 5000.0, 10000.0, 0.5, serial="1", model="m", clock="wall")
        self.device = build(config)
        image = self.device.image
        self.read, first, last = image.read, image.address(704, "ID"), image.address(705, "ID")

        def read(address: int, count: int) -> bytes:
            if first <= address < last:
                self.device.advance(0.25)
            return self.read(address, count)

        image.read = read
        self.loop, self.connections = asyncio.new_event_loop(), Connections()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.line, self.server, self.port = None, None, 0
        asyncio.run_coroutine_threadsafe(self._open(protocol, serial), self.loop).result()

    async def _open(self, protocol, serial: bool) -> None:
        units = {1: self.device.image}
        if serial:
            self.line = RtuServer(units)
        else:
            frames = self.frames

            class Recording(protocol):
                def data_received(self, data: bytes) -> None:
                    frames.append(data)
                    super().data_received(data)

            self.server, self.port = await serve_tcp(units, "127.0.0.1", 0, self.connections, Recording)

    def written(self) -> list[tuple[int, str]]:
        """Model and point of every write frame, in order."""
        image, found = self.device.image, []
        for frame in self.frames:
            if len(frame) > 9 and frame[7] in (5, 6, 15, 16, 22, 23):
                (model, name), _ = image._by_byte[2 * (int.from_bytes(frame[8:10], "big") - image.base)]
                found.append((model, name))
        return found

    @property
    def where(self) -> Where:
        if self.line is not None:
            return Where(device=self.line.path, baudrate=115200, parity="N")
        return Where("127.0.0.1", self.port)

    def close(self) -> None:
        async def end() -> None:
            (self.server or self.line).close()
            self.connections.drop()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def serve():
    open_now = []

    def start(**how) -> Served:
        open_now.append(Served(**how))
        return open_now[-1]

    yield start
    for served in open_now:
        served.close()

"""Rigs: the emulator's server against pymodbus', a step of emulated devices against memory, polling,
pacing."""

import asyncio
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from benchmarks import Row
from rigs.bench_file import nameplate_roles
from rigs.device import Ambient, Command
from rigs.emulator.config import EmulatorConfig
from rigs.emulator_process import EmulatorProcess
from rigs.open_bench import open_bench
from rigs.pacer import Pacer

REQUESTS, STEPS, DEVICES, POLL_S = 6000, 200, 100, 3.0

PYMODBUS = """
import asyncio
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
async def main():
    device = SimDevice(id=1, simdata=[SimData(0, values=[7] * 200, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print(server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
OURS = """
import asyncio
from rigs.emulator.loop import run
from rigs.emulator.server import Connections, serve_tcp
class Store:
    data = bytes(400)
    def read(self, address, count):
        return self.data[2 * address : 2 * (address + count)]
async def main():
    _, port = await serve_tcp({1: Store()}, "127.0.0.1", 0, Connections())
    print(port, flush=True)
    await asyncio.sleep(60)
    return 0
run(main())
"""


def _cpu_s(pid: int) -> float:
    """CPU time of a process in s, to the nanosecond (Linux)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _server_us(code: str) -> float:
    """CPU per request of 50 registers over ten connections, in microseconds."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
        request = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 50)
        try:
            for rounds, keep in ((30, False), (REQUESTS // 10, True)):
                before_s = _cpu_s(server.pid)
                for _ in range(rounds):
                    for sock in socks:
                        sock.sendall(request)
                    for sock in socks:
                        got = 0
                        while got < 109:
                            got += len(sock.recv(300))
                if keep:
                    return (_cpu_s(server.pid) - before_s) / (rounds * 10) * 1e6
        finally:
            for sock in socks:
                sock.close()
            server.kill()
    raise AssertionError


def _bench_text(driver: str) -> str:
    device = f"driver: {driver}, mode: armed, nameplate: "
    return "bench: b\ndevices:\n" + "".join(
        f"  d{i}: {{{device}{{kind: {kind}, p_max_w: 5000, capacity_wh: {capacity}}}}}\n"
        for i, (kind, capacity) in enumerate((("battery", 10000), ("pv_inverter", 0), ("battery", 10000)))
    )


def _step_ms(driver: str, folder: Path) -> tuple[float, float, float]:
    """Median wall-clock time of one interval with three devices, and mean CPU of harness and of all devices, in
    ms.
    """
    path = folder / f"{driver}.yaml"
    path.write_text(_bench_text(driver))
    roles = nameplate_roles(path)
    times = []
    with open_bench(path, roles) as bench:
        pids = [d.emulator.process.pid for d in bench._wired.values() if d.emulator is not None]
        devices_s = sum(map(_cpu_s, pids))
        cpu_s = time.process_time()
        for k in range(STEPS):
            commands = {r.role: Command(1000.0 + k) for r in roles}
            began_s = time.perf_counter()
            bench.step(k * 900, 900, commands, {"d1": Ambient(4000.0)})
            times.append(time.perf_counter() - began_s)
        cpu_s = time.process_time() - cpu_s
        devices_s = sum(map(_cpu_s, pids)) - devices_s
    return statistics.median(times) * 1e3, cpu_s / STEPS * 1e3, devices_s / STEPS * 1e3


def _poll_percent() -> tuple[float, int]:
    """CPU share of this process while 100 emulated units are polled at 1 Hz, and how many polls came."""

    async def main() -> tuple[float, int]:
        from adapters.modbus.port import LinkTiming
        from adapters.modbus.sunspec import discover
        from adapters.modbus.tcp import TcpPort
        from rigs.measure import SunSpecMeter

        emulator = EmulatorProcess(EmulatorConfig("d", "battery", 5000.0, 10000.0, 0.5, clock="wall"))
        try:
            await emulator.ready()
            meters, ports = [], []
            for _ in range(DEVICES):
                port = TcpPort("127.0.0.1", emulator.port, LinkTiming(timeout_s=5.0))
                await port.connect()
                meter = SunSpecMeter(await discover(port, 1))
                meter.plan()
                meters.append(meter)
                ports.append(port)
            polls = 0
            pacer = Pacer(1.0, asyncio.get_running_loop().time)
            before_s, began_s = time.process_time(), time.perf_counter()
            for k in range(int(POLL_S) + 1):
                await pacer.wait(k)
                if k < POLL_S:
                    polls += len(await asyncio.gather(*(m.read() for m in meters)))
            share = (time.process_time() - before_s) / (time.perf_counter() - began_s)
            for port in ports:
                await port.close()
            return 100 * share, polls
        finally:
            emulator.end()

    return asyncio.run(main())


def _pacer_p99_ms() -> float:
    async def main() -> float:
        pacer = Pacer(0.1, asyncio.get_running_loop().time)
        for k in range(40):
            await pacer.wait(k)
        return pacer.quantile_s(0.99) * 1e3

    return asyncio.run(main())


def run() -> list[Row]:
    """Measure everything once."""
    ours_us, theirs_us = _server_us(OURS), _server_us(PYMODBUS)
    with tempfile.TemporaryDirectory() as folder:
        native, _, _ = _step_ms("memory", Path(folder))
        wired, cpu_ms, devices_ms = _step_ms("emulated", Path(folder))
    share, polls = _poll_percent()
    pacer_ms = _pacer_p99_ms()
    load = SimpleNamespace(now=os.getloadavg()[0], cpus=os.cpu_count())
    cpu = f"CPU: harness {cpu_ms:.2f} ms, devices together {devices_ms:.2f} ms"
    note = f"load of the machine {load.now:.1f} on {load.cpus} processors"
    return [
        Row(
            "server CPU per request of 50 registers", ours_us, "us", "pymodbus' server, same requests", theirs_us,
            theirs_us / ours_us, "<= 25 us", ours_us <= 25, note,
        ),
        Row(
            "interval with three emulated devices", wired, "ms", "the same in memory", native, native / wired,
            "<= 3 ms more", wired - native <= 3, f"{cpu}; {note}",
        ),
        Row(
            f"CPU of the harness polling {DEVICES} devices at 1 Hz", share, "% of core", target="< 10 %",
            met=share < 10, note=f"{polls} polls of two blocks each",
        ),
        Row("pacer offset, p99 at 100 ms steps", pacer_ms, "ms", target="< 5 ms", met=pacer_ms < 5),
    ]  # fmt: skip

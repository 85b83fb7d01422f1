"""One emulated device as a process: ``python -m rigs.emulator --control-fd N`` or ``--config FILE``."""

import argparse
import asyncio
import importlib
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Protocol

from rigs.emulator.config import EmulatorConfig
from rigs.emulator.control import ControlProtocol, Handlers
from rigs.emulator.device import EmulatedDevice
from rigs.emulator.faulty import Faults, FaultyProtocol
from rigs.emulator.lockstep import Clockwork, LockstepProtocol
from rigs.emulator.loop import run
from rigs.emulator.server import Connections, Units, serve_tcp

_WALL_TICK_S = 0.02
_KINDS = {
    "ac_source": ("ac_source", "AcSource"),
    "battery": ("battery", "Battery"),
    "ev_charger": ("ev_charger", "EvCharger"),
    "heat_pump": ("heat_pump", "HeatPump"),
    "interlock": ("interlock", "Interlock"),
    "meter": ("smart_meter", "SmartMeter"),
    "pv_inverter": ("pv_inverter", "PvInverter"),
}


def build(config: EmulatorConfig) -> EmulatedDevice:
    """Return the device that a configuration describes."""
    if config.kind not in _KINDS:
        raise ValueError(f"unknown kind {config.kind!r}; known: {', '.join(sorted(_KINDS))}")
    module, name = _KINDS[config.kind]
    kind = getattr(importlib.import_module(f"rigs.emulator.{module}"), name)  # only what this device needs
    device: EmulatedDevice = kind(config)
    return device


class Closable(Protocol):
    """A server of any link."""

    def close(self) -> None:
        """Stop serving."""
        ...


async def serve(config: EmulatorConfig, control_fd: int | None) -> int:
    """Serve one device until told to stop, or until the control channel closes in lockstep."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    device = build(config)
    faults, connections = Faults(device), Connections(config.most_connections)

    def reboot() -> None:
        device.reboot()
        connections.drop()

    faults.reboot = reboot

    def lost() -> None:
        # in lockstep nobody can move time any more; on wall-clock time the device outlives its harness
        if config.clock == "lockstep":
            stop.set()

    control: ControlProtocol | None = None
    clockwork = Clockwork(device)
    known = Handlers(clockwork, device, faults, stop.set).table()
    if control_fd is not None:
        channel = socket.socket(fileno=control_fd)
        _, control = await loop.create_connection(lambda: ControlProtocol(known, lost), sock=channel)
    try:
        server, port, path = await _listen(config, device, clockwork, faults, connections)
    except OSError as error:
        text = f"{config.role}: cannot listen on {config.host}:{config.port} ({error.strerror})"
        if control is not None:
            control.send({"ok": False, "error": text})
            await asyncio.sleep(0)
        return _fail(text) if control is None else 1
    ready = {"ok": True, "role": config.role, "port": port, "path": path}
    if control is not None:
        control.send(ready)
    else:
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
    await _until(stop, device)
    server.close()
    return 0


async def _until(stop: asyncio.Event, device: EmulatedDevice) -> None:
    """Serve until told to stop; a signal tells, too."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if device.config.clock == "wall":
        await _wall_clock(device, stop)
    else:
        await stop.wait()


async def _listen(
    config: EmulatorConfig,
    device: EmulatedDevice,
    clockwork: Clockwork,
    faults: Faults,
    connections: Connections,
) -> tuple[Closable, int, str]:
    """Open the device's link; returns what to close, the port (sockets) and the path (serial lines)."""
    if config.link == "scpi":
        from rigs.emulator.scpi_server import ScpiProtocol

        interpreter = device.interpreter  # type: ignore[attr-defined] # of the one kind that has this link
        lines = await asyncio.get_running_loop().create_server(
            lambda: ScpiProtocol(interpreter), config.host, config.port
        )
        return lines, lines.sockets[0].getsockname()[1], ""
    units = {config.unit: device.image}
    if config.link == "tcp":

        def protocol(u: Units, c: Connections) -> FaultyProtocol:
            return (
                LockstepProtocol(u, c, faults, clockwork)
                if config.clock == "lockstep"
                else FaultyProtocol(u, c, faults)
            )

        server, port = await serve_tcp(units, config.host, config.port, connections, protocol)
        return server, port, ""
    from adapters.modbus.tls import TlsFiles  # a library that a plain socket does not need
    from rigs.emulator import links

    if config.link == "rtu":
        line = links.RtuServer(units, faults)
        return line, 0, line.path
    files = TlsFiles(Path(config.tls_authorities), Path(config.tls_certificate), Path(config.tls_key))
    server, port = await links.serve_tls(units, config.host, config.port, files, connections, faults)
    return server, port, ""


async def _wall_clock(device: EmulatedDevice, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    while not stop.is_set():
        device.advance(loop.time() - start - device.now_s)
        await asyncio.sleep(_WALL_TICK_S)


def _fail(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 1


def main() -> int:
    """Read the configuration and serve."""
    parser = argparse.ArgumentParser(prog="python -m rigs.emulator")
    parser.add_argument(
        "--control-fd", type=int, help="inherited socket; its first line is the configuration"
    )
    parser.add_argument("--config", type=Path, help="configuration as a JSON file")
    arguments = parser.parse_args()
    if arguments.control_fd is not None:
        config = _first_line(arguments.control_fd)
    elif arguments.config is not None:
        config = json.loads(arguments.config.read_text())
    else:
        parser.error("give --control-fd or --config")
    return run(serve(EmulatorConfig(**config), arguments.control_fd))


def _first_line(fd: int) -> dict[str, Any]:
    line = b""
    with socket.socket(fileno=fd) as channel:
        while not line.endswith(b"\n"):
            byte = channel.recv(1)
            if not byte:
                raise SystemExit("the control channel closed before the configuration came")
            line += byte
        channel.detach()
    config: dict[str, Any] = json.loads(line)
    return config


if __name__ == "__main__":
    sys.exit(main())

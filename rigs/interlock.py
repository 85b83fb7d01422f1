"""Reads the hard-wired interlock of a rig. The wiring protects; this only refuses to work against it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from adapters.modbus.errors import ModbusError
from adapters.modbus.port import LinkTiming, ModbusPort
from adapters.modbus.tcp import TcpPort
from rigs.bench_sections import InterlockSection
from rigs.emulator.config import EmulatorConfig
from rigs.emulator_process import EmulatorProcess
from rigs.errors import RigError
from rigs.wire import WireDevice

INTERLOCK = "interlock"


class Interlock:
    """The interlock of one bench. ``open`` before use; what cannot be read counts as open."""

    def __init__(self, section: InterlockSection, folder: Path) -> None:
        self.section = section
        self.emulator: EmulatorProcess | None = None
        if section.driver == "emulated":
            self.emulator = EmulatorProcess(
                EmulatorConfig(INTERLOCK, INTERLOCK, 1.0, unit=section.unit_id or 1, clock="wall")
            )
        self._port: ModbusPort | None = None
        self._made_safe: set[str] = set()  # since it opened

    async def open(self, armed: Sequence[str]) -> None:
        """Start the emulated input, or prepare the link to the real one, and read it.

        Raises:
            RigError: it is not closed, and these roles would be armed.
        """
        host, port = str(self.section.host), self.section.port
        if self.emulator is not None:
            await self.emulator.ready()
            host, port = self.emulator.config.host, self.emulator.port
        self._port = TcpPort(host, port, LinkTiming(self.section.timeout_s))
        if armed and (trouble := await self.trouble()):
            raise RigError(f"{trouble}; {', '.join(armed)} cannot be armed")

    async def trouble(self) -> str:
        """Return why nothing may be written: the interlock is open or cannot be read; empty while it is closed."""
        assert self._port is not None
        section = self.section
        try:
            await self._port.connect()
            data = await self._port.read(section.unit_id or 1, section.address, 1, section.table)
        except Exception as error:  # whatever it is: what cannot be read counts as open
            return f"the interlock cannot be read: {error}"
        bit = int.from_bytes(data, "big") >> section.bit & 1
        return "" if bit == section.closed else "the interlock is open"

    async def heed(self, devices: dict[str, WireDevice], now_s: Callable[[str], float]) -> None:
        """Make all safe and latch where the interlock is not closed: only a person opens the latch again."""
        if not (trouble := await self.trouble()):
            self._made_safe.clear()
            return
        due = [(r, d) for r, d in devices.items() if d.gate is not None and r not in self._made_safe]
        for _, device in reversed(due):  # whatever had latched it before: latched is not yet safe
            if device.gate is not None and not device.gate.memory.latch:
                device.gate.latch(trouble)
        for role, device in reversed(due):
            with contextlib.suppress(
                ModbusError, RigError
            ):  # tried again; its own timer runs, the wiring has acted
                await device.make_safe(now_s(role))
                self._made_safe.add(role)

    async def watch(self, devices: dict[str, WireDevice], now_s: Callable[[str], float]) -> None:
        """Heed it again and again, on wall-clock time, until cancelled."""
        while True:
            await self.heed(devices, now_s)
            await asyncio.sleep(self.section.every_s)

    async def close(self) -> None:
        """Close the link, then end the emulated input."""
        if self._port is not None:
            await self._port.close()
        if self.emulator is not None:
            self.emulator.end()

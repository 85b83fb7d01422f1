"""What the supervisor looks after: a device's link, who must answer there, and the registers that make it safe.

Plain values only: a charge travels to the supervisor's process as JSON, made while the harness was still well.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from adapters.modbus.errors import ModbusError
from adapters.modbus.port import ModbusPort, Table
from adapters.modbus.register_map import MapDevice
from adapters.scpi.ac_source import AcSource
from adapters.scpi.errors import ScpiError
from adapters.scpi.link import ScpiLink
from rigs.bench_sections import DeviceSection
from rigs.control_points import AnyDevice
from rigs.links import new_port
from rigs.wire import WireDevice

Registers = tuple[str, int, bytes]
"""Table, address and what stands there."""


@dataclass(frozen=True)
class Charge:
    """A Modbus device. ``identity`` and ``readback`` are registers as they must read, before and after ``writes``.

    A device that does not show its identity any more is not written to: a write to the wrong device is worse than none.
    """

    role: str
    section: str  # the device's section of the bench file, as JSON
    host: str
    port: int
    pty: str  # the line of an emulated device, else empty
    folder: str
    unit: int
    single_writes: bool
    identity: tuple[Registers, ...]
    writes: tuple[tuple[int, bytes], ...]
    readback: tuple[Registers, ...]
    kind: Literal["device"] = "device"

    async def make_safe(self) -> str:
        """Check who answers, write, read back; returns what went wrong, empty where nothing did."""
        port = self._port()
        try:
            await port.connect()
            if trouble := await self._differs(port, self.identity):
                return f"another device answers ({trouble}); nothing was written"
            for address, data in self.writes:
                await port.write(self.unit, address, data)
            return await self._differs(port, self.readback)
        except ModbusError as error:
            return str(error)
        finally:
            await port.close()

    def _port(self) -> ModbusPort:
        section = DeviceSection.model_validate_json(self.section)
        timeout_s, folder = section.timing.timeout_s or 1.0, Path(self.folder)
        endpoint = self.host, self.port, self.unit
        return new_port(section, endpoint, self.pty, timeout_s, folder, None, self.single_writes)

    async def _differs(self, port: ModbusPort, expected: tuple[Registers, ...]) -> str:
        for table, address, data in expected:
            if await port.read(self.unit, address, len(data) // 2, cast(Table, table)) != data:
                return f"register {address} reads otherwise"
        return ""


@dataclass(frozen=True)
class SourceCharge:
    """An AC source: back to nominal voltage and frequency."""

    role: str
    host: str
    port: int
    identity: str
    voltage_v: float
    frequency_hz: float
    kind: Literal["source"] = "source"

    async def make_safe(self) -> str:
        """Check who answers, then set voltage and frequency; returns what went wrong, empty where nothing did."""
        link = ScpiLink(self.host, self.port)
        try:
            await link.connect()
            source = AcSource(link)
            if (found := await source.identity()) != self.identity:
                return f"another instrument answers ({found}); nothing was set"
            await source.set_voltage(self.voltage_v)
            await source.set_frequency(self.frequency_hz)
        except ScpiError as error:
            return str(error)
        finally:
            await link.close()
        return ""


AnyCharge = Charge | SourceCharge


async def charge_of(role: str, wire: WireDevice, folder: Path) -> Charge | None:
    """Return what makes an armed device safe without us; None where nothing of it may be written.

    Raises:
        ModbusError: it does not answer.
    """
    gate = wire.gate
    if gate is None or gate.writer is None:
        return None
    points = gate.safe_points()
    host, port, unit = wire.endpoint
    return Charge(
        role=role,
        section=wire.section.model_dump_json(),
        host=host,
        port=port,
        pty=wire.emulator.path if wire.emulator is not None else "",
        folder=str(folder.resolve()),
        unit=unit,
        single_writes=wire.single_writes,
        identity=await identity_registers(wire.device, gate.actuator.model_id),
        writes=tuple(await gate.writer.registers(gate.actuator.model_id, points)),
        readback=tuple(await gate.writer.read_back_as(gate.actuator.model_id, points)),
    )


async def charges_of(wires: Mapping[str, WireDevice], folder: Path) -> list[AnyCharge]:
    """Return the charges of all devices that may be written to.

    Raises:
        ModbusError: one does not answer.
    """
    found = [await charge_of(role, wire, folder) for role, wire in wires.items()]
    return [charge for charge in found if charge is not None]


async def identity_registers(device: AnyDevice, model_id: int) -> tuple[Registers, ...]:
    """Return the registers that tell this device from any other, and the model that is written from any other."""
    found: list[Registers] = []
    if isinstance(device, MapDevice):
        where: list[tuple[Table, int, int]] = [
            (p.table, p.address, p.codec.size) for n, p in device.map.points.items() if n == "Serial"
        ]
    else:
        one, model = device.model(1), device.model(model_id)
        points = [device.layout(1).point(name) for name in ("Mn", "Md", "SN")]
        where = [
            ("holding", model.address, 2),
            *(("holding", one.address + p.offset, p.size) for p in points),
        ]
    for table, address, count in where:
        found.append((table, address, await device.port.read(device.unit, address, count, table)))
    return tuple(found)


def as_plain(charge: AnyCharge) -> dict[str, Any]:
    """Return a charge for JSON: bytes as hexadecimal text."""
    return {name: _hexed(value) for name, value in asdict(charge).items()}


def from_plain(plain: dict[str, Any]) -> AnyCharge:
    """Return the charge that ``as_plain`` was given."""
    if plain["kind"] == "source":
        return SourceCharge(**plain)
    lists = {
        name: tuple((*rest, bytes.fromhex(data)) for *rest, data in plain[name])
        for name in ("identity", "writes", "readback")
    }
    return Charge(**{**plain, **lists})


def _hexed(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_hexed(v) for v in value]
    return value.hex() if isinstance(value, bytes) else value

"""Whether the device that answers is the one that the bench names."""

from adapters.modbus.register_map import MapDevice
from adapters.modbus.sunspec import SunSpecDevice
from rigs.bench_file import DeviceSection
from rigs.emulator_process import EmulatorProcess
from rigs.errors import DeviceMismatchError


async def check_identity(
    device: SunSpecDevice, role: str, section: DeviceSection, emulator: EmulatorProcess | None
) -> None:
    """Raise ``DeviceMismatchError`` where another SunSpec device answers than the bench names."""
    found, wanted = await device.identity(), section.identity
    if wanted is None and emulator is not None:
        expected = (emulator.config.maker, emulator.config.model, emulator.config.serial)
    elif wanted is not None:
        expected = (wanted.maker, wanted.model, wanted.serial)
    else:
        return
    if (found.maker, found.model, found.serial) != expected:
        raise DeviceMismatchError(
            f"{role}: {device.port.name} unit {device.unit} is {found}, "
            f"the bench names {' '.join(expected)}; nothing was written"
        )


async def check_serial(
    device: MapDevice, role: str, section: DeviceSection, emulator: EmulatorProcess | None
) -> None:
    """Raise ``DeviceMismatchError`` where a map's serial number is another; a map has no more identity than
    that."""
    wanted = section.identity.serial if section.identity is not None else ""
    if not wanted and emulator is not None:
        wanted = str(int(emulator.config.serial, 16) & 0x7FFFFFFF)
    if not wanted or "Serial" not in device.map.points:
        return
    found = (await device.read(0, "Serial"))["Serial"]
    if found is None or f"{found:.0f}" != wanted:
        raise DeviceMismatchError(
            f"{role}: {device.port.name} unit {device.unit} has serial {found}, "
            f"the bench names {wanted}; nothing was written"
        )

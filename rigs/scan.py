"""What is at an address: identity, models and present values of a SunSpec device, as a table."""

import asyncio
from dataclasses import dataclass

from adapters.modbus.errors import ModbusError
from adapters.modbus.port import LinkTiming, ModbusPort
from adapters.modbus.sunspec import Identity, ModelAt, SunSpecDevice, Value, discover
from adapters.modbus.tcp import TcpPort


@dataclass(frozen=True)
class ScanResult:
    """One unit that answered."""

    unit: int
    base: int
    identity: Identity
    models: tuple[ModelAt, ...]
    values: dict[str, Value]


_SHOWN = {
    103: ("W", "WH"),
    101: ("W", "WH"),
    701: ("W", "TotWhInj", "TotWhAbs"),
    713: ("SoC",),
    203: ("W", "TotWhExp", "TotWhImp"),
}


def scan(host: str, port: int, units: tuple[int, ...], timeout_s: float = 1.0) -> list[ScanResult]:
    """Look for SunSpec devices behind one endpoint. Reads only.

    Raises:
        ModbusError: nobody answers at the endpoint.
    """
    return asyncio.run(_scan(host, port, units, timeout_s))


async def _scan(host: str, port: int, units: tuple[int, ...], timeout_s: float) -> list[ScanResult]:
    link = TcpPort(host, port, LinkTiming(timeout_s=timeout_s))
    found = []
    await link.connect()
    try:
        for unit in units:
            try:
                found.append(await _look(link, unit))
            except ModbusError:
                await link.connect()  # a unit that is not there may cost the connection
    finally:
        await link.close()
    return found


async def _look(link: ModbusPort, unit: int) -> ScanResult:
    device: SunSpecDevice = await discover(link, unit)
    values: dict[str, Value] = {}
    for model_id, names in _SHOWN.items():
        if device.has(model_id):
            read = await device.read(model_id, *names)
            values |= {f"{model_id}.{name}": value for name, value in read.items()}
    return ScanResult(unit, device.base, await device.identity(), device.models, values)


def as_table(results: list[ScanResult]) -> str:
    """Return scan results as text."""
    lines = []
    for r in results:
        lines.append(f"unit {r.unit}: {r.identity} (map at {r.base})")
        lines.append("  model  address  registers  name")
        for m in r.models:
            name = m.layout.name if m.layout is not None else "(no definition)"
            lines.append(f"  {m.model_id:5d}  {m.address:7d}  {m.length:9d}  {name}")
        shown = [
            f"{name} = {'none' if value is None else format(value, 'g') if isinstance(value, float) else value}"
            for name, value in r.values.items()
        ]
        lines.append("  " + ", ".join(shown))
    return "\n".join(lines) or "no SunSpec device answered"

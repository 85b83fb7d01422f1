"""What is at an address: identity, models and present values of a SunSpec device, or the points of a register map, as a
table. Reads only.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.modbus.errors import DeviceRefusedError, ModbusError, NotSunSpecError, RequestTimeoutError
from adapters.modbus.port import ModbusPort
from adapters.modbus.register_map import MapDevice, RegisterMap
from adapters.modbus.sunspec import Identity, ModelAt, Value, discover
from rigs.conformance import Where

_NO_UNIT = (10, 11)  # what a gateway says of a unit that is not there


@dataclass(frozen=True)
class ScanResult:
    """One SunSpec device."""

    unit: int
    base: int
    identity: Identity
    models: tuple[ModelAt, ...]
    values: dict[str, Value]

    found = True

    def lines(self) -> list[str]:
        """Return it as text."""
        lines = [
            f"unit {self.unit}: {self.identity} (map at {self.base})",
            "  model  address  registers  name",
        ]
        for m in self.models:
            name = m.layout.name if m.layout is not None else "(no definition)"
            lines.append(f"  {m.model_id:5d}  {m.address:7d}  {m.length:9d}  {name}")
        return [*lines, "  " + ", ".join(f"{name} = {_text(value)}" for name, value in self.values.items())]


@dataclass(frozen=True)
class MapResult:
    """One unit read by a register map; a point that it refuses holds why."""

    unit: int
    map: RegisterMap
    values: dict[str, Value | ModbusError]

    @property
    def found(self) -> bool:
        """Whether any point could be read."""
        return any(not isinstance(v, ModbusError) for v in self.values.values())

    def lines(self) -> list[str]:
        """Return it as text."""
        lines = [f"unit {self.unit}: by the map {self.map.name}", "  address  point                 value"]
        for name, value in self.values.items():
            point = self.map.point(name)
            text = (
                _refused(value) if isinstance(value, ModbusError) else f"{_text(value)} {point.unit}".strip()
            )
            lines.append(f"  {point.address:7d}  {name:20s}  {text}")
        return lines


@dataclass(frozen=True)
class NothingFound:
    """One unit without SunSpec, and what it did instead."""

    unit: int
    text: str

    found = False

    def lines(self) -> list[str]:
        """Return it as text."""
        return [f"unit {self.unit}: {self.text}"]


Result = ScanResult | MapResult | NothingFound

_SHOWN = {
    **dict.fromkeys((101, 102, 103, 111, 112, 113), ("W", "WH", "Hz", "St")),
    **dict.fromkeys((201, 202, 203, 204), ("W", "TotWhExp", "TotWhImp")),
    701: ("W", "Var", "TotWhInj", "TotWhAbs", "InvSt"),
    713: ("SoC",),
    802: ("SoC", "SoH", "W"),
}


def scan(
    where: Where, units: Sequence[int], register_map: RegisterMap | None = None, timeout_s: float = 1.0
) -> list[Result]:
    """Look for SunSpec devices behind one endpoint, or for what a register map describes.

    Raises:
        ModbusError: nobody answers at the endpoint.
    """
    return asyncio.run(_scan(where, units, register_map, timeout_s))


async def _scan(
    where: Where, units: Sequence[int], register_map: RegisterMap | None, timeout_s: float
) -> list[Result]:
    link = where.link(timeout_s)
    found: list[Result] = []
    await link.connect()
    try:
        for unit in units:
            try:
                found.append(await (_by_map(link, unit, register_map) if register_map else _look(link, unit)))
            except ModbusError as error:
                found.append(NothingFound(unit, _why(error)))
                await link.connect()  # a unit that is not there may cost the connection
    finally:
        await link.close()
    return found


async def _look(link: ModbusPort, unit: int) -> ScanResult:
    device = await discover(link, unit)
    values: dict[str, Value] = {}
    for model_id, names in _SHOWN.items():
        if device.has(model_id):
            read = await device.read(model_id, *names)
            values |= {f"{model_id}.{name}": value for name, value in read.items()}
    return ScanResult(unit, device.base, await device.identity(), device.models, values)


async def _by_map(link: ModbusPort, unit: int, register_map: RegisterMap) -> MapResult:
    device, values = MapDevice(link, unit, register_map), dict[str, Value | ModbusError]()
    for point in register_map.points.values():
        if not point.readable:
            continue
        try:
            values |= await device.read(0, point.name)
        except DeviceRefusedError as error:
            if error.code in _NO_UNIT:
                raise
            values[point.name] = error
    return MapResult(unit, register_map, values)


def _why(error: ModbusError) -> str:
    """Say what a unit without SunSpec did."""
    cause = error.__cause__ if isinstance(error, NotSunSpecError) else error
    if isinstance(cause, RequestTimeoutError):
        return "no answer"
    if isinstance(cause, DeviceRefusedError) and cause.code in _NO_UNIT:
        return "no such unit, says the gateway"
    if isinstance(error, NotSunSpecError):
        return (
            "answers, but has no SunSpec map; if you know what it is, read it with --map NAME or a CSV file"
        )
    return str(error)


def _refused(error: ModbusError) -> str:
    return f"refused ({error.code})" if isinstance(error, DeviceRefusedError) else str(error)


def _text(value: Value) -> str:
    return "none" if value is None else format(value, ".10g") if isinstance(value, float) else str(value)


def as_table(results: Sequence[Result]) -> str:
    """Return scan results as text."""
    return "\n".join(line for r in results for line in r.lines())

"""Devices without SunSpec: a plain register map as CSV, read and written over the same transport by point
name."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.modbus.errors import PointError
from adapters.modbus.port import ModbusPort, Table
from adapters.modbus.sunspec import Value
from adapters.modbus.sunspec_model import PointDef

COLUMNS = (
    "address", "name", "type", "scale", "unit", "access", "sentinel", "persistence", "readback", "source"
)  # fmt: skip
_SIZES = {
    "uint16": 1,
    "int16": 1,
    "uint32": 2,
    "int32": 2,
    "uint64": 4,
    "int64": 4,
    "float32": 2,
    "float64": 4,
}
_ACCESS = ("R", "W", "RW", "R:input")
_PERSISTENCE = ("volatile", "nonvolatile", "unknown")


@dataclass(frozen=True)
class MapPoint:
    """One row of a map. The value in ``unit`` is the register times ``scale``; ``sentinel`` means no
    value."""

    address: int
    name: str
    codec: PointDef
    scale: float
    unit: str
    readable: bool
    writable: bool
    table: Table
    sentinel: int | None
    persistence: str
    readback: str  # point that shows what was written here, where this one cannot be read
    source: str


@dataclass(frozen=True)
class RegisterMap:
    """A whole map."""

    name: str
    points: Mapping[str, MapPoint]
    little_words: bool = False
    joined: bool = True  # adjacent points may be read in one request
    single_writes: bool = False  # one register is written with function 6

    def point(self, name: str) -> MapPoint:
        """Return a point, or raise ``PointError``."""
        try:
            return self.points[name]
        except KeyError:
            raise PointError(
                f"map {self.name} has no point {name!r}; it has {', '.join(self.points)}"
            ) from None


def shipped_maps() -> dict[str, Path]:
    """Return the maps that come with this package, by name."""
    return {p.stem: p for p in sorted((Path(__file__).parent / "maps").glob("*.csv"))}


def load_map(path: Path) -> RegisterMap:
    """Read a map.

    Raises:
        PointError: with every problem of the file, each with its line.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    little = any(line.replace(" ", "").lower() == "#word_order:little" for line in lines)
    told = {line.replace(" ", "").lower() for line in lines if line.startswith("#")}
    rows = [(i + 1, line) for i, line in enumerate(lines) if line.strip() and not line.startswith("#")]
    problems: list[str] = []
    points: dict[str, MapPoint] = {}
    if not rows or tuple(rows[0][1].split(",")) != COLUMNS:
        raise PointError(f"{path.name}: the first row must be {','.join(COLUMNS)}")
    taken: dict[tuple[Table, int], str] = {}
    for (number, _), row in zip(rows[1:], csv.DictReader([r[1] for r in rows]), strict=True):
        try:
            point = _point(row)
        except (ValueError, TypeError) as error:
            problems.append(f"{path.name}:{number}: {error}")
            continue
        if point.name in points:
            problems.append(f"{path.name}:{number}: name {point.name!r} is given twice")
        for register in range(point.address, point.address + point.codec.size):
            other = taken.setdefault((point.table, register), point.name)
            if other != point.name:
                problems.append(f"{path.name}:{number}: {point.name} overlaps {other} at register {register}")
                break
        points[point.name] = point
    problems += [
        f"{path.name}: {p.name}: readback names no readable point: {p.readback!r}"
        for p in points.values()
        if p.readback and (p.readback not in points or not points[p.readback].readable)
    ]
    if problems:
        raise PointError("\n".join(problems))
    return RegisterMap(path.stem, points, little, "#joined:no" not in told, "#write_function:6" in told)


def _point(row: Mapping[str, str]) -> MapPoint:
    kind, address = row["type"], int(row["address"], 0)
    size = _SIZES.get(kind)
    if size is None:
        raise ValueError(f"type {kind!r} is not one of {', '.join(_SIZES)}")
    if not 0 <= address <= 65536 - size:
        raise ValueError(f"address {address} is not in 0..{65536 - size}")
    if row["access"] not in _ACCESS:
        raise ValueError(f"access {row['access']!r} is not one of {', '.join(_ACCESS)}")
    if row["persistence"] not in _PERSISTENCE:
        raise ValueError(f"persistence {row['persistence']!r} is not one of {', '.join(_PERSISTENCE)}")
    scale = float(row["scale"])
    if not scale > 0:
        raise ValueError(f"scale {scale} is not positive")
    access = row["access"]
    return MapPoint(
        address=address,
        name=row["name"],
        codec=PointDef(row["name"], kind, address, size, None, "W" in access, row["unit"], frozenset()),
        scale=scale,
        unit=row["unit"],
        readable=access != "W",
        writable="W" in access,
        table="input" if access.endswith(":input") else "holding",
        sentinel=int(row["sentinel"], 0) if row["sentinel"] else None,
        persistence=row["persistence"],
        readback=row["readback"],
        source=row["source"],
    )


@dataclass(frozen=True)
class MapDevice:
    """A device by its map; offers the same calls as ``SunSpecDevice``, with model id 0."""

    port: ModbusPort
    unit: int
    map: RegisterMap
    most_gap: int = 0  # unmapped registers that one read may span; many devices refuse any

    def has(self, model_id: int) -> bool:
        """Tell whether the device has a model: only 0, its map."""
        return model_id == 0

    async def read(self, model_id: int, *names: str) -> dict[str, Value]:
        """Read points (all readable ones where no name is given), joined where they are adjacent."""
        chosen = [self.map.point(n) for n in names] or [p for p in self.map.points.values() if p.readable]
        for point in chosen:
            if not point.readable:
                raise PointError(f"map {self.map.name}: {point.name} cannot be read")
        values: dict[str, Value] = {}
        for block in self._blocks(chosen):
            first, last = block[0], block[-1]
            count = last.address + last.codec.size - first.address
            data = await self.port.read(self.unit, first.address, count, first.table)
            for point in block:
                values[point.name] = self.decode(point, data, 2 * (point.address - first.address))
        return values

    async def encode(self, model_id: int, name: str, value: float) -> tuple[int, bytes, float]:
        """Return address, registers and the value they really hold; raises ``PointError``."""
        point = self.map.point(name)
        if not point.writable:
            raise PointError(f"map {self.map.name}: {name} cannot be written")
        held = value if point.codec.kind.startswith("float") else round(value / point.scale) * point.scale
        return point.address, self.registers(point, value), held

    def registers(self, point: MapPoint, value: float) -> bytes:
        """Return the registers of a value in the point's unit; raises ``PointError`` where it does not
        fit."""
        if point.codec.kind.startswith("float"):
            return self._words(point.codec.encode(value / point.scale))
        raw = round(value / point.scale)
        if raw == point.sentinel:
            raise PointError(f"map {self.map.name}: {point.name}: {value} is the sentinel")
        return self._words(_plain(point).encode(raw))

    async def write(self, model_id: int, name: str, value: float) -> float:
        """Write one point; returns the value as the registers hold it."""
        address, data, held = await self.encode(model_id, name, value)
        await self.port.write(self.unit, address, data)
        return held

    def _blocks(self, points: Iterable[MapPoint]) -> list[list[MapPoint]]:
        blocks: list[list[MapPoint]] = []
        for point in sorted(points, key=lambda p: (p.table, p.address)):
            last = blocks[-1][-1] if blocks else None
            joins = (
                last is not None
                and self.map.joined
                and last.table == point.table
                and point.address - last.address - last.codec.size <= self.most_gap
                and point.address + point.codec.size - blocks[-1][0].address <= self.port.timing.max_registers
            )
            if joins:
                blocks[-1].append(point)
            else:
                blocks.append([point])
        return blocks

    def decode(self, point: MapPoint, data: bytes, at: int | None = None) -> Value:
        """Return a point's value from registers; ``at`` in bytes, its own address by default."""
        at = 2 * point.address if at is None else at
        raw = _plain(point).decode(self._words(data[at : at + 2 * point.codec.size]))
        if not isinstance(raw, int | float) or raw == point.sentinel:
            return None
        return raw * point.scale

    def _words(self, data: bytes) -> bytes:
        """Turn the words round where the device sends the low word first."""
        if not self.map.little_words:
            return data
        return b"".join(data[i : i + 2] for i in range(len(data) - 2, -1, -2))


def _plain(point: MapPoint) -> PointDef:
    """Return a codec without SunSpec's sentinels: a map names its own."""
    kinds = {"uint16": "pad", "uint32": "acc32", "uint64": "acc64"}
    return replace(point.codec, kind=kinds.get(point.codec.kind, point.codec.kind))

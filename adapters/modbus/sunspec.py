"""A SunSpec device over our transport: discovery, reading in blocks, writing points by name.

Source: SunSpec Device Information Model Specification 1.1 (marker, model chain, sentinels, scale factors).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapters.modbus.errors import (
    DeviceRefusedError,
    MapChangedError,
    ModbusError,
    NotSunSpecError,
    PointError,
    RequestTimeoutError,
)
from adapters.modbus.port import ModbusPort
from adapters.modbus.sunspec_model import (
    ModelDef,
    PointDef,
    Raw,
    has_counted_groups,
    is_known,
    model_from_registers,
    model_from_values,
    scaled,
    unscaled,
    valid_sf,
)

BASES = (40000, 0, 50000)
_MARKER = b"SunS"
_END = 0xFFFF
_MOST_MODELS = 100

Value = float | str | None
"""A value in the point's unit; None where the device says that it has none."""


@dataclass(frozen=True)
class ModelAt:
    """A model where discovery found it: ``address`` of its ID, ``length`` in registers with ID and L."""

    model_id: int
    address: int
    length: int
    layout: ModelDef | None  # None: no definition of this id


@dataclass(frozen=True)
class Identity:
    """Who the device says it is (model 1)."""

    maker: str
    model: str
    serial: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.maker} {self.model} {self.serial}".strip()


@dataclass(frozen=True)
class BlockPlan:
    """One read that brings some points of a model together with their scale factors."""

    model: ModelAt
    first: int  # register offset from the model's ID
    count: int
    points: tuple[PointDef, ...]
    factors: Mapping[str, PointDef | int | None]  # per point

    def decode(self, data: bytes) -> dict[str, Value]:
        """Return point name to value; None for a sentinel, a NaN or a scale factor that cannot be trusted."""
        values: dict[str, Value] = {}
        for point in self.points:
            raw = point.decode(data, 2 * (point.offset - self.first))
            values[point.name] = self._scale(point, raw, data)
        return values

    def _scale(self, point: PointDef, raw: Raw, data: bytes) -> Value:
        if raw is None or isinstance(raw, str):
            return raw
        factor = self.factors[point.name]
        if factor is None:
            return float(raw)
        if isinstance(factor, PointDef):
            factor = valid_sf(factor.decode(data, 2 * (factor.offset - self.first)))
        return None if factor is None else scaled(raw, factor)


@dataclass
class SunSpecDevice:
    """A discovered device. Addresses are kept until ``discover`` is called again."""

    port: ModbusPort
    unit: int
    base: int
    models: tuple[ModelAt, ...]
    _factors: dict[tuple[int, str], int] = field(default_factory=dict, repr=False)

    def has(self, model_id: int) -> bool:
        """Tell whether the device has a model."""
        return any(m.model_id == model_id for m in self.models)

    def model(self, model_id: int) -> ModelAt:
        """Return the first instance of a model, or raise ``PointError``."""
        for found in self.models:
            if found.model_id == model_id:
                return found
        have = ", ".join(str(m.model_id) for m in self.models)
        raise PointError(f"{self.port.name} unit {self.unit} has no model {model_id} (it has {have})")

    def layout(self, model_id: int) -> ModelDef:
        """Return a model's points, or raise ``PointError`` where it has no definition."""
        layout = self.model(model_id).layout
        if layout is None:
            raise PointError(f"there is no definition of SunSpec model {model_id}")
        return layout

    def plan(self, model_id: int, names: Iterable[str]) -> list[BlockPlan]:
        """Plan the fewest reads for some points; a value and its scale factor always share one block."""
        model, layout = self.model(model_id), self.layout(model_id)
        most = self.port.timing.max_registers
        plans: list[BlockPlan] = []
        group: list[PointDef] = []
        for point in sorted((layout.point(n) for n in names), key=lambda p: p.offset):
            if group and _span(layout, [*group, point])[1] > most:
                plans.append(_block(model, layout, group))
                group = []
            group.append(point)
            if _span(layout, group)[1] > most:
                raise PointError(
                    f"model {model_id}: {point.name} and its scale factor span more than {most} registers"
                )
        return [*plans, _block(model, layout, group)] if group else plans

    async def read_block(self, plan: BlockPlan) -> dict[str, Value]:
        """Read one planned block."""
        data = await self.port.read(self.unit, plan.model.address + plan.first, plan.count)
        return plan.decode(data)

    async def read(self, model_id: int, *names: str) -> dict[str, Value]:
        """Read some points of a model (all of them where no name is given)."""
        names = names or tuple(self.layout(model_id).points)
        values: dict[str, Value] = {}
        for plan in self.plan(model_id, names):
            values.update(await self.read_block(plan))
        return values

    async def identity(self) -> Identity:
        """Read maker, model and serial number (model 1)."""
        found = await self.read(1, "Mn", "Md", "SN", "Vr")
        return Identity(*(str(found[n] or "") for n in ("Mn", "Md", "SN", "Vr")))

    async def factor(self, model_id: int, point: PointDef) -> int:
        """Return a writable point's scale factor, read once per discovery."""
        if point.sf is None:
            return 0
        if isinstance(point.sf, int):
            return point.sf
        key = (model_id, point.sf)
        if key not in self._factors:
            definition = self.layout(model_id).point(point.sf)
            address = self.model(model_id).address + definition.offset
            factor = valid_sf(definition.decode(await self.port.read(self.unit, address, definition.size)))
            if factor is None:
                raise PointError(f"model {model_id}: scale factor {point.sf} holds no number in -10..10")
            self._factors[key] = factor
        return self._factors[key]

    async def encode(self, model_id: int, name: str, value: float) -> tuple[int, bytes, float]:
        """Return address, registers and the value that the registers really hold.

        Raises:
            PointError: not writable, not one of an enumeration's values, or out of the type's range.
        """
        point = self.layout(model_id).point(name)
        if not point.writable:
            raise PointError(f"model {model_id}: {name} cannot be written")
        address = self.model(model_id).address + point.offset
        if point.kind.startswith("float"):
            return address, point.encode(float(value)), float(value)
        factor = await self.factor(model_id, point)
        raw = unscaled(value, factor)
        if point.symbols and raw not in point.symbols:
            raise PointError(f"model {model_id}: {name} knows {sorted(point.symbols)}, got {value}")
        return address, point.encode(raw), scaled(raw, factor)

    async def write(self, model_id: int, name: str, value: float) -> float:
        """Write one point; returns the value as the registers hold it. One request, no read-back."""
        address, data, held = await self.encode(model_id, name, value)
        await self.port.write(self.unit, address, data)
        return held

    async def check_map(self) -> None:
        """Raise ``MapChangedError`` where ID or L of any model is not what discovery found."""
        for found in self.models:
            head = await self.port.read(self.unit, found.address, 2)
            now = (int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big") + 2)
            if now != (found.model_id, found.length):
                raise MapChangedError(
                    f"{self.port.name} unit {self.unit}: at {found.address} was model {found.model_id} with "
                    f"{found.length} registers, now {now[0]} with {now[1]}; discover again"
                )


async def discover(port: ModbusPort, unit: int, bases: Iterable[int] = BASES) -> SunSpecDevice:
    """Find the marker and walk the model chain.

    Raises:
        NotSunSpecError: no marker at any base, or a chain without end.
        ModbusError: as the port raises.
    """
    silent: ModbusError | None = None
    for base in bases:
        try:
            marker = await port.read(unit, base, 2)
        except (DeviceRefusedError, RequestTimeoutError) as error:
            silent = error  # some devices answer only where they have registers
            continue
        if marker == _MARKER:
            return SunSpecDevice(port, unit, base, tuple(await _walk_chain(port, unit, base + 2)))
    where = ", ".join(str(b) for b in bases)
    raise NotSunSpecError(f"{port.name} unit {unit}: no SunSpec marker at {where}") from silent


async def _walk_chain(port: ModbusPort, unit: int, address: int) -> list[ModelAt]:
    models: list[ModelAt] = []
    while len(models) < _MOST_MODELS:
        head = await port.read(unit, address, 2)
        model_id, length = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big") + 2
        if model_id == _END:
            return models
        layout = await _layout(port, unit, address, model_id, length)
        models.append(ModelAt(model_id, address, length, layout))
        address += length
    raise NotSunSpecError(f"{port.name} unit {unit}: more than {_MOST_MODELS} models, the chain has no end")


async def _layout(port: ModbusPort, unit: int, address: int, model_id: int, length: int) -> ModelDef | None:
    if not is_known(model_id):
        return None
    if not has_counted_groups(model_id) and model_id != 1:
        layout = model_from_values(model_id)
        return layout if layout.length <= length else None
    data = b""
    while len(data) < 2 * length:
        count = min(port.timing.max_registers, length - len(data) // 2)
        data += await port.read(unit, address + len(data) // 2, count)
    # only counts and length decide the layout; model 1 may be one register short (65 instead of 66)
    return model_from_registers(model_id, data)


def _members(layout: ModelDef, points: Iterable[PointDef]) -> list[PointDef]:
    points = list(points)
    return points + [layout.point(p.sf) for p in points if isinstance(p.sf, str)]


def _span(layout: ModelDef, points: Iterable[PointDef]) -> tuple[int, int]:
    members = _members(layout, points)
    first = min(p.offset for p in members)
    return first, max(p.offset + p.size for p in members) - first


def _block(model: ModelAt, layout: ModelDef, points: list[PointDef]) -> BlockPlan:
    first, count = _span(layout, points)
    factors = {p.name: layout.point(p.sf) if isinstance(p.sf, str) else p.sf for p in points}
    return BlockPlan(model, first, count, tuple(points), factors)

"""The register image of an emulated SunSpec device: one bytearray, addressed by register or by point name."""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from adapters.modbus.errors import PointError
from adapters.modbus.sunspec_model import (
    ModelDef,
    PointDef,
    integer_codec,
    model_from_values,
    scaled,
    unscaled,
)
from rigs.emulator.server import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Refused

Key = tuple[int, str]
"""Model id and point path."""

BASE = 40000
_FACTOR = struct.Struct(">h")


class _Slot(NamedTuple):
    """An integer point, ready to be packed: a device publishes some forty of them every step."""

    codec: struct.Struct
    sentinel: int | None
    least: int
    most: int
    at: int  # byte
    sf_at: int  # byte of the scale factor, 0 where it is a constant
    sf: int


_END = b"\xff\xff\x00\x00"


class SunSpecImage:
    """Marker, models and end marker as registers from ``base``.

    A write is taken whole or refused whole: every point it touches must be writable, complete and hold an
    allowed value. What was written can be read back at once (SunSpec DER information model, 6.5).
    """

    def __init__(self, models: Iterable[tuple[int, Mapping[str, Any] | None]], base: int = BASE) -> None:
        self.base = base
        self.layouts: dict[int, ModelDef] = {}
        self._at: dict[Key, int] = {}  # byte position of every point
        self._by_byte: dict[int, tuple[Key, PointDef]] = {}  # first byte of a point to the point
        self._slots: dict[Key, _Slot] = {}
        data = bytearray(b"SunS")
        for model_id, groups in models:
            layout = model_from_values(model_id, groups)
            self.layouts[model_id] = layout
            start = len(data)
            for name, point in layout.points.items():
                at = start + 2 * point.offset
                self._at[model_id, name] = at
                self._by_byte[at] = ((model_id, name), point)
                if (codec := integer_codec(point.kind)) is not None:
                    sf_at = start + 2 * layout.points[point.sf].offset if isinstance(point.sf, str) else 0
                    sf = point.sf if isinstance(point.sf, int) else 0
                    self._slots[model_id, name] = _Slot(*codec, at, sf_at, sf)
            data += b"".join(p.encode(None) for p in sorted(layout.points.values(), key=lambda p: p.offset))
            self.data = data
            self._store(model_id, "ID", model_id)
            self._store(model_id, "L", layout.length - 2)
        self.data = data + _END
        self.read_only: frozenset[int] = frozenset()  # models of which nothing is taken over the wire
        self.on_write: Callable[[frozenset[Key]], None] = lambda written: None
        self.allows: Callable[[Key, float], bool] = lambda key, value: True

    def get(self, model_id: int, name: str) -> float:
        """Return a numeric point in its unit; 0 where it is not implemented."""
        slot = self._slots.get((model_id, name))
        if slot is not None:
            whole: int = slot.codec.unpack_from(self.data, slot.at)[0]
            if whole == slot.sentinel:
                return 0.0
            return scaled(whole, _FACTOR.unpack_from(self.data, slot.sf_at)[0] if slot.sf_at else slot.sf)
        raw = self.layouts[model_id].points[name].decode(self.data, self._at[model_id, name])
        if not isinstance(raw, int | float):
            return 0.0
        return scaled(raw, self._sf(model_id, name)) if isinstance(raw, int) else raw

    def put(self, model_id: int, name: str, value: float | str) -> None:
        """Set a point in its unit. A number beyond the type's range is a mistake of the device model:
        PointError.
        """
        slot = self._slots.get((model_id, name))
        if slot is not None and not isinstance(value, str):
            sf = _FACTOR.unpack_from(self.data, slot.sf_at)[0] if slot.sf_at else slot.sf
            whole = unscaled(value, sf)
            if whole != slot.sentinel and slot.least <= whole <= slot.most:
                slot.codec.pack_into(self.data, slot.at, whole)
                return
        point = self.layouts[model_id].points[name]
        if isinstance(value, str) or point.kind.startswith("float"):
            self._store(model_id, name, value)
        else:
            self._store(model_id, name, unscaled(value, self._sf(model_id, name)))

    def put_all(self, model_id: int, values: Mapping[str, float | str]) -> None:
        """Set several points; scale factors first, since the others are packed with them."""
        for name, value in values.items():
            if name.endswith("_SF"):
                self.put(model_id, name, value)
        for name, value in values.items():
            if not name.endswith("_SF"):
                self.put(model_id, name, value)

    def clear(self, model_id: int, name: str) -> None:
        """Set a point to its sentinel: not implemented, or no number just now."""
        self._store(model_id, name, None)

    def read(self, address: int, count: int) -> bytes:
        """Return registers; see ``RegisterStore``."""
        first = 2 * (address - self.base)
        if first < 0 or first + 2 * count > len(self.data):
            raise Refused(ILLEGAL_ADDRESS)
        return bytes(self.data[first : first + 2 * count])

    def write(self, address: int, data: bytes) -> None:
        """Take registers; see ``RegisterStore``."""
        at = 2 * (address - self.base)
        written: list[Key] = []
        position = 0
        while position < len(data):
            found = self._by_byte.get(at + position)
            if found is None or not self._takes(*found) or position + 2 * found[1].size > len(data):
                raise Refused(ILLEGAL_ADDRESS)
            key, point = found
            raw = point.decode(data, position)
            if not isinstance(raw, int | float) or (point.symbols and raw not in point.symbols):
                raise Refused(ILLEGAL_VALUE)
            value = scaled(raw, self._sf(*key)) if isinstance(raw, int) else raw
            if not self.allows(key, value):
                raise Refused(ILLEGAL_VALUE)
            written.append(key)
            position += 2 * point.size
        self.data[at : at + len(data)] = data
        self.on_write(frozenset(written))

    def _takes(self, key: Key, point: PointDef) -> bool:
        return point.writable and key[0] not in self.read_only

    def copy(self, model_id: int, source: str, target: str) -> None:
        """Copy a point's registers to another one of the same type."""
        size = 2 * self.layouts[model_id].points[source].size
        at, to = self._at[model_id, source], self._at[model_id, target]
        self.data[to : to + size] = self.data[at : at + size]

    def address(self, model_id: int, name: str) -> int:
        """Return the register address of a point."""
        return self.base + self._at[model_id, name] // 2

    def _sf(self, model_id: int, name: str) -> int:
        sf = self.layouts[model_id].points[name].sf
        if isinstance(sf, str):
            at = self._at[model_id, sf]
            return int.from_bytes(self.data[at : at + 2], "big", signed=True)
        return sf or 0

    def _store(self, model_id: int, name: str, raw: float | str | None) -> None:
        point = self.layouts[model_id].points[name]
        at = self._at[model_id, name]
        registers = point.encode(raw)
        if len(registers) != 2 * point.size:
            raise PointError(f"{name}: {len(registers)} bytes for {point.size} registers")
        self.data[at : at + len(registers)] = registers

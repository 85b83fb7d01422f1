"""SunSpec model definitions as flat tables of points, and the codec between registers and values.

The definitions are those of pysunspec2 (the JSON files of the SunSpec Alliance); layout and arithmetic are
ours, because its own clients mix them with a transport we do not use.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import sunspec2.device
import sunspec2.mdef

from adapters.modbus.errors import PointError

Raw = int | float | str | None
"""A register value before scaling; None where the point is not implemented or not a number."""

_INTEGERS = {
    "int16": (">h", -(1 << 15)),
    "uint16": (">H", 0xFFFF),
    "count": (">H", 0xFFFF),
    "acc16": (">H", None),
    "enum16": (">H", 0xFFFF),
    "bitfield16": (">H", 0xFFFF),
    "pad": (">H", None),
    "sunssf": (">h", -(1 << 15)),
    "int32": (">i", -(1 << 31)),
    "uint32": (">I", 0xFFFFFFFF),
    "acc32": (">I", None),
    "enum32": (">I", 0xFFFFFFFF),
    "bitfield32": (">I", 0xFFFFFFFF),
    "ipaddr": (">I", 0),
    "int64": (">q", -(1 << 63)),
    "uint64": (">Q", 0xFFFFFFFFFFFFFFFF),
    "acc64": (">Q", None),
}
"""Format and the value that means 'not implemented'. An accumulator of 0 is taken as the count 0: a counter
that has just started is a number, whatever the specification's table says."""
_FLOATS = {"float32": (">f", b"\x7f\xc0\x00\x00"), "float64": (">d", b"\x7f\xf8" + bytes(6))}
_SF_RANGE = range(-10, 11)


@dataclass(frozen=True)
class PointDef:
    """One point of a model instance. ``offset`` and ``size`` in registers, ``offset`` from the model's ID."""

    name: str  # path within the model, e.g. "WSet", "PFWInj.PF", "Crv[0].Pt[2].V"
    kind: str  # SunSpec type
    offset: int
    size: int
    sf: str | int | None  # path of the scale factor, or a constant
    writable: bool
    units: str
    symbols: frozenset[int]  # allowed values of an enumeration; empty: any

    def decode(self, data: bytes | bytearray, at: int = 0) -> Raw:
        """Return the raw value at byte ``at``; None for the sentinel, NaN or an empty string."""
        if (integer := _INTEGERS.get(self.kind)) is not None:
            value: int = struct.unpack_from(integer[0], data, at)[0]
            return None if value == integer[1] else value
        if (floating := _FLOATS.get(self.kind)) is not None:
            number: float = struct.unpack_from(floating[0], data, at)[0]
            return None if math.isnan(number) else number  # any NaN: devices send several patterns
        text = data[at : at + 2 * self.size]
        if self.kind == "string":
            return text.split(b"\0", 1)[0].decode("utf-8", "replace").strip() or None
        return None if not any(text) else text.hex()

    def encode(self, raw: Raw) -> bytes:
        """Return the registers of a raw value.

        Raises:
            PointError: outside the type's range, or equal to its sentinel.
        """
        if (integer := _INTEGERS.get(self.kind)) is not None:
            if raw is None:
                return struct.pack(integer[0], 0 if integer[1] is None else integer[1])
            try:
                data = struct.pack(integer[0], raw)
            except struct.error:
                raise PointError(f"{self.name}: {raw!r} does not fit {self.kind}") from None
            if raw == integer[1]:
                raise PointError(f"{self.name}: {raw!r} is the sentinel of {self.kind}")
            return data
        if (floating := _FLOATS.get(self.kind)) is not None:
            return floating[1] if raw is None else struct.pack(floating[0], raw)
        text = (raw or "").encode() if isinstance(raw, str | None) else b""
        if len(text) > 2 * self.size:
            raise PointError(f"{self.name}: {raw!r} is longer than {2 * self.size} bytes")
        return text.ljust(2 * self.size, b"\0")


@lru_cache
def integer_codec(kind: str) -> tuple[struct.Struct, int | None, int, int] | None:
    """Return codec, sentinel, least and most of an integer type; None for any other type."""
    if kind not in _INTEGERS:
        return None
    form, sentinel = _INTEGERS[kind]
    codec = struct.Struct(form)
    bits = 8 * codec.size
    signed = form[-1].islower()
    least = -(1 << bits - 1) if signed else 0
    return codec, sentinel, least, least + (1 << bits) - 1


def scaled(raw: int | float, sf: int) -> float:
    """Return ``raw * 10**sf``, correctly rounded (dividing by an exact power beats multiplying by 0.1)."""
    return float(raw) * 10.0**sf if sf >= 0 else raw / 10.0**-sf


def unscaled(value: float, sf: int) -> int:
    """Return the integer whose scaled value is nearest to ``value``."""
    return round(value / 10.0**sf) if sf >= 0 else round(value * 10.0**-sf)


def valid_sf(raw: Raw) -> int | None:
    """Return a scale factor that can be trusted (-10..10 by the specification), else None."""
    return raw if isinstance(raw, int) and raw in _SF_RANGE else None


@dataclass(frozen=True)
class ModelDef:
    """One model instance laid out: its points by path. ``length`` counts registers with ID and L."""

    model_id: int
    name: str
    length: int
    points: Mapping[str, PointDef] = field(repr=False)

    def point(self, name: str) -> PointDef:
        """Return a point, or raise ``PointError`` with the nearest known name."""
        try:
            return self.points[name]
        except KeyError:
            near = get_close_matches(name, self.points, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise PointError(f"model {self.model_id} has no point {name!r}{hint}") from None


def is_known(model_id: int) -> bool:
    """Tell whether a definition of the model exists."""
    return (_models_dir() / f"model_{model_id}.json").is_file()


def has_counted_groups(model_id: int) -> bool:
    """Tell whether the layout depends on counts inside the model."""
    return bool(sunspec2.device.check_group_count(_definition(model_id)["group"]))


def model_from_values(model_id: int, values: Mapping[str, Any] | None = None) -> ModelDef:
    """Lay out a model whose group counts are given in ``values`` (pysunspec2's nested form)."""
    model = sunspec2.device.Model(model_id=model_id, model_def=_definition(model_id), data=dict(values or {}))
    return _flatten(model_id, model)


@lru_cache(maxsize=256)
def model_from_registers(model_id: int, data: bytes) -> ModelDef:
    """Lay out a model from its registers (ID and L included), which hold the group counts."""
    model = sunspec2.device.Model(
        model_id=model_id, model_def=_definition(model_id), model_len=len(data) // 2 - 2, data=data
    )
    return _flatten(model_id, model)


def _models_dir() -> Path:
    return Path(sunspec2.device.__file__).parent / "models" / "json"


@lru_cache(maxsize=256)
def _definition(model_id: int) -> Any:
    # read by path: pysunspec2's own search would begin in the current directory
    path = _models_dir() / f"model_{model_id}.json"
    if not path.is_file():
        raise PointError(f"there is no definition of SunSpec model {model_id}")
    definition = sunspec2.mdef.from_json_file(str(path))
    sunspec2.device.add_mappings(definition["group"])
    return definition


def _flatten(model_id: int, model: Any) -> ModelDef:
    points: dict[str, PointDef] = {}
    _walk(model, "", points, set(model.points))
    length = max(p.offset + p.size for p in points.values())
    return ModelDef(model_id, model.gname or str(model_id), length, points)


def _walk(group: Any, prefix: str, points: dict[str, PointDef], top: set[str]) -> None:
    for name, point in group.points.items():
        definition = point.pdef
        sf = definition.get("sf")
        if isinstance(sf, str):
            sf = int(sf) if sf.lstrip("-").isdigit() else (prefix + sf if sf in group.points else sf)
            if isinstance(sf, str) and sf not in top and not sf.startswith(prefix):
                raise PointError(f"{prefix}{name}: no scale factor {sf}")
        points[prefix + name] = PointDef(
            name=prefix + name,
            kind=definition["type"],
            offset=point.offset,
            size=point.len,
            sf=sf,
            writable=definition.get("access") == "RW",
            units=definition.get("units") or "",
            symbols=frozenset(int(s["value"]) for s in definition.get("symbols") or ())
            if definition["type"].startswith("enum")
            else frozenset(),
        )
    for name, child in group.groups.items():
        if isinstance(child, list):
            for i, item in enumerate(child):
                _walk(item, f"{prefix}{name}[{i}].", points, top)
        else:
            _walk(child, f"{prefix}{name}.", points, top)

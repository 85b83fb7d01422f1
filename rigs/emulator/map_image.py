"""The register image of an emulated device that is described by a plain register map."""

from collections.abc import Callable, Mapping

from adapters.modbus.register_map import MapDevice, RegisterMap
from rigs.emulator.image import Key
from rigs.emulator.server import ILLEGAL_ADDRESS, Refused


class MapImage:
    """All 65,536 registers, of which only mapped ones answer. Points are addressed as (0, name)."""

    def __init__(self, register_map: RegisterMap) -> None:
        self.map = register_map
        self.data = bytearray(2 * 65536)
        self._readable = bytearray(65536)
        self._starts: dict[int, str] = {}  # first register of every writable point
        for point in register_map.points.values():
            if point.readable:
                end = point.address + point.codec.size
                self._readable[point.address : end] = b"\1" * point.codec.size
            if point.writable:
                self._starts[point.address] = point.name
        self.on_write: Callable[[frozenset[Key]], None] = lambda written: None
        self.allows: Callable[[Key, float], bool] = lambda key, value: True
        self._codec = MapDevice(None, 0, register_map)  # type: ignore[arg-type] # its codec alone, no port

    def get(self, model_id: int, name: str) -> float:
        """Return a point in its unit; 0 where it holds no value."""
        value = self._codec.decode(self.map.point(name), bytes(self.data))
        return value if isinstance(value, float | int) else 0.0

    def put(self, model_id: int, name: str, value: float | str) -> None:
        """Set a point in its unit."""
        point = self.map.point(name)
        data = self._codec.registers(point, float(value))
        self.data[2 * point.address : 2 * point.address + len(data)] = data

    def put_all(self, model_id: int, values: Mapping[str, float | str]) -> None:
        """Set several points."""
        for name, value in values.items():
            self.put(model_id, name, value)

    def read(self, address: int, count: int) -> bytes:
        """Return registers; see ``RegisterStore``. A hole in the map is refused."""
        if address + count > 65536 or not all(self._readable[address : address + count]):
            raise Refused(ILLEGAL_ADDRESS)
        return bytes(self.data[2 * address : 2 * (address + count)])

    def write(self, address: int, data: bytes) -> None:
        """Take registers; see ``RegisterStore``. Points are taken whole or not at all."""
        at, written = address, []
        while at < address + len(data) // 2:
            name = self._starts.get(at)
            if name is None:
                raise Refused(ILLEGAL_ADDRESS)
            point = self.map.point(name)
            inside = data[2 * (at - address) :]
            if len(inside) < 2 * point.codec.size:
                raise Refused(ILLEGAL_ADDRESS)
            value = self._codec.decode(point, inside, 0)
            if not isinstance(value, float | int) or not self.allows((0, name), value):
                raise Refused(3)
            written.append((0, name))
            at += point.codec.size
        self.data[2 * address : 2 * address + len(data)] = data
        self.on_write(frozenset(written))

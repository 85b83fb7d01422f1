"""A meter without SunSpec, read by its public register map."""

import asyncio
import struct

import pytest

from adapters.modbus.port import LinkTiming
from adapters.modbus.register_map import MapDevice, load_map, shipped_maps
from rigs.emulator.map_image import MapImage
from rigs.measure import MapMeter

SDM630 = load_map(shipped_maps()["eastron_sdm630"])


class Wire:
    """A port over an image, as a device would answer."""

    name, connected, timing = "image", True, LinkTiming()

    def __init__(self) -> None:
        self.image, self.tables = MapImage(SDM630), set()

    async def read(self, unit, address, count, table="holding") -> bytes:
        self.tables.add(table)
        return self.image.read(address, count)


def test_an_sdm630_is_read_with_our_sign_in_watts_and_watt_hours() -> None:
    """By the maker's table: IEEE 754 floats, high word first, W and kWh, import positive, input registers."""
    wire = Wire()
    for address, value in ((52, 1500.0), (60, -200.0), (72, 12.5), (74, 3.25)):
        wire.image.data[2 * address : 2 * address + 4] = struct.pack(">f", value)
    got = asyncio.run(MapMeter(MapDevice(wire, 1, SDM630)).read())  # type: ignore[arg-type]
    assert (got.p_gen_w, got.q_gen_var, got.import_wh, got.export_wh, got.trouble) == (
        -1500,
        200,
        12500,
        3250,
        "",
    )
    assert wire.tables == {"input"}


def test_a_float_that_is_no_number_is_said_so_and_a_counter_never_falls() -> None:
    wire = Wire()
    meter = MapMeter(MapDevice(wire, 1, SDM630))  # type: ignore[arg-type]
    wire.image.data[144:148] = struct.pack(">f", 5.0)
    asyncio.run(meter.read())
    wire.image.data[104:108] = struct.pack(">f", float("nan"))
    wire.image.data[144:148] = struct.pack(">f", 1.0)
    got = asyncio.run(meter.read())
    assert got.trouble == "PowerTotal holds no number; the import counter went back from 5000 to 1000 Wh"
    assert got.import_wh == pytest.approx(5000)

"""Readings: a meter without SunSpec by its public register map, and states of charge by whichever model has them."""

import asyncio
import struct

import pytest

from adapters.modbus.port import LinkTiming
from adapters.modbus.register_map import MapDevice, load_map, shipped_maps
from adapters.modbus.sunspec import discover
from rigs.emulator.image import SunSpecImage
from rigs.emulator.map_image import MapImage
from rigs.measure import MapMeter, SunSpecMeter

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


@pytest.mark.parametrize(("models", "soc"), [((713, 802), 0.55), ((802,), 0.4), ((), None)])
def test_a_battery_tells_its_state_of_charge_by_713_or_802(models, soc) -> None:
    image = SunSpecImage([(1, None), (103, None), *((m, None) for m in models)])
    image.put_all(103, {"W_SF": 0, "W": 700, "VAr_SF": 0, "VAr": 10, "WH_SF": 0, "WH": 5, "St": 4})
    for model_id, percent, factor in ((713, 55, "Pct_SF"), (802, 40, "SoC_SF")):
        if model_id in models:
            image.put_all(model_id, {factor: 0, "SoC": percent})
    wire = Wire()
    wire.image = image  # type: ignore[assignment]

    async def read():
        meter = SunSpecMeter(await discover(wire, 1))  # type: ignore[arg-type]
        meter.plan()
        return await meter.read()

    got = asyncio.run(read())
    assert (got.p_gen_w, got.q_gen_var, got.export_wh, got.trouble) == (700, 10, 5, "")
    assert got.soc == pytest.approx(soc) if soc is not None else got.soc != got.soc

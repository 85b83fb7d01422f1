"""Register maps: the CSV, its mistakes, and the codec against struct."""

import asyncio
import struct
from pathlib import Path

import pytest

from adapters.modbus.errors import PointError
from adapters.modbus.port import LinkTiming
from adapters.modbus.register_map import COLUMNS, MapDevice, load_map, shipped_maps

HEAD = ",".join(COLUMNS) + "\n"


class Registers:
    name = "image"
    connected = True
    timing = LinkTiming(max_registers=20)

    def __init__(self, **tables: dict[int, int]) -> None:
        self.tables = tables
        self.reads: list[tuple[str, int, int]] = []
        self.writes: list[tuple[int, bytes]] = []

    async def read(self, unit: int, address: int, count: int, table: str = "holding") -> bytes:
        self.reads.append((table, address, count))
        return b"".join(self.tables[table].get(address + i, 0).to_bytes(2, "big") for i in range(count))

    async def write(self, unit: int, address: int, data: bytes) -> None:
        self.writes.append((address, data))


def device(tmp_path: Path, rows: str, port: Registers, head: str = "", **options) -> MapDevice:
    path = tmp_path / "m.csv"
    path.write_text(head + HEAD + rows)
    return MapDevice(port, 1, load_map(path), **options)  # type: ignore[arg-type]


def test_shipped_maps_are_well_formed_and_name_a_source_for_every_point() -> None:
    maps = {name: load_map(path) for name, path in shipped_maps().items()}
    assert set(maps) == {"keba_p30", "stiebel_isg", "eastron_sdm630"}
    for register_map in maps.values():
        assert all(p.source for p in register_map.points.values())


@pytest.mark.parametrize(
    ("kind", "value", "packed"),
    [("uint16", 65535, ">H"), ("int16", -5, ">h"), ("uint32", 4294967295, ">I"), ("int32", -70000, ">i"),
     ("uint64", 1 << 40, ">Q"), ("int64", -(1 << 40), ">q"), ("float32", 1.5, ">f"), ("float64", -2.25, ">d")],
)  # fmt: skip
@pytest.mark.parametrize("order", ["big", "little"])
def test_every_type_in_both_word_orders(tmp_path, kind, value, packed, order) -> None:
    words = list(struct.unpack(f">{struct.calcsize(packed) // 2}H", struct.pack(packed, value)))
    if order == "little":
        words.reverse()
    port = Registers(holding={10 + i: w for i, w in enumerate(words)})
    made = device(tmp_path, f"10,P,{kind},1,,RW,,volatile,,s\n", port, f"# word_order: {order}\n")
    assert asyncio.run(made.read(0, "P")) == {"P": value}
    asyncio.run(made.write(0, "P", value))
    assert port.writes == [(10, struct.pack(f">{len(words)}H", *words))]


def test_sentinel_scale_input_registers_and_write_only_points(tmp_path) -> None:
    rows = "5,A,uint16,0.1,W,R,0xFFFF,volatile,,s\n6,B,int16,10,W,R:input,,volatile,,s\n7,C,uint16,0.001,A,W,,volatile,A,s\n"
    port = Registers(holding={5: 0xFFFF}, input={6: 0xFFFE})
    made = device(tmp_path, rows, port)
    assert asyncio.run(made.read(0)) == {"A": None, "B": -20.0}
    assert {r[0] for r in port.reads} == {"holding", "input"}
    assert asyncio.run(made.write(0, "C", 6.0004)) == 6.0
    for call in (made.read(0, "C"), made.write(0, "A", 1), made.write(0, "C", 66), made.read(0, "D")):
        with pytest.raises(PointError):
            asyncio.run(call)


def test_adjacent_points_share_a_read_and_gaps_are_spanned_only_where_allowed(tmp_path) -> None:
    rows = "".join(f"{a},P{a},uint16,1,,R,,volatile,,s\n" for a in (0, 1, 2, 5, 40))
    for gap, expected in ((0, [(0, 3), (5, 1), (40, 1)]), (2, [(0, 6), (40, 1)])):
        port = Registers(holding={})
        asyncio.run(device(tmp_path, rows, port, most_gap=gap).read(0))
        assert [r[1:] for r in port.reads] == expected


def test_all_mistakes_of_a_map_come_at_once_with_their_lines(tmp_path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(
        "# comment\n" + HEAD
        + "1,A,uint99,1,,R,,volatile,,s\n"
        + "70000,B,uint16,1,,R,,volatile,,s\n"
        + "3,C,uint16,0,,R,,volatile,,s\n"
        + "4,D,uint16,1,,X,,volatile,,s\n"
        + "5,E,uint16,1,,R,,perhaps,,s\n"
        + "6,F,uint32,1,,R,,volatile,,s\n"
        + "7,G,uint16,1,,R,,volatile,,s\n"
        + "9,F,uint16,1,,W,,volatile,nowhere,s\n"
    )  # fmt: skip
    with pytest.raises(PointError) as caught:
        load_map(path)
    text = str(caught.value)
    for expected in (
        "bad.csv:3: type 'uint99'", "bad.csv:4: address 70000", "bad.csv:5: scale 0.0", "bad.csv:6: access 'X'",
        "bad.csv:7: persistence 'perhaps'", "bad.csv:9: G overlaps F at register 7",
        "bad.csv:10: name 'F' is given twice", "readback names no readable point: 'nowhere'",
    ):  # fmt: skip
        assert expected in text
    path.write_text("address,name\n1,A\n")
    with pytest.raises(PointError, match="first row must be"):
        load_map(path)


def test_a_wallbox_that_serves_one_point_a_request_is_read_so_and_written_with_function_6() -> None:
    keba = load_map(shipped_maps()["keba_p30"])
    assert keba.single_writes
    port = Registers(holding={1008: 0, 1009: 6000, 1010: 0, 1011: 6001, 1013: 6002})
    found = asyncio.run(MapDevice(port, 255, keba).read(0, "CurrentL1", "CurrentL2", "CurrentL3"))  # type: ignore[arg-type]
    assert port.reads == [("holding", 1008, 2), ("holding", 1010, 2), ("holding", 1012, 2)]
    assert list(found.values()) == pytest.approx([6.0, 6.001, 6.002])
    assert not load_map(shipped_maps()["eastron_sdm630"]).single_writes

"""SunSpec codec and discovery; pysunspec2's own device classes and the specification's table are the
oracles."""

import asyncio
import math
import struct

import pytest
import sunspec2.device as oracle
from sunspec2 import mb

from adapters.modbus.errors import (
    DeviceRefusedError,
    MapChangedError,
    NotSunSpecError,
    PointError,
)
from adapters.modbus.port import LinkTiming
from adapters.modbus.sunspec import discover
from adapters.modbus.sunspec_model import PointDef, model_from_values, scaled, unscaled, valid_sf


class Registers:
    """A port over a register image: what a device would answer, without a socket."""

    name = "image"
    connected = True

    def __init__(self, base: int, data: bytes, most: int = 125) -> None:
        self.base, self.data, self.timing = base, bytearray(data), LinkTiming(max_registers=most)
        self.reads: list[tuple[int, int]] = []

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def read(self, unit: int, address: int, count: int) -> bytes:
        assert 1 <= count <= self.timing.max_registers
        self.reads.append((address, count))
        at = 2 * (address - self.base)
        if at < 0 or at + 2 * count > len(self.data):
            raise DeviceRefusedError("read", 2)
        return bytes(self.data[at : at + 2 * count])

    async def write(self, unit: int, address: int, data: bytes) -> None:
        at = 2 * (address - self.base)
        self.data[at : at + len(data)] = data


def pysunspec_image(*models: dict) -> bytes:
    device = oracle.Device()
    for data in models:
        model = oracle.Model(data["ID"], data=data)
        model.points["ID"].value = data["ID"]
        model.points["L"].value = model.len - 2
        device.add_model(model)
    return b"SunS" + device.get_mb() + b"\xff\xff\x00\x00"


COMMON = {"ID": 1, "Mn": "maker", "Md": "model", "SN": "serial-1", "Vr": "1.2", "DA": 1}
INVERTER = {
    "ID": 103,
    "W": 1234,
    "W_SF": 1,
    "WH": 0,
    "WH_SF": 0,
    "A": 100,
    "A_SF": -2,
    "Hz": 5000,
    "Hz_SF": -2,
}
CURVE = {
    "ID": 705, "NPt": 2, "NCrv": 2, "V_SF": -1, "DeptRef_SF": -2, "RspTms_SF": 0,
    "Crv": [
        {"ActPt": 2, "Pt": [{"V": 920, "Var": 3000}, {"V": 1080, "Var": -3000}]},
        {"ActPt": 1, "Pt": [{"V": 1000, "Var": 1}, {"V": 1001, "Var": 2}]},
    ],
}  # fmt: skip


def found(image: Registers):
    return asyncio.run(discover(image, 1))


@pytest.mark.parametrize("base", [40000, 0, 50000])
def test_discovery_finds_the_models_at_every_known_base(base) -> None:
    device = found(Registers(base, pysunspec_image(COMMON, INVERTER, CURVE)))
    assert device.base == base
    assert [(m.model_id, m.address - base) for m in device.models] == [(1, 2), (103, 70), (705, 122)]
    assert str(asyncio.run(device.identity())) == "maker model serial-1"


def test_no_marker_anywhere_is_not_sunspec() -> None:
    with pytest.raises(NotSunSpecError, match="40000, 0, 50000"):
        found(Registers(40000, bytes(400)))


def test_a_chain_without_end_is_given_up() -> None:
    with pytest.raises(NotSunSpecError, match="no end"):
        found(Registers(40000, b"SunS" + struct.pack(">HH", 64000, 0) * 200))


def test_an_unknown_model_is_stepped_over() -> None:
    body = pysunspec_image(COMMON, INVERTER)
    inserted = body[:140] + struct.pack(">HHHH", 64999, 2, 7, 7) + body[140:]
    device = found(Registers(40000, inserted))
    assert [m.model_id for m in device.models] == [1, 64999, 103]
    assert asyncio.run(device.read(103, "W")) == {"W": 12340.0}


def test_common_model_one_register_short_is_read() -> None:
    body = bytearray(pysunspec_image(COMMON, INVERTER))
    body[6:8] = struct.pack(">H", 65)
    del body[4 + 2 * 67 : 4 + 2 * 68]  # the pad
    device = found(Registers(40000, bytes(body)))
    assert [m.model_id for m in device.models] == [1, 103]
    assert asyncio.run(device.identity()).serial == "serial-1"


def test_values_agree_with_pysunspec2_point_by_point() -> None:
    for data in (INVERTER, CURVE, {"ID": 704, "WSet": -31234, "WSet_SF": -1, "WSetEna": 1}):
        model = oracle.Model(data["ID"], data=data)
        device = found(Registers(40000, pysunspec_image(COMMON, data)))
        values = asyncio.run(device.read(data["ID"]))
        checked = 0
        for name, point in model.points.items():
            if name in ("ID", "L"):
                continue
            mine, theirs = values[name], point.cvalue
            if theirs is None:
                assert mine is None or (point.pdef["type"].startswith("acc") and mine == 0) or name == "Pad"
            else:
                assert mine == pytest.approx(theirs, rel=1e-12)
                checked += 1
        assert checked >= 3


def test_repeating_groups_are_addressed_by_path_and_scaled_by_the_models_factor() -> None:
    device = found(Registers(40000, pysunspec_image(COMMON, CURVE)))
    values = asyncio.run(device.read(705, "Crv[0].Pt[1].V", "Crv[1].Pt[0].V", "Crv[0].Pt[1].Var"))
    assert values == {"Crv[0].Pt[1].V": 108.0, "Crv[1].Pt[0].V": 100.0, "Crv[0].Pt[1].Var": -30.0}


def test_value_and_scale_factor_travel_in_one_block() -> None:
    image = Registers(40000, pysunspec_image(COMMON, INVERTER))
    device = found(image)
    (plan,) = device.plan(103, ("W", "WH"))
    image.reads.clear()
    asyncio.run(device.read_block(plan))
    assert len(image.reads) == 1
    # the factor jumps by 10 while the device runs: the value jumps with it, never alone
    at = 2 * (device.model(103).address - 40000 + device.layout(103).point("W_SF").offset)
    image.data[at : at + 2] = struct.pack(">h", 2)
    assert asyncio.run(device.read_block(plan))["W"] == 123400.0


def test_a_device_that_allows_few_registers_is_read_in_more_blocks() -> None:
    image = Registers(40000, pysunspec_image(COMMON, INVERTER), most=60)
    device = found(image)
    assert asyncio.run(device.read(103))["W"] == 12340.0
    narrow = found(Registers(40000, pysunspec_image(COMMON, {"ID": 701, "W": 5, "W_SF": 0}), most=60))
    with pytest.raises(PointError, match="W and its scale factor span"):
        narrow.plan(701, ("W",))


@pytest.mark.parametrize("sf", [11, -11, 32767, -32768])
def test_a_scale_factor_out_of_range_makes_the_value_unknown(sf) -> None:
    image = Registers(40000, pysunspec_image(COMMON, INVERTER))
    device = found(image)
    at = 2 * (device.model(103).address - 40000 + device.layout(103).point("W_SF").offset)
    image.data[at : at + 2] = struct.pack(">h", sf)
    assert asyncio.run(device.read(103, "W")) == {"W": None}
    assert valid_sf(sf) is None


def test_a_map_that_shifts_is_noticed() -> None:
    image = Registers(40000, pysunspec_image(COMMON, INVERTER))
    device = found(image)
    asyncio.run(device.check_map())
    image.data[4 + 136 + 2 : 4 + 136 + 4] = struct.pack(">H", 60)
    with pytest.raises(MapChangedError, match="was model 103 with 52 registers, now 103 with 62"):
        asyncio.run(device.check_map())


INTEGER_KINDS = [
    k for k in mb.point_type_info if k not in ("string", "ipv6addr", "eui48", "float32", "float64")
]


@pytest.mark.parametrize("kind", INTEGER_KINDS)
def test_integers_and_sentinels_are_those_of_the_specification(kind) -> None:
    info = mb.point_type_info[kind]
    point = PointDef("p", kind, 0, info.len, None, True, "", frozenset())
    for raw in (1, 17, 255):
        assert point.encode(raw) == info.to_data(raw)
        assert point.decode(info.to_data(raw)) == raw
    sentinel = mb.create_unimpl_value(kind)
    assert point.encode(None) == sentinel
    if kind.startswith("acc") or kind == "pad":
        assert point.decode(sentinel) == 0  # a counter that has just started is a number
    else:
        assert point.decode(sentinel) is None
        with pytest.raises(PointError, match="sentinel"):
            point.encode(mb.unimpl_value[kind])
    with pytest.raises(PointError, match="does not fit"):
        point.encode(1 << 70)


@pytest.mark.parametrize("pattern", ["7fc00000", "7fbfff80", "ffc00000", "7f800001"])
def test_every_nan_is_no_number(pattern) -> None:
    point = PointDef("p", "float32", 0, 2, None, False, "", frozenset())
    assert point.decode(bytes.fromhex(pattern)) is None
    assert point.decode(struct.pack(">f", 1.5)) == 1.5


def test_strings_and_addresses() -> None:
    text = PointDef("p", "string", 0, 4, None, False, "", frozenset())
    assert text.decode(text.encode("SN-1")) == "SN-1"
    assert text.decode(bytes(8)) is None
    assert text.decode(b"\xff\xfeabc\0\0\0") == "\ufffd\ufffdabc"
    with pytest.raises(PointError, match="longer"):
        text.encode("123456789")


def test_scaling_is_correctly_rounded() -> None:
    assert [scaled(1005, -3), scaled(3, -1), scaled(12, 2)] == [1.005, 0.3, 1200.0]
    for sf in range(-10, 11):
        for raw in (-32767, -1, 0, 1, 999, 32767):
            assert unscaled(scaled(raw, sf), sf) == raw
    assert unscaled(1.005, -2) == 100
    assert math.isclose(scaled(7, -7), 7e-7, rel_tol=1e-15)


def test_writing_checks_name_access_enumeration_and_range() -> None:
    device = found(Registers(40000, pysunspec_image(COMMON, {"ID": 704, "WSet_SF": -1, "WSetPct_SF": 0})))

    async def write(name: str, value: float) -> float:
        return await device.write(704, name, value)

    assert asyncio.run(write("WSet", -1234.56)) == -1234.6  # what the registers hold, not what was asked
    assert asyncio.run(device.read(704, "WSet")) == {"WSet": -1234.6}
    for name, value, text in (
        ("WSetRvrtRem", 1, "cannot be written"),
        ("WSetEna", 2, r"knows \[0, 1\], got 2"),
        ("WSet", 1e12, "does not fit"),
        ("WSte", 1, "did you mean 'WSet'"),
        ("WMaxLimPct", 50, "holds no number"),  # its scale factor is not implemented
    ):
        with pytest.raises(PointError, match=text):
            asyncio.run(write(name, value))


def test_every_model_of_the_issue_has_a_layout_of_the_published_length() -> None:
    # lengths with ID and L, as the SunSpec tables print them
    published = {1: 68, 101: 52, 102: 52, 103: 52, 111: 62, 112: 62, 113: 62, 120: 28, 121: 32, 122: 46, 123: 26,
                 124: 26, 201: 107, 202: 107, 203: 107, 204: 107, 701: 155, 702: 52, 703: 19, 713: 9, 715: 9}  # fmt: skip
    assert {m: model_from_values(m).length for m in published} == published

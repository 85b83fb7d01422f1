"""Every SunSpec model of the list: what pysunspec2 encodes our decoder reads, and what our image holds its client reads."""

import asyncio
import math
import threading
from itertools import count

import pytest
import sunspec2.device as oracle
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from adapters.modbus.errors import DeviceRefusedError
from adapters.modbus.port import LinkTiming
from adapters.modbus.sunspec import discover
from rigs.control_points import ALLOWED
from rigs.emulator.image import SunSpecImage
from rigs.emulator.server import Connections, serve_tcp

CURVES, TRIPS = {"NPt": 3, "NCrv": 2}, {"NPt": 2, "NCrvSet": 2}
MODELS: dict[int, dict] = {
    **{m: {} for m in (1, 101, 102, 103, 111, 112, 113, 120, 121, 122, 123, 124)},
    160: {"N": 2, "module": [{}, {}]},
    **{m: {} for m in (201, 202, 203, 204, 701, 702, 703, 704)},
    **dict.fromkeys((705, 706), CURVES),
    **dict.fromkeys((707, 708, 709, 710), TRIPS),
    711: {"NCtl": 2}, 712: CURVES, 713: {}, 714: {"NPrt": 2}, 715: {}, 802: {},
}  # fmt: skip
READ_ONLY_BY_US = (703, 707, 708, 709, 710)
COUNTS = ("ID", "L", "N", "NPt", "NCrv", "NCrvSet", "NCtl", "NPrt", "Pad")


def filled(model_id: int) -> oracle.Model:
    """A model of pysunspec2 with another number in every point."""
    model = oracle.Model(model_id, data={"ID": model_id, **MODELS[model_id]})
    numbers = count(1)

    def fill(group) -> None:
        for name, point in group.points.items():
            kind, i = point.pdef["type"], next(numbers)
            if name in COUNTS or kind == "pad":
                continue
            if kind == "sunssf":
                point.value = -(i % 4)
            elif kind.startswith("enum") and point.pdef.get("symbols"):
                point.value = int(point.pdef["symbols"][i % len(point.pdef["symbols"])]["value"])
            elif kind == "string":
                point.value = f"text {i}"
            elif kind.startswith("float"):
                point.value = i + 0.5
            elif kind.startswith(("ip", "eui")):
                continue
            else:
                point.value = 100 + i
        for child in group.groups.values():
            for item in child if isinstance(child, list) else [child]:
                fill(item)

    fill(model)
    model.points["ID"].value, model.points["L"].value = model_id, model.len - 2
    return model


def flat(group, prefix: str = "") -> dict[str, object]:
    """Scaled values of a model of pysunspec2 by path; what it does not hold is left out."""
    values = {
        prefix + n: p.cvalue for n, p in group.points.items() if n not in ("ID", "L") and p.cvalue is not None
    }
    for name, child in group.groups.items():
        listed = isinstance(child, list)
        for i, item in enumerate(child if listed else [child]):
            values |= flat(item, f"{prefix}{name}[{i}]." if listed else f"{prefix}{name}.")
    return values


class Registers:
    """A port over an image."""

    name, connected, timing = "image", True, LinkTiming()

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def read(self, unit, address, count, table="holding") -> bytes:
        at = 2 * (address - 40000)
        if not 0 <= at <= len(self.data) - 2 * count:
            raise DeviceRefusedError("read", 2)
        return self.data[at : at + 2 * count]


@pytest.fixture(scope="module")
def theirs() -> dict[int, oracle.Model]:
    return {model_id: filled(model_id) for model_id in MODELS}


@pytest.fixture(scope="module")
def ours(theirs):
    """Our device over the registers that pysunspec2 packed, and all of its values."""
    packed = b"".join(model.get_mb() for model in theirs.values())
    device = asyncio.run(discover(Registers(b"SunS" + packed + b"\xff\xff\x00\x00"), 1))  # type: ignore[arg-type]
    assert [m.model_id for m in device.models] == list(MODELS)
    return device


def same(got: object, expected: object) -> bool:
    if isinstance(expected, str):
        return got == expected
    return isinstance(got, float) and math.isclose(got, float(expected), rel_tol=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize("model_id", MODELS)
def test_our_decoder_reads_what_pysunspec2_packed(ours, theirs, model_id) -> None:
    got, expected = asyncio.run(ours.read(model_id)), flat(theirs[model_id])
    assert len(expected) >= 5
    wrong = {n: (got.get(n), v) for n, v in expected.items() if n != "Pad" and not same(got.get(n), v)}
    assert not wrong


@pytest.fixture(scope="module")
def client(theirs):
    """pysunspec2's client on an image of ours with the same values, behind our server."""
    image = SunSpecImage([(m, groups or None) for m, groups in MODELS.items()])
    for model_id, model in theirs.items():
        values = flat(model)
        for name in sorted(values, key=lambda n: not n.endswith("_SF")):
            if name.rpartition(".")[2] not in ("ID", "L", "Pad"):
                image.put(model_id, name, values[name])  # type: ignore[arg-type]
    image.read_only = frozenset(READ_ONLY_BY_US)
    loop, connections = asyncio.new_event_loop(), Connections()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server, port = asyncio.run_coroutine_threadsafe(
        serve_tcp({1: image}, "127.0.0.1", 0, connections), loop
    ).result()
    found = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=30)
    try:
        found.scan()
        yield found
    finally:
        found.close()

    async def end() -> None:
        server.close()
        connections.drop()
        await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize("model_id", MODELS)
def test_pysunspec2s_client_reads_what_our_image_holds(client, theirs, model_id) -> None:
    (model,) = client.models[model_id]
    assert not model.error_info
    got, expected = flat(model), flat(theirs[model_id])
    assert {n: v for n, v in expected.items() if n not in COUNTS and not same(got.get(n) if isinstance(got.get(n), str)
            else float(got.get(n, math.nan)), v)} == {}  # fmt: skip


@pytest.mark.parametrize("model_id", READ_ONLY_BY_US)
def test_grid_protection_is_read_only_over_the_wire_and_no_point_of_ours_to_write(client, model_id) -> None:
    (model,) = client.models[model_id]
    switch = model.points["ES" if model_id == 703 else "Ena"]
    switch.value = 1 - switch.value
    with pytest.raises(Exception, match="exception: 2"):
        switch.write()
    assert model_id not in ALLOWED

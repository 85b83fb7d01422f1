"""Every kind of emulated device, driven by two independent clients (pysunspec2 and pymodbus) and by our own
bench."""

import asyncio
from collections.abc import Iterator

import pytest
from pymodbus.client import ModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from rigs.device import Ambient, Command, Quality, RoleSpec
from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.open_bench import open_bench

BATTERY = RoleSpec("h.battery", "battery", 5000.0, 10000.0, 0.5, 0.95)
PV = RoleSpec("h.pv", "pv_inverter", 8000.0)
CAR = RoleSpec("h.ev", "ev_charger", 11000.0, 60000.0, 0.5, 0.92)
METER = RoleSpec("h.meter", "meter", 20000.0)
ROLES = (BATTERY, PV, CAR, METER)


@pytest.fixture
def bench(write_bench, bench_text) -> Iterator:
    with open_bench(write_bench(bench_text(roles=ROLES)), ROLES) as opened:
        yield opened


@pytest.fixture
def watched(write_bench, bench_text) -> Iterator:
    """The same devices, only observed by us: other clients write."""
    with open_bench(write_bench(bench_text(roles=ROLES, mode="observe")), ROLES) as opened:
        yield opened


def port_of(bench, role: RoleSpec) -> int:
    return bench._wired[role.role].emulator.port


def sunspec_client(port: int) -> SunSpecModbusClientDeviceTCP:
    client = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=2)
    client.scan()
    return client


@pytest.mark.parametrize(("role", "models"), [(BATTERY, [1, *range(701, 714), 715]),
                                              (PV, [1, 103, 120, 121, 123, *range(701, 713), 715]),
                                              (METER, [1, 203])])  # fmt: skip
def test_pysunspec2_scans_every_sunspec_device_without_an_error(bench, role, models) -> None:
    client = sunspec_client(port_of(bench, role))
    try:
        assert [m.model_id for m in client.model_list] == models
        assert [m.error_info for m in client.model_list] == [""] * len(models)
        assert client.common[0].Mn.value == "p2p-grid-twin"
    finally:
        client.close()


def test_pysunspec2_drives_the_battery(watched) -> None:
    client = sunspec_client(port_of(watched, BATTERY))
    try:
        control = client.models[704][0]
        control.WSetMod.value, control.WSet.cvalue, control.WSetEna.value = 1, -2000, 1
        control.write()
        watched.inject(BATTERY.role, "advance", step_s=900)
        measured = client.models[701][0]
        measured.read()
        assert measured.W.cvalue == pytest.approx(-2000, abs=1)
        assert measured.TotWhAbs.cvalue == pytest.approx(500, abs=1)
    finally:
        client.close()


def test_pymodbus_drives_the_inverter_and_reads_back_at_once(watched) -> None:
    with ModbusTcpClient("127.0.0.1", port=port_of(watched, PV)) as client:
        assert client.read_holding_registers(40000, count=2, device_id=1).registers == [0x5375, 0x6E53]
        image = build(EmulatorConfig("x", "pv_inverter", 8000.0)).image
        limit, enable = image.address(123, "WMaxLimPct"), image.address(123, "WMaxLim_Ena")
        assert not client.write_register(limit, 2500, device_id=1).isError()
        assert client.read_holding_registers(limit, count=1, device_id=1).registers == [2500]
        assert not client.write_registers(enable, [1], device_id=1).isError()
        assert client.write_register(limit, 10001, device_id=1).exception_code == 3  # more than 100 %
        assert client.write_register(enable, 2, device_id=1).exception_code == 3  # not in the enumeration
        assert client.write_register(image.address(103, "W"), 1, device_id=1).exception_code == 2  # read only
        watched.inject(PV.role, "advance", step_s=60, p_available_w=6000)
        assert client.read_holding_registers(image.address(103, "W"), count=1, device_id=1).registers[0] == (
            pytest.approx(2000, abs=2)
        )


def test_pymodbus_drives_the_wallbox(watched) -> None:
    with ModbusTcpClient("127.0.0.1", port=port_of(watched, CAR)) as client:
        assert not client.write_registers(5004, [10000], device_id=1).isError()
        assert client.read_holding_registers(1100, count=2, device_id=1).registers == [0, 10000]
        assert client.write_registers(5004, [3000], device_id=1).exception_code == 3  # below 6 A
        assert client.read_holding_registers(5004, count=1, device_id=1).exception_code == 2  # write only
        watched.inject(CAR.role, "advance", step_s=3600)
        high, low = client.read_holding_registers(1020, count=2, device_id=1).registers
        assert (high << 16 | low) / 1000 == pytest.approx(6900, abs=0.5)  # 10 A on three phases of 230 V


def test_a_car_charges_at_its_limit_until_it_is_full(bench) -> None:
    role = CAR.role
    first = bench.step(0, 900, {role: Command(-6900.0)}, {})[role]
    assert first.quality is Quality.GOOD, first.note
    assert first.p_gen_w == pytest.approx(-6900, abs=1)
    assert first.energy_import_wh == pytest.approx(
        1725 + 11.5, abs=1.5
    )  # 11.5 Wh flowed in the 10 s in which its failsafe was proven
    idle = bench.step(900, 900, {role: Command(-3000.0)}, {})[
        role
    ]  # 4.3 A: a wallbox cannot charge below 6 A
    assert idle.p_gen_w == pytest.approx(0, abs=1)
    for k in range(2, 16):
        last = bench.step(900 * k, 900, {role: Command(-11000.0)}, {})[role]
    assert last.energy_import_wh == pytest.approx(30000 / 0.92, abs=0.5)
    assert last.p_gen_w == 0


def test_a_meter_registers_the_flow_it_is_told_of_with_our_sign(bench) -> None:
    step = bench.step(0, 900, {}, {METER.role: Ambient(p_available_w=-4000.0)})[METER.role]
    assert (step.p_gen_w, step.energy_import_wh, step.energy_export_wh) == (-4000, 1000, 0)
    step = bench.step(900, 900, {}, {METER.role: Ambient(p_available_w=2000.0)})[METER.role]
    assert (step.p_gen_w, step.energy_import_wh, step.energy_export_wh) == (2000, 1000, 500)


def test_the_wallbox_falls_back_to_its_failsafe_current() -> None:
    device = build(EmulatorConfig("x", "ev_charger", 11000.0, 60000.0, 0.5, serial="a1"))
    for address, value in ((5016, 6000), (5018, 30), (5004, 15000), (5014, 1)):
        device.image.write(address, value.to_bytes(2, "big"))
    device.advance(29)
    assert device.process.target_w == -15 * 690
    device.advance(2)
    assert device.process.target_w == -6 * 690


@pytest.mark.parametrize(("inputs", "state", "draws_w"), [((0, 1), 1, 0), ((0, 0), 2, 800), ((1, 0), 3, 1800),
                                                          ((1, 1), 4, 3000)])  # fmt: skip
def test_a_heat_pump_follows_its_sg_ready_state(inputs, state, draws_w) -> None:
    device = build(EmulatorConfig("x", "heat_pump", 3000.0))
    device.surroundings(800.0, 1.0)
    device.image.write(4001, b"".join(i.to_bytes(2, "big") for i in inputs))
    assert device.image.read(5000, 1) == state.to_bytes(2, "big")
    device.advance(3600)
    assert device.process.import_wh == pytest.approx(draws_w, abs=0.1)
    device.image.write(4000, b"\0\0")  # interface off: normal operation
    assert device.image.read(5000, 1) == b"\0\2"


def test_a_reversion_timer_runs_in_the_devices_own_time_and_only_while_enabled() -> None:
    device = build(EmulatorConfig("x", "battery", 5000.0, 10000.0, 0.5))
    image = device.image

    def write(name: str, value: float) -> None:
        asyncio.run(asyncio.sleep(0))
        point = image.layouts[704].points[name]
        raw = round(value * 10 ** -image._sf(704, name))
        image.write(image.address(704, name), point.encode(raw))

    write("WSet", 3000)
    write("WSetRvrt", 500)
    write("WSetEnaRvrt", 1)
    write("WSetRvrtTms", 100)
    device.advance(200)
    assert image.get(704, "WSet") == 3000  # inert while the function is disabled
    write("WSetEna", 1)
    device.advance(60)
    assert image.get(704, "WSetRvrtRem") == 40
    write("WSet", 2500)  # any write to the function starts it anew
    device.advance(99)
    assert device.process.target_w == 2500
    device.advance(2)
    assert device.process.target_w == 500
    assert device.meter.mean_w == pytest.approx((1 * 2500 + 1 * 500) / 2, rel=0.06)

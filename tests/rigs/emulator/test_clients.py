"""Every kind of emulated device, over sockets and serial lines, scanned and driven by pysunspec2 and pymodbus."""

import asyncio
from typing import Any

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceRTU, SunSpecModbusClientDeviceTCP

from rigs.emulator.__main__ import build
from rigs.emulator.config import EmulatorConfig
from rigs.emulator_process import EmulatorProcess

STORES = ("battery", "ev_charger")
KINDS = ("battery", "ev_charger", "heat_pump", "meter", "pv_inverter")
SUNSPEC = {
    "battery": [1, *range(701, 714), 715],
    "meter": [1, 203],
    "pv_inverter": [1, 103, 120, 121, 123, *range(701, 713), 715],
}
SERIAL = {"baudrate": 115200, "parity": "N", "timeout": 3}


def config(kind: str, link: str = "tcp") -> EmulatorConfig:
    capacity_wh = 20_000.0 if kind in STORES else 0.0
    return EmulatorConfig("d", kind, 9000.0, capacity_wh, 0.5, serial="a1", model=kind, link=link)


def sunspec(link: str, where: EmulatorProcess) -> Any:
    if link == "rtu":
        return SunSpecModbusClientDeviceRTU(slave_id=1, name=where.path, **SERIAL)
    return SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=where.port, timeout=3)


def drive_by_pysunspec2(kind: str, link: str, where: EmulatorProcess) -> None:
    client = sunspec(link, where)
    try:
        client.scan()
        assert [m.model_id for m in client.model_list] == SUNSPEC[kind]
        assert [m.error_info for m in client.model_list] == [""] * len(SUNSPEC[kind])
        assert client.common[0].Md.value == kind
        if kind == "meter":
            return
        for model_id, curve in ((705, 1), (706, 2)):
            function = client.models[model_id][0]
            function.Crv[curve].Pt[0].V.cvalue = 91.0 if model_id == 705 else 104.0
            function.Ena.value = 1
            function.write()
            function.AdptCrvReq.value = curve + 1
            function.write()
            function.read()
            assert (function.AdptCrvRslt.value, function.Ena.value) == (1, 1)
            assert function.Crv[0].Pt[0].V.cvalue == (91.0 if model_id == 705 else 104.0)
        watt_var = client.models[712][0]
        watt_var.Crv[1].Pt[3].Var.cvalue, watt_var.Ena.value = -30.0, 1
        watt_var.write()
        watt_var.AdptCrvReq.value = 2
        watt_var.write()
        droop = client.models[711][0]
        droop.Ctl[1].KOf.cvalue, droop.Ena.value = 0.04, 1
        droop.write()
        droop.AdptCtlReq.value = 2
        droop.write()
        for function, shown in ((watt_var, "Crv"), (droop, "Ctl")):
            function.read()
            assert (getattr(function, f"Adpt{shown}Rslt").value, function.Ena.value) == (1, 1)
        assert watt_var.Crv[0].Pt[3].Var.cvalue == -30
        assert droop.Ctl[0].KOf.cvalue == 0.04
        control = client.models[704][0]
        control.WMaxLimPct.cvalue, control.WMaxLimPctEna.value = 50.0, 1
        control.write()
        control.read()
        assert control.WMaxLimPct.cvalue == 50
    finally:
        client.close()


def drive_by_pymodbus(kind: str, link: str, where: EmulatorProcess) -> None:
    client: Any = (
        ModbusSerialClient(where.path, **SERIAL) if link == "rtu" else ModbusTcpClient("127.0.0.1", port=where.port)
    )  # fmt: skip
    image = build(config(kind)).image
    try:
        assert client.connect()
        if kind in SUNSPEC:
            assert client.read_holding_registers(40000, count=2, device_id=1).registers == [0x5375, 0x6E53]
        if kind == "meter":
            where_w = image.address(203, "W")
            assert client.write_registers(where_w, [1], device_id=1).exception_code == 2
            return
        address, value = {
            "battery": (image.address(704, "WSetMod") if kind == "battery" else 0, 0),
            "pv_inverter": (image.address(123, "WMaxLimPct") if kind == "pv_inverter" else 0, 3300),
            "ev_charger": (5004, 8000),
            "heat_pump": (4001, 1),
        }[kind]
        assert not client.write_registers(address, [value], device_id=1).isError()
        assert not client.write_register(address, value, device_id=1).isError()
        shown = {"ev_charger": (1100, [0, 8000]), "heat_pump": (4001, [1])}.get(kind, (address, [value]))
        held = client.read_holding_registers(shown[0], count=len(shown[1]), device_id=1)
        assert held.registers == shown[1]
        if kind in SUNSPEC:  # grid protection is not for sale
            ours = image.address(708, "Ena")
            assert client.write_registers(ours, [0], device_id=1).exception_code == 2
    finally:
        client.close()


@pytest.mark.parametrize("link", ["tcp", pytest.param("rtu", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_two_independent_clients_scan_and_drive_every_kind(kind, link) -> None:
    async def main() -> None:
        where = EmulatorProcess(config(kind, link))
        try:
            await where.ready()
            if kind in SUNSPEC:
                await asyncio.to_thread(drive_by_pysunspec2, kind, link, where)
            await asyncio.to_thread(drive_by_pymodbus, kind, link, where)
        finally:
            where.end()

    asyncio.run(main())

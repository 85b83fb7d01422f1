"""TLS roles with the public test certificates of pysunspec2, and RTU over a pty with its client as the other
side."""

import asyncio
from pathlib import Path

import pytest
import sunspec2
from sunspec2.modbus.client import SunSpecModbusClientDeviceRTU

from adapters.modbus.errors import DeviceRefusedError, ModbusError
from adapters.modbus.port import LinkTiming
from adapters.modbus.tls import TlsFiles, TlsPort, role_of
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.links import crc16
from rigs.emulator_process import EmulatorProcess

PKI = Path(sunspec2.__file__).parent / "tests" / "tls_data"
CLIENTS = {p.stem: p for p in sorted((PKI / "client").rglob("*.crt"))}


def files(certificate: Path) -> TlsFiles:
    return TlsFiles(PKI / "ca" / "server_ca_chain.crt", certificate, certificate.with_suffix(".key"))


async def attempt(certificate: Path) -> tuple[str, str]:
    """Return what reading and writing came to with one client certificate: ok, refused or no link."""
    server = PKI / "server" / "tls1_3" / "server_valid"
    emulator = EmulatorProcess(
        EmulatorConfig(
            "h.battery",
            "battery",
            5000.0,
            10000.0,
            0.5,
            link="tls",
            tls_authorities=str(PKI / "ca" / "client_ca_chain.crt"),
            tls_certificate=f"{server}.crt",
            tls_key=f"{server}.key",
        )
    )
    try:
        await emulator.ready()
        port = TlsPort("127.0.0.1", emulator.port, files(certificate), LinkTiming(timeout_s=2.0))
        results = []
        for act in (lambda: port.read(1, 40000, 2), lambda: port.write(1, 40295, b"\0\1")):
            try:
                await port.connect()
                await act()
                results.append("ok")
            except DeviceRefusedError as error:
                results.append("refused" if error.code == 1 else f"exception {error.code}")
            except ModbusError:
                results.append("no link")
        await port.close()
        return results[0], results[1]
    finally:
        emulator.end()


EXPECTED = {
    "client_gridservice": ("ok", "ok"),
    "client_superadmin": ("ok", "ok"),
    "client_netadmin": ("ok", "ok"),
    "client_readonly": ("ok", "refused"),
    "malformed": ("refused", "refused"),
    "no_role": ("refused", "refused"),
    "expired": ("no link", "no link"),
    "foreign": ("no link", "no link"),
    "self_signed": ("no link", "no link"),
}


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_the_role_in_the_certificate_decides(name) -> None:
    key = next((k for k in EXPECTED if k in name), None)
    assert key is not None, f"a certificate without an expectation: {name}"
    read, write = asyncio.run(attempt(CLIENTS[name]))
    expected = EXPECTED[key]
    # a write that the role allows reaches the map, where this register may still be read only
    assert (read, "ok" if write.startswith("exception") else write) == expected


def test_roles_are_read_from_the_certificate_and_from_nothing_else() -> None:
    assert role_of(b"") is None
    assert role_of(b"\x30\x82\xff\xff") is None
    assert role_of(b"\x30\x03\x02\x01\x05") is None


@pytest.mark.parametrize(("frame", "crc"), [("01030000000a", "c5cd"), ("1103006b0003", "7687")])
def test_crc_by_published_frames(frame, crc) -> None:
    assert crc16(bytes.fromhex(frame)).hex() == crc


def test_pysunspec2_scans_and_drives_a_device_over_rtu() -> None:
    async def main() -> None:
        emulator = EmulatorProcess(EmulatorConfig("h.battery", "battery", 5000.0, 10000.0, 0.5, link="rtu"))
        try:
            await emulator.ready()
            await asyncio.to_thread(drive, emulator.path)
            await emulator.ask("advance", step_s=900)
            truth = await emulator.ask("truth")
            assert truth["import_wh"] == pytest.approx(500, abs=0.1)
        finally:
            emulator.end()

    def drive(path: str) -> None:
        client = SunSpecModbusClientDeviceRTU(slave_id=1, name=path, baudrate=115200, parity="N", timeout=2)
        try:
            client.scan()
            assert [m.model_id for m in client.model_list] == [1, *range(701, 714), 715]
            control = client.models[704][0]
            control.WSetMod.value, control.WSet.cvalue, control.WSetEna.value = 1, -2000, 1
            control.write()
            control.read()
            assert control.WSet.cvalue == -2000
        finally:
            client.close()

    asyncio.run(main())

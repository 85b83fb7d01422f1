"""What the supervisor would do, over every link: who answers is looked at first, then written, then read back."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
import sunspec2

from rigs.ac_source import BenchSource
from rigs.bench_sections import AcSourceSection, DeviceSection, IdentitySection
from rigs.charge import SourceCharge, as_plain, charge_of, from_plain
from rigs.device import RoleSpec
from rigs.emulator_process import EmulatorProcess
from rigs.errors import DeviceMismatchError, RigError
from rigs.gate_rules import GateMemory
from rigs.links import emulator_config
from rigs.wire import WireDevice

BATTERY = RoleSpec("h.battery", "battery", 5000.0, 10000.0, 0.5)
CAR = RoleSpec("h.ev", "ev_charger", 11000.0, 60000.0, 0.4)
PKI = Path(sunspec2.__file__).parent / "tests" / "tls_data"
OURS = {
    "authorities": f"{PKI}/ca/server_ca_chain.crt",
    "certificate": f"{PKI}/client/tls1_3/client_gridservice.crt",
    "key": f"{PKI}/client/tls1_3/client_gridservice.key",
}
ITS = {
    "authorities": f"{PKI}/ca/client_ca_chain.crt",
    "certificate": f"{PKI}/server/tls1_3/server_valid.crt",
    "key": f"{PKI}/server/tls1_3/server_valid.key",
}
LINKS = {
    "tcp": {"emulated": {"clock": "wall"}},
    "tls": {"tls": OURS, "emulated": {"clock": "wall", "link": "tls", "tls": ITS}},
    "rtu": {"emulated": {"clock": "wall", "link": "rtu"}},
}


def with_device(spec: RoleSpec, link: str, work) -> None:
    async def main() -> None:
        words = "the test has no time for it"
        section = DeviceSection(driver="emulated", mode="armed", no_reversion_because=words, **LINKS[link])
        process = EmulatorProcess(emulator_config(spec, section, Path()))
        wire = WireDevice(spec, section, process, GateMemory(lambda: "d"), lambda k, c: None, False)
        try:
            await wire.open()
            await work(wire)
        finally:
            await wire.close()

    asyncio.run(main())


async def travelled(wire: WireDevice):
    """A charge after its way to another process, with our own link given up, as it is when we are dead."""
    charge = from_plain(json.loads(json.dumps(as_plain(await charge_of("h.x", wire, Path())))))
    await wire._port.close()
    return charge


@pytest.mark.parametrize("link", LINKS)
def test_a_battery_is_made_safe_over_every_link_and_another_one_is_never_written(link) -> None:
    async def work(wire: WireDevice) -> None:
        await wire.gate.order(2000.0, 0.0)
        charge = await travelled(wire)
        *rest, (table, address, serial) = charge.identity
        other = replace(charge, identity=(*rest, (table, address, b"OTHER".ljust(len(serial), b"\0"))))
        assert "another device answers" in await other.make_safe()
        await wire.rejoin()
        held = await wire.device.read(704, "WSet", "WSetEna")
        assert (held["WSet"], held["WSetEna"]) == (2000.0, 1.0), "no frame of it was a write"
        await wire._port.close()
        assert await charge.make_safe() == ""
        await wire.rejoin()
        held = await wire.device.read(704, "WSet", "WSetEna", "WSetRvrt", "WSetEnaRvrt")
        assert held == {"WSet": 0.0, "WSetEna": 1.0, "WSetRvrt": 0.0, "WSetEnaRvrt": 1.0}

    with_device(BATTERY, link, work)


def test_a_wallbox_is_read_back_where_its_map_says() -> None:
    """KEBA's 5004 cannot be read; the limit in force (1100) shows what was written there, in another type."""

    async def work(wire: WireDevice) -> None:
        await wire.gate.order(-5520.0, 0.0)
        assert (await wire.device.read(0, "MaxCurrent"))["MaxCurrent"] == 8.0
        charge = await travelled(wire)
        shown = {address: data for _, address, data in charge.readback}
        assert shown[1100] == bytes(4) and 5004 not in shown
        assert 5004 in dict(charge.writes)
        other = replace(charge, identity=(("holding", 1014, b"\0\0\0\1"),))
        assert "another device answers" in await other.make_safe()
        lying = replace(charge, readback=(("holding", 1100, b"\0\0\0\1"),))
        assert await lying.make_safe() == "register 1100 reads otherwise"
        assert await charge.make_safe() == ""
        await wire.rejoin()
        assert (await wire.device.read(0, "MaxCurrent"))["MaxCurrent"] == 0.0

    with_device(CAR, "tcp", work)


def test_a_real_ac_source_is_only_looked_at_unless_a_person_arms_it() -> None:
    async def main() -> None:
        rig = BenchSource(AcSourceSection(driver="emulated"))
        try:
            await rig.open()
            await rig.energise()
            await rig.apply(0.9)
            host, port = rig.endpoint
            real = AcSourceSection(driver="scpi", host=host, port=port)
            seen = BenchSource(real)
            await seen.open()
            await seen.energise()
            await seen.follow({"a": 1.1}, background=False)
            with pytest.raises(RigError, match="not armed; arm it for a stated time"):
                await seen.apply(1.0)
            await seen.end()
            assert (seen.charge(), await volts(rig)) == (None, pytest.approx(0.9 * 230, abs=0.1))
            maker, model, serial = seen.identity.split(",")[:3]
            wrong = IdentitySection(maker=maker, model=model, serial="x")
            other = BenchSource(real.model_copy(update={"identity": wrong}), armed_for_s=60.0)
            with pytest.raises(
                DeviceMismatchError, match=f"the bench names {maker} {model} x; nothing was set"
            ):
                await other.open()
            await other.close()
            named = IdentitySection(maker=maker, model=model, serial=serial)
            armed = BenchSource(real.model_copy(update={"identity": named}), armed_for_s=60.0)
            await armed.open()
            assert await volts(rig) == pytest.approx(0.9 * 230, abs=0.1), (
                "nothing is set before all are who they should be"
            )
            await armed.energise()
            charge = from_plain(json.loads(json.dumps(as_plain(armed.charge()))))
            assert await volts(rig) == pytest.approx(230, abs=0.1)
            assert await armed.apply(1.1) == pytest.approx(1.1, abs=1e-3)
            await armed._source.link.close()
            assert isinstance(charge, SourceCharge)
            assert "another instrument" in await replace(charge, identity="ACME,X,1,1").make_safe()
            assert await volts(rig) == pytest.approx(1.1 * 230, abs=0.1)
            assert await charge.make_safe() == ""
            assert await volts(rig) == pytest.approx(230, abs=0.1)
            armed._armed_until_s = 0.0
            with pytest.raises(RigError, match="the stated time of arming is over"):
                await armed.apply(1.05)
            await armed.close()
        finally:
            await rig.close()

    async def volts(rig: BenchSource) -> float:
        return (await rig._source.measure()).voltage_v

    asyncio.run(main())

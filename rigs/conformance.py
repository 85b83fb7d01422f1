"""The public SunSpec conformance list, run against any device: pass, fail, or not applicable with the reason.

Source: SunSpec Modbus Conformance for IEEE 1547-2018 Test Procedures 1.0 (2024): names and subjects of the tests. What
writes is only run while a person has armed the device (``rigs.trial``); what was found is put back on every way out.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from adapters.modbus.errors import DeviceRefusedError, ModbusError
from adapters.modbus.port import FrameListener, LinkTiming, ModbusPort
from adapters.modbus.rtu import RtuPort
from adapters.modbus.sunspec import SunSpecDevice, discover
from adapters.modbus.tcp import TcpPort
from rigs.bench_sections import DeviceSection, SerialSection
from rigs.charge import Charge, identity_registers
from rigs.errors import NotArmedError, RigError
from rigs.journal import RigJournal
from rigs.open_bench import default_state
from rigs.rig_lock import RigLock, holder
from rigs.signals import sigterm_raises, uninterrupted
from rigs.supervisor import SupervisorProcess
from rigs.trial import Arming, Trial

Verdict = Literal["pass", "fail", "not applicable"]
_SILENCE_S, _BREATH_S = 2.0, 0.5  # of the supervisor, and of this process


@dataclass(frozen=True)
class ConformanceResult:
    """One test of the list."""

    name: str
    title: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Where:
    """What is tested: host and port, or a serial line (``device`` not empty); ``unit`` behind it."""

    host: str = ""
    port: int = 502
    device: str = ""
    baudrate: int = 19200
    parity: Literal["N", "E", "O"] = "E"
    unit: int = 1

    def link(self, timeout_s: float, listener: FrameListener | None = None) -> ModbusPort:
        """Return an unopened port to it."""
        timing = LinkTiming(timeout_s=timeout_s)
        if self.device:
            return RtuPort(self.device, self.baudrate, self.parity, timing, listener)
        return TcpPort(self.host, self.port, timing, listener)

    @property
    def endpoint(self) -> tuple[str, int, int]:
        """What a lock is taken of: host and port, or the line."""
        return (self.device, 0, 0) if self.device else (self.host, self.port, 0)

    def section(self) -> DeviceSection:
        """Return it as a bench would say it: what the supervisor needs to reach it."""
        if self.device:
            line = SerialSection(device=self.device, baudrate=self.baudrate, parity=self.parity)
            return DeviceSection(driver="modbus", serial=line, unit_id=self.unit)
        return DeviceSection(driver="modbus", host=self.host, port=self.port, unit_id=self.unit)


class NotApplicable(Exception):  # noqa: N818 - a verdict, not an error
    """The test does not fit this device, or was not allowed; the text says why."""


@dataclass
class Subject:
    """The device under test, with the link that discovered it; ``trial`` None while nothing may be written."""

    where: Where
    link: ModbusPort
    device: SunSpecDevice
    trial: Trial | None

    def must_write(self) -> None:
        """Raise ``NotApplicable`` where nobody armed the device."""
        if self.trial is None:
            raise NotApplicable("writes; allow it with --write --arm SECONDS --serial SERIAL")

    async def write(self, model_id: int, name: str, value: float) -> float:
        """Write one point through the trial's gate; returns the value as the registers hold it."""
        self.must_write()
        assert self.trial is not None
        return await self.trial.write(model_id, name, value)

    async def put_back(self, model_id: int, *names: str) -> None:
        """Write back what points held before all tests."""
        if self.trial is not None:
            await self.trial.put_back(model_id, names)


def require(condition: bool, text: str) -> None:
    """Fail the test with a text."""
    if not condition:
        raise ModbusError(text)


Test = Callable[[Subject], Awaitable[str]]
"""Returns what was seen; raises ``ModbusError`` where it fails."""


def conformance(
    where: Where, arming: Arming | None = None, *, state: Path | None = None, log: Path | None = None
) -> list[ConformanceResult]:
    """Run the list against one device.

    Args:
        where: the endpoint.
        arming: what a person stated to let the tests write; None: nothing is written. Never a default.
        state: folder of the locks; default: the user's state folder.
        log: new file for the hash-chained log of every write and frame of an armed run.

    Raises:
        RigError: another harness has the device, it is another one than was named, or it could not be put back.
        ModbusError: nobody answers, or no SunSpec device does.
    """
    if arming is None:
        return asyncio.run(_run(where, None, RigJournal(time.monotonic, _utc), []))
    lock = RigLock((state or default_state()) / "locks", where.endpoint, holder())
    try:
        journal = RigJournal(time.monotonic, _utc, log)
        with sigterm_raises(), contextlib.closing(journal):
            return asyncio.run(_run(where, arming, journal, lock.files))
    finally:
        lock.release()


def _utc() -> str:
    return datetime.now(UTC).isoformat()


async def _run(
    where: Where, arming: Arming | None, journal: RigJournal, held: list[int]
) -> list[ConformanceResult]:
    def heard(sent: bool, frame: bytes) -> None:
        content = {"role": "device", "sent": sent, "hex": frame.hex()}
        journal.note("frame", {**content, "framing": "rtu"} if where.device else content)

    link = where.link(2.0, heard if journal.recording else None)
    await link.connect()
    try:
        device = await discover(link, where.unit)
        if arming is None:
            return await _run_all(Subject(where, link, device, None))
        trial = Trial(device, arming, journal.note, time.monotonic)
        await trial.open()
        journal.note("armed", {"where": link.name, "seconds": arming.seconds, "serial": arming.serial})
        async with _put_back(where, trial, held if arming.supervised else None):
            return await _run_all(Subject(where, link, device, trial))
    finally:
        await link.close()


async def _run_all(subject: Subject) -> list[ConformanceResult]:
    from rigs.conformance_functions import FUNCTION_TESTS
    from rigs.conformance_link import LINK_TESTS

    results = []
    for name, title, test in (*LINK_TESTS, *FUNCTION_TESTS):
        results.append(await _verdict(name, title, test, subject))
        if subject.trial is not None and not subject.link.connected:
            subject.trial.link_returned()
        await subject.link.connect()
    return results


@contextlib.asynccontextmanager
async def _put_back(where: Where, trial: Trial, held: list[int] | None) -> AsyncIterator[None]:
    """Put the device back as it was found on every way out; a supervisor does it where this process dies.

    Raises:
        RigError: something could not be put back; the supervisor then tries as well.
    """
    charges = await _charges(where, trial) if held is not None else []
    supervisor = SupervisorProcess(charges, _SILENCE_S, held or ()) if charges else None
    breathing = asyncio.create_task(_breathe(supervisor))
    troubles = ["it was not tried"]
    try:
        yield
    finally:
        with uninterrupted():
            try:
                troubles = await trial.put_back_all()
            finally:
                breathing.cancel()
                if supervisor is not None:
                    await asyncio.to_thread(supervisor.leave if troubles else supervisor.dismiss)
        if troubles:
            raise RigError(f"{trial.device.port.name}: not as it was found: " + "; ".join(troubles))


async def _breathe(supervisor: SupervisorProcess | None) -> None:
    while supervisor is not None:
        supervisor.breathe()
        await asyncio.sleep(_BREATH_S)


async def _charges(where: Where, trial: Trial) -> list[Charge]:
    """Return what the supervisor needs to put the set point back, one per model that has one."""
    host, port, _ = where.endpoint
    return [
        Charge(
            role=f"model {model_id}", section=where.section().model_dump_json(), host=host, port=port, pty="",
            folder=".", unit=where.unit, single_writes=False, identity=await identity_registers(trial.device, model_id),
            writes=tuple(writes), readback=tuple(("holding", *write) for write in writes),
        )
        for model_id, writes in (await trial.undo_registers()).items()
    ]  # fmt: skip


async def _verdict(name: str, title: str, test: Test, subject: Subject) -> ConformanceResult:
    try:
        return ConformanceResult(name, title, "pass", await test(subject))
    except NotApplicable as reason:
        return ConformanceResult(name, title, "not applicable", str(reason))
    except NotArmedError as reason:
        return ConformanceResult(name, title, "not applicable", str(reason))
    except (ModbusError, DeviceRefusedError, OSError) as error:
        return ConformanceResult(name, title, "fail", str(error) or type(error).__name__)

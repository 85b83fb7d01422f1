"""The public SunSpec conformance list, run against any device: pass, fail, or not applicable with the reason.

Source: SunSpec Modbus Conformance for IEEE 1547-2018 Test Procedures 1.0 (2024): names and subjects of the tests. What
writes is only run when the caller allows it, and puts back what it found.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from adapters.modbus.errors import DeviceRefusedError, ModbusError
from adapters.modbus.port import LinkTiming, ModbusPort
from adapters.modbus.rtu import RtuPort
from adapters.modbus.sunspec import SunSpecDevice, discover
from adapters.modbus.tcp import TcpPort

Verdict = Literal["pass", "fail", "not applicable"]


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
    parity: str = "E"
    unit: int = 1

    def link(self, timeout_s: float) -> ModbusPort:
        """Return an unopened port to it."""
        timing = LinkTiming(timeout_s=timeout_s)
        if self.device:
            return RtuPort(self.device, self.baudrate, self.parity, timing)
        return TcpPort(self.host, self.port, timing)


class NotApplicable(Exception):  # noqa: N818 - a verdict, not an error
    """The test does not fit this device, or was not allowed; the text says why."""


@dataclass
class Subject:
    """The device under test, with the link that discovered it."""

    where: Where
    link: ModbusPort
    device: SunSpecDevice
    may_write: bool

    def must_write(self) -> None:
        """Raise ``NotApplicable`` where the caller did not allow writing."""
        if not self.may_write:
            raise NotApplicable("writes; allow it with --write")


def require(condition: bool, text: str) -> None:
    """Fail the test with a text."""
    if not condition:
        raise ModbusError(text)


Test = Callable[[Subject], Awaitable[str]]
"""Returns what was seen; raises ``ModbusError`` where it fails."""


def conformance(where: Where, *, may_write: bool = False) -> list[ConformanceResult]:
    """Run the list against one device.

    Raises:
        ModbusError: nobody answers, or no SunSpec device does.
    """
    return asyncio.run(_run(where, may_write))


async def _run(where: Where, may_write: bool) -> list[ConformanceResult]:
    from rigs.conformance_functions import FUNCTION_TESTS
    from rigs.conformance_link import LINK_TESTS

    link = where.link(timeout_s=2.0)
    await link.connect()
    try:
        subject = Subject(where, link, await discover(link, where.unit), may_write)
        results = []
        for name, title, test in (*LINK_TESTS, *FUNCTION_TESTS):
            results.append(await _verdict(name, title, test, subject))
            await link.connect()
        return results
    finally:
        await link.close()


async def _verdict(name: str, title: str, test: Test, subject: Subject) -> ConformanceResult:
    try:
        return ConformanceResult(name, title, "pass", await test(subject))
    except NotApplicable as reason:
        return ConformanceResult(name, title, "not applicable", str(reason))
    except (ModbusError, DeviceRefusedError, OSError) as error:
        return ConformanceResult(name, title, "fail", str(error) or type(error).__name__)

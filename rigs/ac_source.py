"""The AC source of a bench: real or emulated, held within the bench's voltage limits."""

import asyncio
import math
import os
from collections.abc import Mapping

from adapters.scpi.ac_source import AcSource
from adapters.scpi.errors import ScpiError
from adapters.scpi.link import ScpiLink
from rigs.bench_sections import AcSourceSection
from rigs.charge import SourceCharge
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.terminals import new_terminals
from rigs.emulator_process import EmulatorProcess
from rigs.errors import DeviceMismatchError, RigError

ROLE = "ac_source"


class BenchSource:
    """Use ``open``, ``apply``, ``close``. ``terminals_fd`` is what emulated devices at its terminals inherit; -1
    for a real source, whose wires are real.

    A real source is set only while it is armed, which a person does for a stated time (``armed_for_s``); else it is
    asked who it is, and nothing more.
    """

    def __init__(self, section: AcSourceSection, armed_for_s: float | None = None) -> None:
        self.section = section
        self._armed_for_s = armed_for_s
        self._armed_until_s = -math.inf
        self.terminals_fd = new_terminals() if section.driver == "emulated" else -1
        self.emulator: EmulatorProcess | None = None
        self._source: AcSource | None = None
        self._task: asyncio.Task[float] | None = None
        self.identity = ""
        self._touched = False  # whether we may have set anything

    async def open(self) -> None:
        """Connect and ask who it is; sets nothing.

        Raises:
            RigError: it does not answer, or is another instrument than the bench names.
        """
        section = self.section
        if section.driver == "emulated":
            config = EmulatorConfig(
                role=ROLE, kind="ac_source", p_max_w=0.0, link="scpi", clock="wall", model="emulated ac_source",
                serial="1", v_nominal_v=section.v_nominal_v, f_nominal_hz=section.f_nominal_hz,
                terminals_fd=self.terminals_fd,
            )  # fmt: skip
            self.emulator = EmulatorProcess(config)
        if self.emulator is not None:
            await self.emulator.ready()
        link = ScpiLink(*self.endpoint)
        try:
            await link.connect()
            self._source = AcSource(link)
            self.identity = await self._source.identity()
        except ScpiError as error:
            raise RigError(f"{ROLE}: {error}") from error
        if (named := section.identity) is not None and not named.says(self.identity):
            raise DeviceMismatchError(
                f"{ROLE}: {link.name} is {self.identity}, the bench names {named.maker} {named.model} {named.serial}; "
                "nothing was set"
            )

    async def energise(self) -> None:
        """Put it at nominal voltage and frequency with its output on, where it may be set; its time of arming begins.

        Raises:
            RigError: it refuses.
        """
        if not self.may_set or self._source is None:
            return
        try:
            self._touched = True
            self._armed_until_s = asyncio.get_running_loop().time() + (self._armed_for_s or math.inf)
            await self._source.set_frequency(self.section.f_nominal_hz)
            await self._source.set_voltage(self.section.v_nominal_v)
            await self._source.switch(True)
        except ScpiError as error:
            raise RigError(f"{ROLE}: {error}") from error

    @property
    def may_set(self) -> bool:
        """Whether this source may be set at all."""
        return self.section.driver == "emulated" or self._armed_for_s is not None

    def charge(self, with_us: bool = False) -> SourceCharge | None:
        """What a supervisor needs to set it back; None where it is not set, or is emulated and ends ``with_us``."""
        if not self._touched or (with_us and self.section.driver == "emulated"):
            return None
        nominal = self.section.v_nominal_v, self.section.f_nominal_hz
        return SourceCharge(ROLE, *self.endpoint, self.identity, *nominal)

    def wires(self, role: str) -> int:
        """Return what the emulated device of a role inherits: the file of the wires, -1 where it is not fed."""
        return self.terminals_fd if not self.section.feeds or role in self.section.feeds else -1

    async def follow(self, v_pu: Mapping[str, float], *, background: bool) -> None:
        """Apply the mean voltage of the roles at the terminals; one source can do no more than one voltage.

        In the ``background`` nothing is waited for: what went wrong is raised with the next call. A source that may
        not be set stays as it is.
        """
        if not self.may_set:
            return
        fed = [v for role, v in v_pu.items() if not self.section.feeds or role in self.section.feeds]
        if self._task is not None:
            if not self._task.done():
                return
            self._task.result()
        if fed:
            self._task = asyncio.create_task(self.apply(sum(fed) / len(fed)))
            if not background:
                await self._task

    async def end(self) -> None:
        """Make safe, then close whatever that brought."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self.make_safe()
        finally:
            await self.close()

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port; the port of an emulated source is known once it is open."""
        if self.emulator is not None:
            return self.emulator.config.host, self.emulator.port
        return str(self.section.host), self.section.port

    async def apply(self, v_pu: float) -> float:
        """Set a voltage; returns the one that the source measures, in pu.

        Raises:
            RigError: outside the bench's limits (nothing was sent), or the source does not do it.
        """
        least, most = self.section.v_pu
        if not least <= v_pu <= most:
            raise RigError(
                f"{ROLE}: {v_pu:.4f} pu lies outside v_pu [{least}, {most}] of the bench; not sent"
            )
        if not self.may_set:
            raise RigError(f"{ROLE}: not armed; arm it for a stated time with --arm {ROLE}=SECONDS")
        if not asyncio.get_running_loop().time() < self._armed_until_s:
            raise RigError(f"{ROLE}: the stated time of arming is over; not sent")
        try:
            source = self._opened()
            await source.set_voltage(v_pu * self.section.v_nominal_v)
            return (await source.measure()).voltage_v / self.section.v_nominal_v
        except ScpiError as error:
            raise RigError(f"{ROLE}: {error}") from error

    async def make_safe(self) -> None:
        """Go back to nominal voltage and frequency; connects again where the link is gone.

        Raises:
            RigError: it could not be set.
        """
        if self._source is None or not self._touched:
            return
        try:
            await self._source.link.connect()
            if (found := await self._source.identity()) != self.identity:
                raise RigError(
                    f"{ROLE}: not safe: {found} answers instead of {self.identity}; nothing was set"
                )
            await self._source.set_voltage(self.section.v_nominal_v)
            await self._source.set_frequency(self.section.f_nominal_hz)
        except ScpiError as error:
            raise RigError(f"{ROLE}: not safe: {error}") from error

    async def close(self) -> None:
        """Close the link and end an emulated source. Safe from any state and twice."""
        if self._source is not None:
            await self._source.link.close()
        if self.emulator is not None:
            await asyncio.to_thread(self.emulator.end)
        if self.terminals_fd >= 0:
            os.close(self.terminals_fd)
            self.terminals_fd = -1

    def _opened(self) -> AcSource:
        if self._source is None:
            raise RigError(f"{ROLE}: not open")
        return self._source

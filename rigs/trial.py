"""The write gate of a conformance run: one device, armed by a person for a stated time, and put back as it was found.

It is the way of ``rigs.write_gate`` for points that are no orders of power: identity before the first write and after a
lost link, an allow-list of points by name, a log of every write, undo known before the first do.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters.modbus.errors import ModbusError
from adapters.modbus.sunspec import SunSpecDevice, Value
from rigs.arming import LONGEST_S
from rigs.errors import DeviceMismatchError, NotArmedError, RigError
from rigs.gate_rules import Journal
from rigs.open_bench import default_state
from rigs.point_writer import PointWriter
from rigs.trial_points import TRIED, holds_a_setting, may_be_tried

_TRIES, _TRY_EVERY_S = 3, 1.0
_MOVING = {
    704: ("WSetMod", "WSet", "WSetRvrt", "WSetEnaRvrt", "WSetRvrtTms", "WSetEna"),
    123: ("WMaxLimPct", "WMaxLimPct_RvrtTms", "WMaxLim_Ena"),
}
"""What a trial sets to other values than it found, and what could so move power."""


@dataclass(frozen=True)
class Arming:
    """What a person states to arm a device without a bench: for how long, and which serial number must answer.

    ``supervised``: a process beside the harness puts the set point back when the harness dies.
    """

    seconds: float
    serial: str
    supervised: bool = True


def read_arming(write: bool, seconds: float | None, serial: str | None) -> Arming | None:
    """Return what was stated on a command line; None where nothing shall be written.

    Raises:
        RigError: everything that is wrong or missing, at once; nothing was opened.
    """
    given = [text for text, value in (("--arm", seconds), ("--serial", serial)) if value is not None]
    if not write:
        if given:
            raise RigError(f"{' and '.join(given)}: only for --write, which runs the tests that write")
        return None
    problems = []
    if seconds is None:
        problems.append(
            "--write: arm the device for a stated time with --arm SECONDS; nothing is written by default"
        )
    elif not 0 < seconds <= LONGEST_S:
        problems.append(f"--arm {seconds:g}: a time of at most {LONGEST_S} s")
    if not serial:
        problems.append(
            "--write: name the device with --serial SERIAL ('twin rig scan' shows it), so that no other is written to"
        )
    if problems or seconds is None or not serial:
        raise RigError("\n".join(problems))
    return Arming(seconds, serial)


def default_log() -> Path:
    """Return a new file for the log of a run, in the user's state folder."""
    return default_state() / "logs" / f"conformance-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"


class Trial:
    """Writes to one device while it is armed. ``open`` before the first write, ``put_back_all`` on every way out.

    Args:
        device: the discovered device.
        arming: what a person stated.
        journal: hears every intent, decision and undo.
        now_s: monotonic time; the stated time of arming begins now.
    """

    def __init__(
        self, device: SunSpecDevice, arming: Arming, journal: Journal, now_s: Callable[[], float]
    ) -> None:
        self.device = device
        self._arming, self._journal, self._now_s = arming, journal, now_s
        self._until_s = now_s() + arming.seconds
        self._writer = PointWriter(device, "armed", may_be_tried)
        self._found: dict[tuple[int, str], float] = {}
        self._touched: dict[tuple[int, str], None] = {}
        self._sure = False

    async def open(self) -> None:
        """Check who answers, and note everything that could be written as it is now.

        Raises:
            DeviceMismatchError: another serial number answers.
            ModbusError: it does not answer.
        """
        await self._check_identity()
        for model_id in TRIED:
            if not self.device.has(model_id):
                continue
            values = await self.device.read(model_id)
            self._found |= {(model_id, n): v for n, v in self._writable(model_id, values)}
        self._journal("found", {f"{m}.{n}": v for (m, n), v in self._found.items()})

    def _writable(self, model_id: int, values: Mapping[str, Value]) -> Iterable[tuple[str, float]]:
        layout = self.device.layout(model_id)
        for name, value in values.items():
            if isinstance(value, float) and layout.point(name).writable and may_be_tried(model_id, name):
                yield name, value

    def link_returned(self) -> None:
        """Look again who answers before anything more is written."""
        self._sure = False

    async def write(self, model_id: int, name: str, value: float) -> float:
        """Write one point; returns the value as the registers hold it. What it held is put back at the end.

        Raises:
            NotArmedError: the stated time is over, or the point is not on the list; nothing was sent.
            DeviceMismatchError: another device answers since the link returned; nothing was sent.
            ModbusError: refused, lost or late.
        """
        if not self._now_s() < self._until_s:
            raise NotArmedError("the stated time of arming is over")
        if not self._sure:
            await self._check_identity()
        if holds_a_setting(name) and (model_id, name) in self._found:
            self._touched[model_id, name] = None
        return await self._write(model_id, name, value)

    async def _write(self, model_id: int, name: str, value: float) -> float:
        said = {"point": f"{model_id}.{name}", "value": value}
        self._journal("intent", said)
        try:
            await self._writer.write(model_id, {name: value})
        except (ModbusError, NotArmedError) as error:
            self._journal("decision", {**said, "outcome": "not taken", "reason": str(error)})
            raise
        self._journal("decision", {**said, "outcome": "sent"})
        return self._writer.held[model_id, name]

    async def put_back(self, model_id: int, names: Iterable[str]) -> None:
        """Write back what these points held when the trial was opened, whether the time is over or not.

        Raises:
            DeviceMismatchError, ModbusError: as ``write``.
        """
        if not self._sure:
            await self._check_identity()
        for name in self._in_order(model_id, names):
            await self._write(model_id, name, self._found[model_id, name])
            self._touched.pop((model_id, name), None)

    async def put_back_all(self) -> list[str]:
        """Put back whatever still reads otherwise than it was found; returns what could not be."""
        troubles: list[str] = []
        for turn in range(_TRIES):
            if turn:
                await asyncio.sleep(_TRY_EVERY_S)
            try:
                if not self.device.port.connected:
                    self.link_returned()
                    await self.device.port.connect()
                troubles = await self._undo()
            except (ModbusError, RigError) as error:
                troubles = [str(error)]
            if not troubles:
                break
        self._journal("put back", {"troubles": troubles})
        return troubles

    async def _undo(self) -> list[str]:
        """Put back all that was touched and differs, each guarded by itself."""
        troubles = []
        touched: dict[int, list[str]] = {}
        for model_id, name in self._touched:
            touched.setdefault(model_id, []).append(name)
        for model_id, names in touched.items():
            now = await self.device.read(model_id, *names)
            for name in self._in_order(model_id, [n for n in names if now[n] != self._found[model_id, n]]):
                try:
                    await self.put_back(model_id, [name])
                except ModbusError as error:
                    troubles.append(f"{model_id}.{name}: {error}")
            after = await self.device.read(model_id, *names)
            troubles += [
                f"{model_id}.{n} reads {after[n]}, was {self._found[model_id, n]}"
                for n in names
                if after[n] != self._found[model_id, n]
            ]
        if not troubles:
            self._touched.clear()
        return troubles

    def _in_order(self, model_id: int, names: Iterable[str]) -> list[str]:
        """Return points in the order of putting them back: off first, then values, then timers, then on."""

        def rank(name: str) -> int:
            if name.endswith("Ena"):
                return 3 if self._found[model_id, name] else 0
            return 2 if name.endswith("Tms") else 1

        return sorted((n for n in names if (model_id, n) in self._found), key=rank)

    async def undo_registers(self) -> dict[int, list[tuple[int, bytes]]]:
        """Return model to addresses and registers that put the set point back: what the supervisor would send."""
        undo = {}
        for model_id, names in _MOVING.items():
            order = self._in_order(model_id, names)
            if order:
                found = {name: self._found[model_id, name] for name in order}
                undo[model_id] = await self._writer.registers(model_id, found)
        return undo

    async def _check_identity(self) -> None:
        found = await self.device.identity()
        if found.serial != self._arming.serial:
            raise DeviceMismatchError(
                f"{self.device.port.name} unit {self.device.unit} is {found}, you named serial {self._arming.serial}; "
                "nothing was written"
            )
        self._sure = True

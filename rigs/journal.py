"""An append-only, hash-chained log of every intent, decision, frame and reading of a bench, and its
replay."""

import asyncio
import contextlib
import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from adapters.modbus.errors import DeviceRefusedError
from adapters.modbus.port import LinkTiming, Table
from adapters.modbus.register_map import MapDevice, load_map, shipped_maps
from adapters.modbus.sunspec import discover
from rigs.errors import RigError
from rigs.measure import MapMeter, Reading, SunSpecMeter

_GENESIS = "0" * 64
_KEPT = 10_000


def _digest(before: str, body: str) -> str:
    return hashlib.sha256(f"{before}\n{body}".encode()).hexdigest()


@dataclass
class RigJournal:
    """Entries in memory (the last 10,000) and, with a path, in a file of JSON lines.

    Each line carries the hash of the one before: a line that is changed, removed or inserted is found by
    ``read_journal``. ``monotonic_s`` and ``utc`` give the time; they are passed in.
    """

    monotonic_s: Callable[[], float]
    utc: Callable[[], str]
    path: Path | None = None
    entries: deque[tuple[str, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    trouble: str = ""  # why nothing can be written down any more; devices are still made safe
    _head: str = _GENESIS
    _file: TextIOWrapper | None = None

    def __post_init__(self) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("x", encoding="utf-8")  # a log is never written over

    @property
    def recording(self) -> bool:
        """Whether entries go to a file; frames are only kept then."""
        return self._file is not None

    def note(self, kind: str, content: Mapping[str, Any]) -> None:
        """Append an entry."""
        if kind != "frame":
            self.entries.append((kind, dict(content)))
        if self._file is None:
            return
        entry = {"kind": kind, "content": dict(content), "mono_s": self.monotonic_s(), "utc": self.utc()}
        body = json.dumps(entry, sort_keys=True)
        self._head = _digest(self._head, body)
        try:
            self._file.write(f"{self._head} {body}\n")
            if kind == "decision":
                self._file.flush()  # what was decided must outlive a crash
        except OSError as error:  # raised here it would keep a device from being made safe
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.trouble = f"{self.path}: the log cannot be written ({error.strerror}); the run ends"
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def close(self) -> None:
        """Write everything out. Safe to call twice; never raises."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._give_up(error)
            self._file = None


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a log, checking the chain.

    Raises:
        RigError: at the first line whose hash does not follow from what stands before it.
    """
    head = _GENESIS
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            found, _, body = line.rstrip("\n").partition(" ")
            head = _digest(head, body)
            if found != head:
                raise RigError(f"{path.name}:{number}: the chain is broken here; the log was changed or cut")
            entry: dict[str, Any] = json.loads(body)
            yield entry


class ReplayPort:
    """A port that answers from recorded frames: what was read last at an address is what it holds."""

    timing = LinkTiming()
    connected = True

    def __init__(self, name: str) -> None:
        self.name = name
        self._registers: dict[tuple[str, int], bytes] = {}
        self._asked: dict[int, tuple[Table, int, int]] = {}

    def heard(self, sent: bool, frame: bytes) -> None:
        """Take one recorded Modbus/TCP frame."""
        self._take(sent, int.from_bytes(frame[:2], "big"), frame[7:])

    def heard_rtu(self, sent: bool, frame: bytes) -> None:
        """Take one recorded frame of a serial line, where an answer belongs to the request before it."""
        self._take(sent, 0, frame[1:-2])

    def _take(self, sent: bool, tid: int, pdu: bytes) -> None:
        if sent:
            self._asked.pop(tid, None)  # it was never answered
        function = pdu[0]
        if sent and function in (3, 4):
            table: Table = "holding" if function == 3 else "input"
            address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
            self._asked[tid] = table, address, count
        elif not sent and function in (3, 4) and tid in self._asked:
            table, address, count = self._asked.pop(tid)
            if len(pdu) != 2 + 2 * count:
                return  # the answer to something else, which came late
            for i in range(count):
                self._registers[table, address + i] = pdu[2 + 2 * i : 4 + 2 * i]

    async def connect(self) -> None:
        """Nothing to connect."""

    async def read(self, unit: int, address: int, count: int, table: Table = "holding") -> bytes:
        """Return what was recorded; registers that were never read are refused."""
        try:
            return b"".join(self._registers[table, address + i] for i in range(count))
        except KeyError:
            raise DeviceRefusedError(f"{self.name}: read {count} registers at {address}", 2) from None

    async def write(self, unit: int, address: int, data: bytes) -> None:
        """Refuse: a replay writes nothing."""
        raise DeviceRefusedError(f"{self.name}: a replay writes nothing", 1)

    async def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class ReplayResult:
    """What a replay gave: how many readings agreed, and where not."""

    entries: int
    readings: int
    differences: tuple[str, ...]


def replay(path: Path) -> ReplayResult:
    """Drive the decoders with the recorded frames and compare with the recorded readings.

    Raises:
        RigError: the chain is broken, or a register map is missing that is neither shipped nor beside the log.
    """
    return asyncio.run(_replay(path))


async def _replay(path: Path) -> ReplayResult:
    ports: dict[str, ReplayPort] = {}
    meters: dict[str, SunSpecMeter | MapMeter] = {}
    entries, readings, differences = 0, 0, []
    for entry in read_journal(path):
        entries += 1
        content = entry["content"]
        role = str(content.get("role", ""))
        if entry["kind"] == "frame":
            port = ports.setdefault(role, ReplayPort(role))
            heard = port.heard_rtu if content.get("framing") == "rtu" else port.heard
            heard(bool(content["sent"]), bytes.fromhex(content["hex"]))
        elif entry["kind"] == "joined":
            before = meters.get(role)
            meters[role] = await _meter(ports[role], int(content["unit"]), str(content["map"]), path.parent)
            if before is not None:
                meters[role].counters = before.counters
        elif entry["kind"] == "reading" and role in meters:
            readings += 1
            got = await meters[role].read()
            if not _same(got, content["values"]):
                differences.append(f"entry {entries}, {role}: recorded {content['values']}, replayed {got}")
    return ReplayResult(entries, readings, tuple(differences))


async def _meter(port: ReplayPort, unit: int, map_name: str, folder: Path) -> SunSpecMeter | MapMeter:
    meter: SunSpecMeter | MapMeter
    if map_name:
        file = shipped_maps().get(map_name) or folder / f"{map_name}.csv"
        if not file.is_file():
            raise RigError(f"{port.name} was read by the map {map_name}; put {file.name} beside the log")
        meter = MapMeter(MapDevice(port, unit, load_map(file)))
    else:
        meter = SunSpecMeter(await discover(port, unit))
    meter.plan()
    return meter


def _same(got: Reading, recorded: Mapping[str, Any]) -> bool:
    for name, value in recorded.items():
        mine = getattr(got, name)
        both_nan = isinstance(mine, float) and math.isnan(mine) and value != value  # noqa: PLR0124
        if mine != value and not both_nan:
            return False
    return True

"""The first source: the device's own meter, whose readings are hash-chained and signed once per batch.

A reading is sequence, time and register (whole Wh, counted since the start, + into the grid). Its link is SHA-256 over
the link before it and the three numbers (8 bytes each, big-endian, signed); the first link is SHA-256 over
``p2p-meter-1`` and the meter's name. The device signs the newest link at the end of a batch: it covers all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from twin.fault_plan import MeterFault
from twin.participants import BoolArray

PREFIX = b"p2p-meter-1"
OK, SILENT, REPLAYED, BROKEN, GAP = range(5)
"""What is wrong with a reading: nothing; not there; said before, or late; not chained; first after a gap."""


@dataclass(frozen=True)
class Telegrams:
    """What arrived from all meters at the end of an interval; (n,) each. ``link`` holds 32 bytes per row."""

    sequence: IntArray
    end_s: IntArray
    register_wh: IntArray
    link: list[bytes]
    present: BoolArray


def first_link(name: str) -> bytes:
    """The link before a meter's first reading."""
    return sha256(PREFIX + name.encode()).digest()


def links(before: Sequence[bytes], sequence: IntArray, end_s: IntArray, register_wh: IntArray) -> list[bytes]:
    """The links of one reading per meter, from the links before them."""
    numbers = np.empty((len(before), 3), dtype=">i8")
    numbers[:, 0], numbers[:, 1], numbers[:, 2] = sequence, end_s, register_wh
    packed = numbers.view("V24").ravel().tolist()
    return [sha256(b + p).digest() for b, p in zip(before, packed, strict=True)]


class Meters:
    """The devices' side: registers, chains, and what a fault does to them.

    A lying meter registers ``value`` times the energy and signs it; a frozen one counts nothing (the energy is lost);
    of a silent one nothing arrives; in place of a replaying one arrives what it said ``value`` seconds ago.
    """

    def __init__(self, names: Sequence[str], faults: Iterable[MeterFault], interval_s: int) -> None:
        n = len(names)
        self._faults = tuple(faults)
        self._interval_s = interval_s
        self._energy_wh = np.zeros(n)  # of the interval, and what was below 1 Wh before
        self._register_wh = np.zeros(n, dtype=np.int64)
        self._sequence = np.zeros(n, dtype=np.int64)
        self._links = [first_link(name) for name in names]
        self._said: dict[int, list[tuple[int, int, int, bytes]]] = {
            fault.row: [] for fault in self._faults if fault.kind == "meter_replay"
        }

    @property
    def links(self) -> list[bytes]:
        """The newest link of every device's own chain."""
        return self._links

    def active(self, time_s: int) -> list[MeterFault]:
        """The faults at a second of the run."""
        return [fault for fault in self._faults if fault.from_s <= time_s < fault.until_s]

    def count(self, time_s: int, energy_wh: FloatArray) -> None:
        """Count the energy of the step that begins at ``time_s``; (n,), + into the grid."""
        if self._faults:
            for fault in self.active(time_s):
                if fault.kind in ("meter_lie", "meter_frozen"):
                    energy_wh = energy_wh.copy()
                    energy_wh[fault.row] *= fault.value if fault.kind == "meter_lie" else 0.0
        self._energy_wh = self._energy_wh + energy_wh

    def read(self, end_s: int) -> Telegrams:
        """What arrives at the end of an interval."""
        self._sequence = self._sequence + 1
        whole = np.floor(self._energy_wh)  # in the same steps as the ledger's, to the last bit
        self._energy_wh = self._energy_wh - whole
        register = self._register_wh = self._register_wh + whole.astype(np.int64)
        at = np.full(len(register), end_s, dtype=np.int64)
        self._links = links(self._links, self._sequence, at, register)
        present = np.ones(len(register), dtype=np.bool_)
        said = Telegrams(self._sequence.copy(), at, register.copy(), list(self._links), present)
        for row, history in self._said.items():
            history.append((int(self._sequence[row]), end_s, int(register[row]), self._links[row]))
        for fault in self.active(end_s - 1) if self._faults else ():
            if fault.kind == "meter_silent":
                present[fault.row] = False
            elif fault.kind == "meter_replay":
                self._repeat(said, fault)
        return said

    def _repeat(self, said: Telegrams, fault: MeterFault) -> None:
        back = max(1, round(fault.value / self._interval_s))
        history = self._said[fault.row]
        old = history[max(0, len(history) - 1 - back)]
        said.sequence[fault.row], said.end_s[fault.row], said.register_wh[fault.row] = old[:3]
        said.link[fault.row] = old[3]


class MeterOracle:
    """The receiving side: takes a reading only where it continues the meter's own chain.

    After a gap the first reading only says where register and chain stand now; the signature of the batch says
    whether that is the device's word.
    """

    def __init__(self, names: Sequence[str]) -> None:
        n = len(names)
        self._sequence = np.zeros(n, dtype=np.int64)
        self._register = np.zeros(n, dtype=np.int64)
        self._links = [first_link(name) for name in names]

    @property
    def links(self) -> list[bytes]:
        """The newest link that was taken, per meter."""
        return self._links

    def take(self, said: Telegrams, end_s: int) -> tuple[IntArray, IntArray]:
        """Return the energy since the last reading in whole Wh, and what is wrong (``OK`` ...); (n,) each.

        ``end_s`` is the end of the interval: a reading of another time is an old one, whatever its number says (it may
        have been kept back). Where something is wrong the energy is zero and means nothing.
        """
        due = links(self._links, said.sequence, said.end_s, said.register_wh)
        step = said.sequence - self._sequence
        if due == said.link and said.present.all() and (step == 1).all() and (said.end_s == end_s).all():
            energy = said.register_wh - self._register
            self._sequence, self._register, self._links = said.sequence, said.register_wh, due
            return energy, np.zeros_like(energy)
        state = np.where(step == 1, OK, np.where(step > 1, GAP, REPLAYED))
        state[said.end_s != end_s] = REPLAYED
        state[~said.present] = SILENT
        if due != said.link:
            unchained = np.fromiter((a != b for a, b in zip(due, said.link, strict=True)), np.bool_, len(due))
            state[(state == OK) & unchained] = BROKEN
        energy = np.where(state == OK, said.register_wh - self._register, 0)
        taken = (state == OK) | (state == GAP)
        self._sequence = np.where(taken, said.sequence, self._sequence)
        self._register = np.where(taken, said.register_wh, self._register)
        if taken.all():
            self._links = said.link
        else:
            self._links = [
                new if ok else old for new, old, ok in zip(said.link, self._links, taken, strict=True)
            ]
        return energy, state

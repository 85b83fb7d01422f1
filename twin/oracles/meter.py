"""The first source: the device's own meter, whose readings are hash-chained and signed once per batch.

A reading is sequence, time and register (whole Wh, counted since the start, + into the grid). Its link is SHA-256 over
the link before it and the three numbers (4, 8 and 8 bytes, big-endian, signed); the first link is SHA-256 over
``p2p-meter-1`` and the meter's name. The device signs the newest link at the end of a batch: it covers all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numba import njit

from adapters.grid.feeder import FloatArray, IntArray
from market.sha256 import Bytes, sha256_rows
from twin.fault_plan import MeterFault
from twin.participants import BoolArray

PREFIX = b"p2p-meter-1"
OK, SILENT, REPLAYED, BROKEN, GAP = range(5)
"""What is wrong with a reading: nothing; not there; said before, or late; not chained; first after a gap."""


@dataclass(frozen=True)
class Telegrams:
    """What arrived from all meters at the end of an interval; (n,) each, ``link`` (n, 32)."""

    sequence: IntArray
    end_s: IntArray
    register_wh: IntArray
    link: Bytes
    present: BoolArray


def first_link(name: str) -> bytes:
    """The link before a meter's first reading."""
    return sha256(PREFIX + name.encode()).digest()


def first_links(names: Iterable[str]) -> Bytes:
    """The same of many meters, (n, 32)."""
    return np.array([list(first_link(name)) for name in names], dtype=np.uint8).reshape(-1, 32)


@njit(cache=True)
def _messages(before, sequence, end_s, register_wh):  # type: ignore[no-untyped-def]
    out = np.empty((sequence.size, 52), np.uint8)  # up to 55 bytes are one block of SHA-256
    for i in range(sequence.size):
        for q in range(32):
            out[i, q] = before[i, q]
        for q in range(4):
            out[i, 32 + q] = (sequence[i] >> (24 - 8 * q)) & 255
        for q in range(8):
            out[i, 36 + q] = (end_s[i] >> (56 - 8 * q)) & 255
            out[i, 44 + q] = (register_wh[i] >> (56 - 8 * q)) & 255
    return out


def links(before: Bytes, sequence: IntArray, end_s: IntArray, register_wh: IntArray) -> Bytes:
    """The links of one reading per meter, (n, 32), from the links before them."""
    return sha256_rows(_messages(before, sequence, end_s, register_wh))


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
        self._links = first_links(names)
        self._said: dict[int, list[tuple[int, int, int, Bytes]]] = {
            fault.row: [] for fault in self._faults if fault.kind == "meter_replay"
        }

    @property
    def links(self) -> Bytes:
        """The newest link of every device's own chain; (n, 32)."""
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
        said = Telegrams(self._sequence.copy(), at, register.copy(), self._links.copy(), present)
        for row, history in self._said.items():
            history.append((int(self._sequence[row]), end_s, int(register[row]), self._links[row].copy()))
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
        self._links = first_links(names)

    @property
    def links(self) -> Bytes:
        """The newest link that was taken, per meter; (n, 32)."""
        return self._links

    def take(self, said: Telegrams, end_s: int) -> tuple[IntArray, IntArray]:
        """Return the energy since the last reading in whole Wh, and what is wrong (``OK`` ...); (n,) each.

        ``end_s`` is the end of the interval: a reading of another time is an old one, whatever its number says (it may
        have been kept back). Where something is wrong the energy is zero and means nothing.
        """
        due = links(self._links, said.sequence, said.end_s, said.register_wh)
        step = said.sequence - self._sequence
        chained = due == said.link
        if chained.all() and said.present.all() and (step == 1).all() and (said.end_s == end_s).all():
            energy = said.register_wh - self._register
            self._sequence, self._register, self._links = said.sequence, said.register_wh, due
            return energy, np.zeros_like(energy)
        state = np.where(step == 1, OK, np.where(step > 1, GAP, REPLAYED))
        state[said.end_s != end_s] = REPLAYED
        state[~said.present] = SILENT
        state[(state == OK) & ~chained.all(axis=1)] = BROKEN
        energy = np.where(state == OK, said.register_wh - self._register, 0)
        taken = (state == OK) | (state == GAP)
        self._sequence = np.where(taken, said.sequence, self._sequence)
        self._register = np.where(taken, said.register_wh, self._register)
        self._links = np.where(taken[:, None], said.link, self._links)
        return energy, state

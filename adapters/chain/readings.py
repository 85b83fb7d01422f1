"""The readings tree of a batch: meter readings, which certificates are claimed with, and what devices signed.

"p2p-reading-1" + asset id (32) + start (8) + end (8) + exported Wh (8) + imported Wh (8), numbers big-endian.
"p2p-device-1" + asset id (32) + start (8) + end (8) + link (32) + signature (65), of a device and batch.
The tree itself is ``market.merkle``; its root is ``SettlementBatch.readings_root``.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from adapters.chain.errors import ChainInputError
from market.sha256 import Bytes

PREFIX = b"p2p-reading-1"
WORD_PREFIX = b"p2p-device-1"


class Line(Protocol):
    """A leaf of the tree."""

    def line(self) -> bytes:
        """Its canonical bytes."""
        ...


@dataclass(frozen=True)
class MeterReading:
    """Energy of one asset over one interval [start_s, end_s), from its settled meter. All at least zero."""

    asset: str
    start_s: int
    end_s: int
    exported_wh: int
    imported_wh: int

    def asset_id(self) -> bytes:
        """The registry's id of the asset: keccak-256 of its name."""
        from adapters.chain.typed import account_id

        return account_id(self.asset)

    def line(self) -> bytes:
        """Canonical bytes of the leaf. Raises ChainInputError for a number outside 0..2^63-1."""
        numbers = (self.start_s, self.end_s, self.exported_wh, self.imported_wh)
        if any(not 0 <= number < 2**63 for number in numbers):
            raise ChainInputError(
                f"reading of {self.asset} at {self.start_s} s has a number outside 0..2^63-1"
            )
        return PREFIX + self.asset_id() + b"".join(number.to_bytes(8, "big") for number in numbers)

    def values(self) -> tuple[bytes, int, int, int, int]:
        """Fields in ABI order."""
        return self.asset_id(), self.start_s, self.end_s, self.exported_wh, self.imported_wh


@dataclass(frozen=True)
class DeviceWord:
    """What a metering device signed at the end of a batch: the newest link of its chain of readings."""

    asset: str
    start_s: int
    end_s: int
    link: bytes
    signature: bytes

    def asset_id(self) -> bytes:
        """The registry's id of the asset."""
        from adapters.chain.typed import account_id

        return account_id(self.asset)

    def message(self) -> bytes:
        """The 32 bytes that the device signed."""
        from adapters.chain.device_keys import batch_message

        return batch_message(self.asset_id(), self.start_s, self.end_s, self.link)

    def line(self) -> bytes:
        """Canonical bytes of the leaf."""
        period = self.start_s.to_bytes(8, "big") + self.end_s.to_bytes(8, "big")
        return WORD_PREFIX + self.asset_id() + period + self.link + self.signature


def words_of(rows: Sequence[dict[str, Any]]) -> dict[int, list[DeviceWord]]:
    """What the devices signed, by the end of the batch, from rows of signatures.parquet."""
    found: dict[int, list[DeviceWord]] = defaultdict(list)
    for row in rows:
        link, signature = bytes.fromhex(row["link"]), bytes.fromhex(row["signature"])
        end_s = row["batch_end_s"]
        found[end_s].append(DeviceWord(row["asset"], row["start_s"], end_s, link, signature))
    return found


def reading_rows(asset_ids: Bytes, rows: Any, numbers: Any) -> Bytes:
    """Lines of many readings at once, (k, 77): what ``MeterReading.line`` gives for each.

    Args:
        asset_ids: ids of the assets, (n, 32).
        rows: which asset each reading is of; (k,).
        numbers: (k, 4) whole numbers: start, end, exported and imported Wh.

    Raises:
        ChainInputError: a number is negative.
    """
    if len(rows) and numbers.min() < 0:
        raise ChainInputError("a reading has a number outside 0..2^63-1")
    head = len(PREFIX)
    lines = np.empty((len(rows), head + 64), dtype=np.uint8)
    lines[:, :head] = np.frombuffer(PREFIX, dtype=np.uint8)
    lines[:, head : head + 32] = asset_ids[rows]
    lines[:, head + 32 :] = numbers.astype(">i8").view(np.uint8).reshape(-1, 32)
    return lines


class Tree:
    """The tree of a batch's readings and of what its devices signed."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        """Hash the lines, of whatever length but 64 bytes."""
        from market.merkle import leaf_hash, levels_of

        leaves = b"".join(leaf_hash(line) for line in lines)
        self._levels = levels_of(np.frombuffer(leaves, dtype=np.uint8).reshape(-1, 32)) if lines else []
        self._place = {leaf.tobytes(): i for i, leaf in enumerate(self._levels[0])} if lines else {}

    @property
    def root(self) -> bytes:
        """32 bytes."""
        from market.merkle import EMPTY_ROOT

        return self._levels[-1].tobytes() if self._levels else EMPTY_ROOT

    def proof(self, line: bytes) -> tuple[list[bytes], int]:
        """Siblings from the leaf up, and the bits that say which of them stand to the left."""
        from market.merkle import leaf_hash

        at, bits = self._place[leaf_hash(line)], 0
        siblings: list[bytes] = []
        for level in self._levels[:-1]:
            if at ^ 1 < len(level):
                bits |= (at & 1) << len(siblings)
                siblings.append(level[at ^ 1].tobytes())
            at //= 2
        return siblings, bits


@dataclass(frozen=True)
class Evidence:
    """A reading, and what shows that a final batch commits to it: header, hash of positions, the batch's tree."""

    reading: MeterReading
    batch: tuple[Any, ...]
    positions_hash: bytes
    tree: Tree

    def values(self) -> tuple[Any, ...]:
        """The contract's ``Evidence``."""
        return self.batch, self.positions_hash, *self.tree.proof(self.reading.line())


def readings_root(readings: Sequence[MeterReading]) -> bytes:
    """Root of a tree of readings alone: 32 bytes."""
    return Tree([reading.line() for reading in readings]).root

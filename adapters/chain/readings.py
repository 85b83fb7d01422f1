"""The line of a meter reading in the readings tree of a batch: what certificates are claimed with.

"p2p-reading-1" + asset id (32) + start (8) + end (8) + exported Wh (8) + imported Wh (8), numbers big-endian.
The tree itself is ``market.merkle``; its root is ``SettlementBatch.readings_root``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.chain.errors import ChainInputError

PREFIX = b"p2p-reading-1"


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


def reading_lines(asset_ids: Sequence[bytes], rows: Sequence[int], numbers: Any) -> list[bytes]:
    """Lines of many readings at once: what ``MeterReading.line`` gives for each.

    Args:
        asset_ids: ids of the assets (32 bytes each).
        rows: which asset each reading is of; (k,).
        numbers: (k, 4) whole numbers: start, end, exported and imported Wh.

    Raises:
        ChainInputError: a number is negative.
    """
    if len(rows) and numbers.min() < 0:
        raise ChainInputError("a reading has a number outside 0..2^63-1")
    packed = numbers.astype(">i8").view("V32").ravel().tolist()
    heads = [PREFIX + asset for asset in asset_ids]
    return [heads[row] + number for row, number in zip(rows, packed, strict=True)]


def readings_root(readings: Sequence[MeterReading]) -> bytes:
    """Root of the readings tree: 32 bytes."""
    from market.merkle import merkle_root

    return merkle_root([reading.line() for reading in readings])


def proof(readings: Sequence[MeterReading], reading: MeterReading) -> tuple[list[bytes], int]:
    """Siblings from the leaf up, and the bits that say which of them stand to the left."""
    from market.merkle import merkle_proof

    path = merkle_proof([item.line() for item in readings], reading.line())
    bits = sum(1 << i for i, (left, _) in enumerate(path) if left)
    return [sibling for _, sibling in path], bits

"""What a batch commits to besides its money: the readings that were agreed on, and the devices' signatures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from adapters.grid.feeder import IntArray
from market.merkle import merkle_root
from twin.oracles.meter import MeterOracle, Meters
from twin.participants import BoolArray


class Leaves(NamedTuple):
    """The readings of a batch: row of the participant, begin, end, exported and imported Wh; (k,) each."""

    rows: IntArray
    start_s: IntArray
    end_s: IntArray
    exported_wh: IntArray
    imported_wh: IntArray


@dataclass
class _Since:
    """Readings since the last batch: begin, end, energies (n,), which of them count (n,); and late ones."""

    intervals: list[tuple[int, int, IntArray, BoolArray]] = field(default_factory=list)
    late: list[tuple[int, int, int, int]] = field(default_factory=list)  # row, begin, end, Wh

    def leaves(self) -> Leaves:
        """All of them, the late ones last."""
        numbers = [np.array(self.late, dtype=np.int64).reshape(-1, 4)]
        for begin, end, energy, agreed in reversed(self.intervals):
            rows = np.flatnonzero(agreed)
            block = np.empty((len(rows), 4), dtype=np.int64)
            block[:, 0], block[:, 1], block[:, 2], block[:, 3] = rows, begin, end, energy[rows]
            numbers.append(block)
        rows, begin, end, wh = np.concatenate(numbers[::-1]).T
        return Leaves(rows, begin, end, np.maximum(wh, 0), np.maximum(-wh, 0))


class Witness:
    """Collects agreed readings, and lets every device sign its chain once per batch."""

    def __init__(self, names: Sequence[str], market_id: str, meters: Meters, oracle: MeterOracle) -> None:
        """Bind the witness. Makes the devices' keys."""
        from adapters.chain.device_keys import DeviceKey, Verifier
        from adapters.chain.typed import account_id

        self.names = tuple(names)
        self._ids = [account_id(name) for name in names]
        self._meters, self._oracle = meters, oracle
        self._keys = [DeviceKey(market_id, name) for name in names]
        self._verifiers = [Verifier(key) for key in self._keys]
        self._since = _Since()
        self.signatures = 0
        self.refused: list[tuple[int, str]] = []  # end of the batch, device
        self.closed: list[
            tuple[int, Leaves]
        ] = []  # end of the batch, its readings in the order of their lines

    def add(self, start_s: int, end_s: int, energy_wh: IntArray, agreed: BoolArray) -> None:
        """Add an interval; only where ``agreed``."""
        self._since.intervals.append((start_s, end_s, energy_wh, agreed))

    def add_late(self, row: int, start_s: int, end_s: int, energy_wh: int) -> None:
        """Add the reading of a trade that was held."""
        self._since.late.append((row, start_s, end_s, energy_wh))

    def close(self, start_s: int, end_s: int) -> bytes:
        """End a batch: check the devices' signatures and return the root over its readings (32 bytes).

        A meter whose chain stands elsewhere than what was taken (silent, replaying) is not asked: it has signed
        something else.
        """
        from adapters.chain.readings import reading_lines

        self._check_signatures(start_s, end_s)
        since, self._since = self._since, _Since()
        leaves = since.leaves()
        self.closed.append((end_s, leaves))
        return merkle_root(reading_lines(self._ids, leaves.rows.tolist(), np.column_stack(leaves[1:])))

    def _check_signatures(self, start_s: int, end_s: int) -> None:
        from adapters.chain.device_keys import batch_message

        for row, (own, taken) in enumerate(zip(self._meters.links, self._oracle.links, strict=True)):
            if own != taken:
                continue
            message = batch_message(self._ids[row], start_s, end_s, taken)
            self.signatures += 1
            if not self._verifiers[row].signed(message, self._keys[row].sign(message)):
                self.refused.append((end_s, self.names[row]))

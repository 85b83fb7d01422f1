"""What a batch commits to besides its money: the readings that were agreed on, and the devices' signatures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters.chain.readings import DeviceWord, reading_rows
from market.merkle import leaf_rows, root_of_leaves
from market.sha256 import Bytes
from twin.oracles.meter import MeterOracle, Meters
from twin.oracles.metering import Counted

ENERGIES = ("exported_wh", "imported_wh")
Keep = Callable[[str, Mapping[str, Any]], None]


@dataclass
class _Since:
    """What was counted since the last batch: begin, end and readings of each interval; and late ones."""

    intervals: list[tuple[int, int, Counted]] = field(default_factory=list)
    late: list[tuple[int, int, int, int, int]] = field(
        default_factory=list
    )  # row, begin, end, exported, imported

    def readings(self) -> tuple[Any, Any]:
        """Row of the meter (k,), and begin, end, exported and imported Wh (k, 4); the late ones last."""
        late = np.array(self.late, dtype=np.int64).reshape(-1, 5)
        if not self.intervals:
            return late[:, 0], late[:, 1:]
        begin, end, counted = zip(*self.intervals, strict=True)
        which, rows = np.nonzero(np.stack([each.counts for each in counted]))
        exported, imported = (
            np.stack([getattr(each, name) for each in counted])[which, rows] for name in ENERGIES
        )
        numbers = (np.array(begin)[which], np.array(end)[which], exported, imported)
        return np.append(rows, late[:, 0]), np.concatenate((np.column_stack(numbers), late[:, 1:]))


class Witness:
    """Collects agreed readings, and lets every device sign its chain once per batch."""

    def __init__(
        self,
        names: Sequence[str],
        market_id: str,
        seed: int,
        meters: Meters,
        oracle: MeterOracle,
        keep: Keep = lambda table, columns: None,
    ) -> None:
        """Bind the witness of the meters ``names``. Makes the devices' keys; ``keep`` takes a batch's rows."""
        from adapters.chain.device_keys import DeviceKey
        from adapters.chain.typed import account_id

        self.names = tuple(names)
        ids = b"".join(account_id(name) for name in names)
        self._ids: Bytes = np.frombuffer(ids, dtype=np.uint8).reshape(-1, 32)
        self._meters, self._oracle, self._keep = meters, oracle, keep
        self._keys = [DeviceKey(market_id, seed, name) for name in names]
        self._registered = [key.public for key in self._keys]  # the registry holds their hashes
        self._since = _Since()
        self._labels = np.array(self.names)
        self.signatures = 0
        self.refused: list[tuple[int, str]] = []  # end of the batch, device

    def add(self, start_s: int, end_s: int, counted: Counted) -> None:
        """Add an interval."""
        self._since.intervals.append((start_s, end_s, counted))

    def add_late(self, row: int, start_s: int, end_s: int, energy_wh: int) -> None:
        """Add the reading of a trade that was held."""
        self._since.late.append((row, start_s, end_s, max(energy_wh, 0), max(-energy_wh, 0)))

    def close(self, start_s: int, end_s: int) -> bytes:
        """End a batch: check the devices' signatures and return the root over them and its readings (32 bytes).

        A meter whose chain stands elsewhere than what was taken (silent, replaying) is not asked: it has signed
        something else.
        """
        since, self._since = self._since, _Since()
        rows, numbers = since.readings()
        words = self._signed(start_s, end_s)
        self._keep_batch(end_s, rows, numbers, words)
        leaves = [leaf_rows(reading_rows(self._ids, rows, numbers))]
        if words:
            lines = np.frombuffer(b"".join(word.line() for word in words), dtype=np.uint8)
            leaves.append(leaf_rows(lines.reshape(len(words), -1)))
        return root_of_leaves(np.concatenate(leaves))

    def _signed(self, start_s: int, end_s: int) -> list[DeviceWord]:
        """What the devices signed; a signature that is not of the registered key is refused."""
        from adapters.chain.device_keys import batch_message, device_public

        good = []
        same = (self._meters.links == self._oracle.links).all(axis=1)
        for row in np.flatnonzero(same).tolist():
            link = self._oracle.links[row].tobytes()
            message = batch_message(self._ids[row].tobytes(), start_s, end_s, link)
            signature = self._keys[row].sign(message)
            self.signatures += 1
            if device_public(message, signature) == self._registered[row]:
                good.append(DeviceWord(self.names[row], start_s, end_s, link, signature))
            else:
                self.refused.append((end_s, self.names[row]))
        return good

    def _keep_batch(self, end_s: int, rows: Any, numbers: Any, words: list[DeviceWord]) -> None:
        """Hand the leaves of a batch on: a year of them would fill memory."""
        keys = ("start_s", "end_s", *ENERGIES)
        columns = dict(zip(keys, numbers.T, strict=True))
        if len(rows):
            self._keep(
                "readings", {"batch_end_s": np.full(len(rows), end_s), "asset": self._labels[rows]} | columns
            )
        if words:
            self._keep(
                "signatures",
                {
                    "start_s": [word.start_s for word in words],
                    "batch_end_s": [word.end_s for word in words],
                    "asset": [word.asset for word in words],
                    "link": [word.link.hex() for word in words],
                    "signature": [word.signature.hex() for word in words],
                },
            )

"""What a batch commits to besides its money: the readings that were agreed on, and the devices' signatures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from adapters.chain.readings import MeterReading, readings_root
from adapters.grid.feeder import IntArray
from twin.oracles.meter import MeterOracle, Meters
from twin.participants import BoolArray


@dataclass
class _Since:
    """Readings since the last batch: start, end, energies (n,), which of them count (n,)."""

    intervals: list[tuple[int, int, IntArray, BoolArray]] = field(default_factory=list)
    late: list[tuple[int, int, int, int]] = field(default_factory=list)  # row, start, end, Wh


class Witness:
    """Collects agreed readings, and lets every device sign its chain once per batch."""

    def __init__(self, names: Sequence[str], market_id: str, meters: Meters, oracle: MeterOracle) -> None:
        """Bind the witness. Makes the devices' keys."""
        from adapters.chain.device_keys import DeviceKey, Verifier

        self._names = tuple(names)
        self._meters, self._oracle = meters, oracle
        self._keys = [DeviceKey(market_id, name) for name in names]
        self._verifiers = [Verifier(key) for key in self._keys]
        self._since = _Since()
        self.closed: list[tuple[int, list[MeterReading]]] = []  # end of the batch, leaves in their order
        self.signatures = 0
        self.refused: list[tuple[int, str]] = []  # end of the batch, device

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
        from adapters.chain.device_keys import batch_message

        for row, (own, taken) in enumerate(zip(self._meters.links, self._oracle.links, strict=True)):
            if own != taken:
                continue
            name = self._names[row]
            message = batch_message(name, start_s, end_s, taken)
            self.signatures += 1
            if not self._verifiers[row].signed(message, self._keys[row].sign(message)):
                self.refused.append((end_s, name))
        since, self._since = self._since, _Since()
        readings = []
        for begin, end, energy, agreed in since.intervals:
            for row in np.flatnonzero(agreed).tolist():
                wh = int(energy[row])
                readings.append(MeterReading(self._names[row], begin, end, max(wh, 0), max(-wh, 0)))
        for row, begin, end, wh in since.late:
            readings.append(MeterReading(self._names[row], begin, end, max(wh, 0), max(-wh, 0)))
        self.closed.append((end_s, readings))
        return readings_root(readings)

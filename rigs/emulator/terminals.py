"""The wires between an emulated AC source and the devices at its terminals: a few bytes in a file that all of
their processes inherit. Like real wires they work whatever becomes of the harness.
"""

import os
import struct
import tempfile
from dataclasses import dataclass

_FORM = struct.Struct("<Qddd Q")  # the count of settings before and after: a torn read shows two


@dataclass(frozen=True)
class Mains:
    """Line-to-neutral voltage in V (0 while the output is off), frequency in Hz, and the voltage that is 1 pu."""

    voltage_v: float
    frequency_hz: float
    nominal_v: float = 230.0


class Terminals:
    """One end of the wires, by the number of the inherited file. Only the source sets."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._count = 0

    def set(self, mains: Mains) -> None:
        """Apply a voltage."""
        self._count += 1
        data = _FORM.pack(self._count, mains.voltage_v, mains.frequency_hz, mains.nominal_v, self._count)
        os.pwrite(self._fd, data, 0)

    def see(self) -> Mains | None:
        """Return what is applied; None before the source has started."""
        for _ in range(100):
            data = os.pread(self._fd, _FORM.size, 0)
            if len(data) < _FORM.size:
                return None
            first, voltage_v, frequency_hz, nominal_v, last = _FORM.unpack(data)
            if first == last:
                return Mains(voltage_v, frequency_hz, nominal_v)
        return None


def new_terminals() -> int:
    """Return the number of a new file to be inherited; the caller closes it."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())

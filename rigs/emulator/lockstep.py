"""The passage of time in band: one user-defined Modbus function by which the harness advances a device in lockstep.

A step is then one segment each way (write, read back, advance, read) instead of five, and its order is that of the
stream. The function exists only on devices in lockstep and only on the connection of the harness, named over the
control channel; to everybody else it is unknown. Source: MODBUS Application Protocol V1.1b3, 4.1 (codes 65 to 72).
"""

import asyncio
import struct

from rigs.emulator.device import EmulatedDevice
from rigs.emulator.faulty import Faults, FaultyProtocol
from rigs.emulator.server import Connections, Units

ADVANCE = 0x41
_ORDER, _DONE = struct.Struct(">Bdddd"), struct.Struct(">Bd")


def order(step_s: float, p_available_w: float, v_pu: float, q_var: float = 0.0) -> bytes:
    """Return the request that lets ``step_s`` pass in these surroundings."""
    return _ORDER.pack(ADVANCE, step_s, p_available_w, v_pu, q_var)


def true_wh(answer: bytes) -> float | None:
    """Return what has really flowed since the start, in Wh into the grid; None where the request was refused."""
    if len(answer) != _DONE.size or answer[0] != ADVANCE:
        return None
    flowed_wh: float = _DONE.unpack(answer)[1]
    return flowed_wh


class Clockwork:
    """Moves the time of one device; ``port`` is the one that the harness speaks from, 0 for none."""

    def __init__(self, device: EmulatedDevice) -> None:
        self.port = 0
        self._device = device

    def advance(self, step_s: float) -> float:
        """Let time pass; returns what has really flowed since the start, for what stands behind the same meter."""
        self._device.advance(step_s)
        process = self._device.process
        return process.export_wh - process.import_wh

    def serve(self, pdu: bytes) -> bytes:
        """Answer one request of the harness."""
        _, step_s, p_available_w, v_pu, self._device.q_var = _ORDER.unpack(pdu)
        self._device.surroundings(p_available_w, v_pu)
        return _DONE.pack(ADVANCE, self.advance(step_s))


class LockstepProtocol(FaultyProtocol):
    """The server's connection, on which the harness may move time as well."""

    def __init__(self, units: Units, connections: Connections, faults: Faults, clockwork: Clockwork) -> None:
        super().__init__(units, connections, faults)
        self._clockwork = clockwork
        self._peer = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who it is."""
        super().connection_made(transport)
        self._peer = transport.get_extra_info("peername")[1]

    def reply(self, unit: int, pdu: bytes) -> bytes:
        """Return the answer to one request."""
        if pdu[0] == ADVANCE and len(pdu) == _ORDER.size and self._peer == self._clockwork.port:
            return self._clockwork.serve(pdu)
        return super().reply(unit, pdu)

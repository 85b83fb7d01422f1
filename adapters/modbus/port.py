"""Our own transport contract: connect, read, write, close. No type of a Modbus library crosses it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

Table = Literal["holding", "input"]
"""Which registers: function 3 reads holding, function 4 input registers."""

FrameListener = Callable[[bool, bytes], None]
"""Called with (sent, frame) for every frame that leaves or arrives; must not block and must not raise."""


@dataclass(frozen=True)
class LinkTiming:
    """What a device needs of its client; real devices differ widely, so this belongs to their profile.

    ``connect_delay_s`` is waited after connecting (some devices swallow early requests), ``gap_s`` between
    two requests, ``timeout_s`` for each answer and for connecting. ``max_registers`` is the most one read may
    ask. ``single_writes``: one register is written with function 6, since the device does not know function 16.
    """

    timeout_s: float = 1.0
    connect_delay_s: float = 0.0
    gap_s: float = 0.0
    max_registers: int = 125
    single_writes: bool = False


class ModbusPort(Protocol):
    """One owner's way to one endpoint (a TCP or TLS socket, or a serial line); requests go one after another.

    Every method raises an ``adapters.modbus.errors.ModbusError`` on failure and never returns None for one.
    """

    name: str
    timing: LinkTiming

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as this side knows."""
        ...

    async def connect(self) -> None:
        """Open the connection; does nothing where it stands. There is never a second one.

        Raises:
            LinkDownError: refused, unreachable or timed out.
        """
        ...

    async def read(self, unit: int, address: int, count: int, table: Table = "holding") -> bytes:
        """Read ``count`` registers of ``unit`` from ``address`` (0-based), 2 bytes each.

        Raises:
            LinkDownError: not connected, or lost in mid-request (noticed at once).
            RequestTimeoutError: no answer within ``timing.timeout_s``.
            DeviceRefusedError: the device answered with an exception.
            BadAnswerError: the answer does not fit.
        """
        ...

    async def write(self, unit: int, address: int, data: bytes) -> None:
        """Write whole registers (``len(data)`` is even) with function 16. Raises as ``read``.

        After ``LinkDownError`` or ``RequestTimeoutError`` it is unknown whether the device took the write.
        """
        ...

    async def close(self) -> None:
        """Close the connection. Safe from any state and more than once."""
        ...

"""Modbus/TCP behind our port, on pymodbus' asynchronous client."""

from typing import Any

from pymodbus.client import AsyncModbusTcpClient

from adapters.modbus._pymodbus import PymodbusPort
from adapters.modbus.port import FrameListener, LinkTiming


class TcpPort(PymodbusPort):
    """One connection to ``host:port``. Answers are matched by transaction id, so a late one is skipped."""

    def __init__(
        self, host: str, port: int, timing: LinkTiming | None = None, listener: FrameListener | None = None
    ) -> None:
        super().__init__(f"tcp://{host}:{port}", timing or LinkTiming(), listener)
        self._host, self._port = host, port

    def _new_client(self, **common: Any) -> Any:
        return AsyncModbusTcpClient(self._host, port=self._port, **common)

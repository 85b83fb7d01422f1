"""Modbus RTU on a serial line behind our port."""

from typing import Any

from pymodbus.client import AsyncModbusSerialClient
from pymodbus.framer.rtu import FramerRTU

from adapters.modbus._pymodbus import PymodbusPort
from adapters.modbus.port import FrameListener, LinkTiming

_CRC_BYTES = 2


class RtuPort(PymodbusPort):
    """One serial line. It has no transaction ids, so after a time-out the line is closed, left alone for as long
    again, and opened anew.
    """

    _late_answers_confuse = True

    def __init__(
        self,
        device: str,
        baudrate: int = 19200,
        parity: str = "E",
        timing: LinkTiming | None = None,
        listener: FrameListener | None = None,
    ) -> None:
        super().__init__(f"rtu://{device}", timing or LinkTiming(), listener)
        self._device, self._baudrate, self._parity = device, baudrate, parity

    def _new_client(self, **common: Any) -> Any:
        return AsyncModbusSerialClient(
            self._device, baudrate=self._baudrate, parity=self._parity, stopbits=1, **common
        )

    def _is_whole(self, data: bytes) -> bool:
        return len(data) > _CRC_BYTES and FramerRTU.check_CRC(
            data[:-_CRC_BYTES], int.from_bytes(data[-_CRC_BYTES:], "big")
        )

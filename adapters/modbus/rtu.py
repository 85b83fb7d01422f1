"""Modbus RTU on a serial line behind our port."""

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from pymodbus.client import AsyncModbusSerialClient, ModbusSerialClient
from pymodbus.framer.rtu import FramerRTU

from adapters.modbus._pymodbus import PymodbusPort
from adapters.modbus.errors import BadAnswerError, LinkDownError
from adapters.modbus.port import FrameListener, LinkTiming

_CRC_BYTES = 2
_ANSWER_S = 3.0


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


def exchange(device: str, baudrate: int, parity: str, segments: Sequence[bytes], quiet_s: float) -> bytes:
    """Send frames on a line that nobody else holds, as they are but for the last, which gets its checksum; return what
    comes before the line is quiet, without its checksum. Blocks.

    Raises:
        LinkDownError: the line cannot be opened.
        BadAnswerError: what came has a wrong checksum.
    """
    client = ModbusSerialClient(device, baudrate=baudrate, parity=parity, timeout=quiet_s)
    line: Any = client.socket if client.connect() else None
    if line is None:
        raise LinkDownError(f"rtu://{device}: cannot be opened")
    with closing(client):
        for segment in segments[:-1]:
            line.write(segment)
            time.sleep(quiet_s)
        line.write(segments[-1] + FramerRTU.compute_CRC(segments[-1]).to_bytes(_CRC_BYTES, "big"))
        answer, deadline_s = b"", time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline_s:
            more: bytes = line.read(256)
            answer += more
            if answer and not more:
                break
    body, crc = answer[:-_CRC_BYTES], answer[-_CRC_BYTES:]
    if answer and not FramerRTU.check_CRC(body, int.from_bytes(crc, "big")):
        raise BadAnswerError(f"rtu://{device}: the answer {answer.hex()} has a wrong checksum")
    return body

"""The control channel of an emulated device: JSON, one object per line, every request answered.

It lies beside the Modbus socket and plays what is not on the wire: the passage of time, sun and mains, and
faults.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from rigs.emulator.device import EmulatedDevice
from rigs.emulator.faulty import Faults

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def handlers(device: EmulatedDevice, faults: Faults, stop: Callable[[], None]) -> dict[str, Handler]:
    """Return what the channel understands, by the word in ``do``."""

    def advance(message: Mapping[str, Any]) -> Mapping[str, Any]:
        if device.config.clock != "lockstep":
            raise ValueError("this device runs on wall-clock time; only lockstep devices are advanced")
        if "p_available_w" in message:
            device.surroundings(float(message["p_available_w"]), float(message.get("v_pu", 1.0)))
        device.advance(float(message["step_s"]))
        return {"now_s": device.now_s}

    def surroundings(message: Mapping[str, Any]) -> Mapping[str, Any]:
        device.surroundings(float(message["p_available_w"]), float(message.get("v_pu", 1.0)))
        return {}

    def zero(message: Mapping[str, Any]) -> Mapping[str, Any]:
        device.zero()
        return {}

    def lie(message: Mapping[str, Any]) -> Mapping[str, Any]:
        device.meter.lie(float(message["scale"]), float(message.get("from_s", 0.0)))
        return {}

    def fault(message: Mapping[str, Any]) -> Mapping[str, Any]:
        faults.add({k: message[k] for k in ("kind", "from_s", "until_s", "value")})
        return {}

    def truth(message: Mapping[str, Any]) -> Mapping[str, Any]:
        process = device.process
        return {
            "now_s": device.now_s,
            "power_w": process.power_w,
            "export_wh": process.export_wh,
            "import_wh": process.import_wh,
        }

    def end(message: Mapping[str, Any]) -> Mapping[str, Any]:
        stop()
        return {}

    return {
        "advance": advance,
        "surroundings": surroundings,
        "zero": zero,
        "lie": lie,
        "fault": fault,
        "truth": truth,
        "stop": end,
    }


class ControlProtocol(asyncio.Protocol):
    """One end of the channel inside the device's process."""

    def __init__(self, known: Mapping[str, Handler], lost: Callable[[], None]) -> None:
        self._known = known
        self._lost = lost
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the process that nobody holds the other end any more."""
        self._lost()

    def data_received(self, data: bytes) -> None:
        """Serve every complete line."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self.send(self._serve(line))

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message."""
        if self._transport is not None:
            self._transport.write(json.dumps(message).encode() + b"\n")

    def _serve(self, line: bytes) -> Mapping[str, Any]:
        try:
            message = json.loads(line)
            handler = self._known.get(message["do"])
            if handler is None:
                raise ValueError(
                    f"unknown request {message['do']!r}; known: {', '.join(sorted(self._known))}"
                )
            return {"ok": True, **handler(message)}
        except Exception as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

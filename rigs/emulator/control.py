"""The control channel of an emulated device: JSON, one object per line, every request answered.

It lies beside the Modbus socket and plays what is not on the wire: the passage of time, sun and mains, and
faults.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from rigs.emulator.device import EmulatedDevice
from rigs.emulator.faulty import Faults
from rigs.emulator.lockstep import Clockwork

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Handlers:
    """What the channel understands, one method a word."""

    def __init__(
        self, clockwork: Clockwork, device: EmulatedDevice, faults: Faults, stop: Callable[[], None]
    ) -> None:
        self._clockwork = clockwork
        self._device, self._faults, self._stop = device, faults, stop

    def table(self) -> dict[str, Handler]:
        """Return the handlers by the word in ``do``."""
        words = ("advance", "surroundings", "zero", "lie", "fault", "truth", "hear", "stop")
        return {word: getattr(self, word) for word in words}

    def advance(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let time pass, with new surroundings where they are given."""
        if self._device.config.clock != "lockstep":
            raise ValueError("this device runs on wall-clock time; only lockstep devices are advanced")
        if "p_available_w" in message:
            self.surroundings(message)
        true_wh = self._clockwork.advance(float(message["step_s"]))
        return {"now_s": self._device.now_s, "true_wh": true_wh}

    def hear(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let time be moved over the Modbus connection from this port, too: the harness's own."""
        if self._device.config.clock != "lockstep":
            raise ValueError("this device runs on wall-clock time; nobody moves it")
        self._clockwork.port = int(message["port"])
        return {}

    def surroundings(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Set what the sun allows and the voltage."""
        if "car" in message:
            self._device.plug(*message["car"])
        if "heat_most_w" in message:
            self._device.ask(float(message["heat_most_w"]))
        self._device.q_var = float(message.get("q_var", 0.0))
        self._device.surroundings(
            float(message["p_available_w"]), float(message.get("v_pu", 1.0)), message.get("f_hz")
        )
        return {}

    def zero(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call now the start of the run."""
        self._device.zero()
        return {}

    def lie(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Scale what is registered from a time on."""
        self._device.meter.lie(float(message["scale"]), float(message.get("from_s", 0.0)))
        return {}

    def fault(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Schedule a fault."""
        self._faults.add({k: message[k] for k in ("kind", "from_s", "until_s", "value")})
        return {}

    def truth(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what really flows, whatever the registers say."""
        process = self._device.process
        return {
            "now_s": self._device.now_s,
            "power_w": process.power_w,
            "export_wh": process.export_wh,
            "import_wh": process.import_wh,
        }

    def stop(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """End the process."""
        self._stop()
        return {}


class ControlProtocol(asyncio.Protocol):
    """One end of the channel inside the device's process."""

    def __init__(self, known: Mapping[str, Handler], lost: Callable[[], None]) -> None:
        self._known = known
        self._lost = lost
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(
            asyncio.WriteTransport, transport
        )  # uvloop's is one by its methods, not by its class

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

"""Faults on the wire and in the registers of an emulated device."""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

from rigs.emulator.device import EmulatedDevice
from rigs.emulator.image import SunSpecImage
from rigs.emulator.server import Connections, ModbusTcpProtocol, Units

_ON_WIRE = ("mute", "late", "reset", "split", "merged", "wrong_unit", "busy", "kick")
_LINGER = struct.pack("ii", 1, 0)
_MEASURED = {"W", "VA", "Var", "VAr", "VAR", "TotWhInj", "TotWhAbs", "WH", "SoC", "TotWhExp", "TotWhImp"}


class Faults:
    """The faults of one device; asked for what is active at the device's own time."""

    def __init__(self, device: EmulatedDevice) -> None:
        self._device = device
        self._list: list[Mapping[str, Any]] = []
        self._rebooted: set[int] = set()
        self._factors: dict[int, int] = {}
        self.reboot: Callable[[], None] = lambda: None
        self._publish = device.publish
        device.publish = self.publish  # type: ignore[method-assign] # every path to the registers passes here

    def add(self, fault: Mapping[str, Any]) -> None:
        """Add a fault: kind, from_s, until_s, value."""
        self._list.append(dict(fault))
        self._twist()

    def active(self, kind: str) -> float | None:
        """Return the value of an active fault of a kind, else None.

        On the wire a fault holds from ``from_s`` until before ``until_s``; in the registers it spoils what is
        measured in that time, so it shows after ``from_s`` up to ``until_s``.
        """
        now_s = self._device.now_s
        for fault in self._list:
            if fault["kind"] != kind:
                continue
            first_s, last_s = fault["from_s"], fault["until_s"]
            if first_s <= now_s < last_s if kind in _ON_WIRE else first_s < now_s <= last_s:
                return float(fault["value"])
        return None

    @property
    def any(self) -> bool:
        """Whether any fault was ever scheduled; the common case is none."""
        return bool(self._list)

    def on_wire(self) -> tuple[str, float] | None:
        """Return the first active wire fault with its value."""
        for kind in _ON_WIRE:
            if (value := self.active(kind)) is not None:
                return kind, value
        return None

    def publish(self) -> None:
        """Publish as the device does, spoiled by what is active."""
        for number, fault in enumerate(self._list):
            due = fault["kind"] == "reboot" and fault["from_s"] < self._device.now_s
            if due and number not in self._rebooted:
                self._rebooted.add(number)
                self.reboot()
        self._twist()
        if self.active("frozen") is not None:
            return
        image = self._device.image
        if isinstance(image, SunSpecImage):
            self._factor(image, 0)
        self._publish()
        if isinstance(image, SunSpecImage):
            self._factor(image, int(self.active("sf_jump") or 0))
            if self.active("nan") is not None:
                for model_id, layout in image.layouts.items():
                    for name in _MEASURED & set(layout.points) if model_id not in (704, 123) else ():
                        image.clear(model_id, name)

    def _twist(self) -> None:
        """Let the meter register the coming step with the first lie or drift that is not over, if there was
        ever one."""
        twists = [f for f in self._list if f["kind"] in ("lie", "drift")]
        if not twists:
            return
        now_s = self._device.now_s
        left = [f for f in twists if f["until_s"] > now_s]
        if not left:
            self._device.meter.lie(1.0, now_s)
            return
        fault = min(left, key=lambda f: float(f["from_s"]))
        begun_s, scale = float(fault["from_s"]), float(fault["value"])
        if fault["kind"] == "drift":
            scale = 1 + scale * max(0.0, now_s - begun_s) / 3600
        self._device.meter.lie(scale, begun_s)

    def _factor(self, image: SunSpecImage, jump: int) -> None:
        """Let the scale factor of power lie by ``jump`` powers of ten while the registers stay."""
        for model_id in {701, 103, 203} & set(image.layouts):
            true = self._factors.setdefault(model_id, int(image.get(model_id, "W_SF")))
            image.put(model_id, "W_SF", true + jump)


def drip(send: Callable[[bytes], None], data: bytes) -> None:
    """Send two bytes now, and the others a millisecond later in the same way."""
    send(data[:2])
    if len(data) > 2:
        asyncio.get_running_loop().call_later(0.001, drip, send, data[2:])


class FaultyProtocol(ModbusTcpProtocol):
    """The server's connection with a spoiler between answer and wire."""

    def __init__(self, units: Units, connections: Connections, faults: Faults) -> None:
        super().__init__(units, connections)
        self._faults = faults
        self._last = b""

    def _send(self, data: bytes) -> None:
        fault = self._faults.on_wire() if data and self._faults.any else None
        if fault is None or self._transport is None:
            self._last = data or self._last
            super()._send(data)
            return
        kind, value = fault
        transport, loop = self._transport, asyncio.get_running_loop()
        if kind == "late":
            loop.call_later(value, super()._send, data)
        elif kind == "reset":
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            transport.abort()
        elif kind == "split":
            drip(super()._send, data)
        elif kind == "merged":
            super()._send(self._last + data)
        elif kind == "wrong_unit":
            super()._send(data[:6] + bytes(((data[6] + 1) & 0xFF,)) + data[7:])
        elif kind == "busy":
            super()._send(data[:4] + bytes((0, 3, data[6], data[7] | 0x80, 6)))
        elif kind == "kick":
            super()._send(data)
            loop.call_soon(transport.close)

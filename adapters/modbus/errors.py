"""Errors of the Modbus adapters. The class says what the caller can do."""


class ModbusError(Exception):
    """Base of all Modbus errors."""


class LinkDownError(ModbusError):
    """No connection, or lost in mid-request: connect again. A write in flight is *unknown*."""


class RequestTimeoutError(ModbusError):
    """The device did not answer in time: read back what was written, or make safe. A write is *unknown*."""


_NAMES = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}


class DeviceRefusedError(ModbusError):
    """The device answered with an exception: mend the request. ``code`` is the Modbus exception code."""

    def __init__(self, request: str, code: int) -> None:
        self.code = code
        super().__init__(f"{request}: the device refused with {code} ({_NAMES.get(code, 'unknown')})")


class DeviceBusyError(DeviceRefusedError):
    """The device is busy (exceptions 5 and 6): the same request may succeed later."""


class BadAnswerError(ModbusError):
    """The answer does not fit the request: close the connection, trust nothing that was read over it."""


class NotSunSpecError(ModbusError):
    """No SunSpec marker at any of the known base addresses: wrong unit id, or not a SunSpec device."""


class MapChangedError(ModbusError):
    """The device's model list is no longer what discovery found: discover again."""


class PointError(ModbusError):
    """A point does not exist, cannot be written, or cannot hold the value: mend the caller."""

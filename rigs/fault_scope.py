"""Which faults a device of a bench can be given, and why not where it cannot: known before anything is opened."""

from collections import Counter
from collections.abc import Mapping

from rigs.bench_file import BenchFile, DeviceSection, endpoint_of
from rigs.device import RoleSpec
from rigs.faults import Refusal

ON_REAL_LINKS = ("mute", "late", "reset", "kick", "busy")
"""Harmless on a real link: they happen in our own end of it (``rigs.link_tap``)."""
_CONNECTION = ("reset", "kick")
_SUNSPEC_ONLY = {"nan": "no register that can say 'no value'", "sf_jump": "no scale factors"}
_MAPPED = ("ev_charger", "heat_pump")


def fault_refusals(bench: BenchFile, specs: Mapping[str, RoleSpec]) -> Refusal:
    """Return what tells why a role of the bench cannot have a fault."""
    users = Counter(endpoint_of(d) for d in bench.devices.values() if d.driver == "modbus")

    def refusal(role: str, kind: str) -> str:
        device = bench.devices[role]
        shared = device.driver == "modbus" and users[endpoint_of(device)] > 1
        return _refusal(kind, device, specs[role].kind, shared)

    return refusal


def _refusal(kind: str, device: DeviceSection, device_kind: str, shared: bool) -> str:
    if device.driver == "memory":
        return "is served by driver memory, which has no wire that could fail"
    if device.driver == "modbus":
        if kind not in ON_REAL_LINKS:
            return (
                f"is a real device, which cannot be told to do {kind}: it would need the device itself; "
                f"harmless on a real link are {', '.join(ON_REAL_LINKS)}"
            )
        if kind in _CONNECTION and shared:
            return f"shares its connection with other roles, which {kind} would hit too"
        if kind in _CONNECTION and device.serial is not None:
            return f"is on a serial line, which has no connection to lose ({kind})"
        return ""
    if kind in _CONNECTION and device.emulated.link == "rtu":
        return f"is on a serial line, which has no connection to lose ({kind})"
    if kind in _SUNSPEC_ONLY and device_kind in _MAPPED:
        return f"is served by a register map with {_SUNSPEC_ONLY[kind]}, so it cannot do {kind}"
    return ""

"""Which roles a register map can serve, and the points that it must have for that."""

from collections.abc import Sequence

from adapters.modbus.register_map import RegisterMap
from rigs.bench_sections import DeviceSection

OWN_MAPS = {"ev_charger": "keba_p30", "heat_pump": "stiebel_isg"}
"""What emulated devices of a kind speak, and real ones unless their bench names another map."""
_READ = {
    "ev_charger": (
        *("ActivePower", "TotalEnergy", "ErrorCode"),
        *("SupportedCurrent", "VoltageL1", "VoltageL2", "VoltageL3"),
    ),
    "heat_pump": ("SgReadyState",),
    "meter": ("PowerTotal", "ImportEnergy", "ExportEnergy"),
}
_READ_BACK = {"ev_charger": ("MaxCurrent",)}
_WRITTEN = {
    "ev_charger": ("SetCurrent", "SetEnable", "SetFailsafeCurrent", "SetFailsafeTimeout"),
    "heat_pump": ("SgReadyOn", "SgReadyInput1", "SgReadyInput2"),
}


def map_problems(device: DeviceSection, kind: str, register_map: RegisterMap) -> list[str]:
    """Return why a map cannot serve a device of a kind as its bench section has it."""
    if kind not in _READ:
        return [f"a register map serves {' or '.join(_READ)}; a {kind} is controlled by its SunSpec models"]
    if device.driver == "emulated":
        if OWN_MAPS.get(kind) == register_map.name:
            return []
        speaks = f"the map {OWN_MAPS[kind]}" if kind in OWN_MAPS else "SunSpec"
        return [f"is for driver modbus: an emulated {kind} speaks {speaks}"]
    acts = device.mode != "observe"
    read = (*_READ[kind], *(_READ_BACK.get(kind, ()) if acts else ()))
    written = _WRITTEN.get(kind, ()) if acts else ()
    return [
        *_lacking(register_map, read, "readable"),
        *_lacking(register_map, written, "writable"),
    ]


def _lacking(register_map: RegisterMap, names: Sequence[str], how: str) -> list[str]:
    points = register_map.points
    missing = [n for n in names if n not in points or not getattr(points[n], how)]
    return [f"{register_map.name} has no {how} {', '.join(missing)}"] if missing else []

"""Read a bench file and check it against the roles of a scenario: every problem at once, nothing opened."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ValidationError

from adapters.modbus.errors import PointError
from adapters.modbus.register_map import load_map, shipped_maps
from rigs.bench_sections import (
    AcSourceSection,
    AggregateSection,
    BenchFile,
    DeviceSection,
    EmulatedSection,
    IdentitySection,
    InterlockSection,
    LimitsSection,
    MeterSection,
    NameplateSection,
    SafeSection,
    SerialSection,
    TimingSection,
    TlsSection,
)
from rigs.device import RoleSpec
from rigs.errors import BenchFileError, RigError
from rigs.fitted import load_fitted
from rigs.heat_meter import by_kind, heat_pump_problems
from rigs.map_roles import map_problems
from rigs.yaml_source import KeyPath, YamlSource, describe, read_yaml

__all__ = [
    "BenchFile",
    "DeviceSection",
    "find_map",
    "is_lockstep",
    "load_bench",
    "nameplate_range",
    "nameplate_roles",
]

_FEW = 8
FAILSAFE_S = (10.0, 600.0)
"""Least and most failsafe time of a wallbox by KEBA's map, beside 0 for none; see the map for where that is from."""
_SECTIONS: dict[KeyPath, type[BaseModel]] = {
    (): BenchFile,
    ("aggregate",): AggregateSection,
    ("interlock",): InterlockSection,
    ("ac_source",): AcSourceSection,
    ("devices", "*"): DeviceSection,
    ("devices", "*", "limits"): LimitsSection,
    ("devices", "*", "safe"): SafeSection,
    ("devices", "*", "nameplate"): NameplateSection,
    ("devices", "*", "identity"): IdentitySection,
    ("devices", "*", "meter"): MeterSection,
    ("devices", "*", "timing"): TimingSection,
    ("devices", "*", "tls"): TlsSection,
    ("devices", "*", "serial"): SerialSection,
    ("devices", "*", "emulated", "tls"): TlsSection,
    ("devices", "*", "emulated"): EmulatedSection,
}


def load_bench(path: Path, roles: Sequence[RoleSpec]) -> BenchFile:
    """Read and check a bench file for a scenario's roles.

    Raises:
        BenchFileError: with every problem found in file, roles and limits.
    """
    bench, problems = read_bench(path, roles)
    if bench is None or problems:
        raise BenchFileError(problems)
    return by_kind(bench, {spec.role: spec for spec in roles})


def read_bench(path: Path, roles: Sequence[RoleSpec]) -> tuple[BenchFile | None, list[str]]:
    """Return a bench file, None where its sections are wrong, and every problem found in file, roles and limits."""
    source = read_yaml(path)
    problems = list(source.problems)
    if source.data is None:
        return None, problems
    known = {where: list(section.model_fields) for where, section in _SECTIONS.items()}
    try:
        bench = BenchFile.model_validate(source.data)
    except ValidationError as error:
        return None, problems + describe(source, error, known) + _unknown_roles(source, roles)
    specs = {r.role: r for r in roles}
    problems += _fit_problems(source, bench) + _map_problems(source, bench, specs)
    problems += _source_problems(source, bench) + _role_problems(source, bench, specs)
    problems += _shared_endpoints(source, bench)
    return bench, problems


def nameplate_range(spec: RoleSpec) -> tuple[float, float]:
    """Return least and most power of a role by its kind and rating, in W, positive into the grid."""
    p_w = spec.p_max_w
    return {
        "battery": (-p_w, p_w),
        "pv_inverter": (0.0, p_w),
        "ev_charger": (-p_w, 0.0),
        "heat_pump": (-p_w, 0.0),
        "meter": (0.0, 0.0),
    }[spec.kind]


def nameplate_roles(path: Path) -> tuple[RoleSpec, ...]:
    """Return the roles of a bench by its own nameplates, for use without a scenario.

    Raises:
        BenchFileError: a device without a nameplate, or a file that is wrong in itself.
    """
    source = read_yaml(path)
    devices = source.data.get("devices") if isinstance(source.data, dict) else None
    if not isinstance(devices, dict):
        raise BenchFileError([*source.problems, source.problem(("devices",), "is missing")])
    specs, problems = [], []
    for role, device in devices.items():
        plate = device.get("nameplate") if isinstance(device, dict) else None
        try:
            section = NameplateSection.model_validate(plate)
        except ValidationError:
            text = "without a scenario the bench must say kind and p_max_w of every device"
            problems.append(source.problem(("devices", str(role), "nameplate"), text))
            continue
        specs.append(RoleSpec(str(role), **section.model_dump()))
    if problems:
        raise BenchFileError(problems)
    return tuple(specs)


def _role_problems(source: YamlSource, bench: BenchFile, roles: dict[str, RoleSpec]) -> list[str]:
    problems = []
    for role, device in bench.devices.items():
        where = ("devices", role)
        spec = roles.get(role)
        if spec is None:
            problems.append(_unknown_role(source, role, list(roles)))
            continue
        plate = device.nameplate
        alike = (
            plate is not None
            and (plate.kind == spec.kind)
            and (
                spec.kind == "meter"
                or plate.p_max_w == spec.p_max_w  # any meter that can carry the connection fits
            )
        )
        if plate is not None and not alike:
            problems.append(
                source.problem(
                    (*where, "nameplate"),
                    f"{plate.kind} of {plate.p_max_w} W, the scenario needs {spec.kind} of {spec.p_max_w} W",
                )
            )
        problems += _timer_problems(source, role, device, spec)
        least_w, most_w = nameplate_range(spec)
        if spec.kind == "heat_pump":
            problems += [source.problem((*where, key), text) for key, text in heat_pump_problems(device)]
        limits = device.limits.p_gen_w
        if limits is not None and not (least_w <= limits[0] and limits[1] <= most_w):
            problems.append(
                source.problem(
                    (*where, "limits", "p_gen_w"),
                    f"{list(limits)} exceeds the nameplate {[least_w, most_w]} of the role",
                )
            )
        low_w, high_w = limits or (least_w, most_w)
        safe_w = by_kind(bench, roles).devices[role].safe.p_set_w
        if not low_w <= safe_w <= high_w:
            text = f"{safe_w} lies outside {[low_w, high_w]}"
            problems.append(source.problem((*where, "safe", "p_set_w"), text))
    return problems


def _unknown_role(source: YamlSource, role: str, roles: Sequence[str]) -> str:
    near = get_close_matches(role, roles, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {_listed(role, sorted(roles))}"
    return source.problem(("devices", role), f"the scenario has no such role; {hint}")


def _unknown_roles(source: YamlSource, specs: Sequence[RoleSpec]) -> list[str]:
    """Unknown roles of a file whose sections are wrong, so that they are told with the rest."""
    devices = source.data.get("devices") if isinstance(source.data, dict) else None
    names, roles = list(devices) if isinstance(devices, dict) else [], [s.role for s in specs]
    return [_unknown_role(source, str(name), roles) for name in names if str(name) not in roles]


def _timer_problems(source: YamlSource, role: str, device: DeviceSection, spec: RoleSpec) -> list[str]:
    """What a real wallbox could not take as its reversion time."""
    least_s, most_s = FAILSAFE_S
    writes = device.driver == "modbus" and device.mode != "observe" and spec.kind == "ev_charger"
    if not writes or least_s <= device.reversion_s <= most_s:
        return []
    text = f"{device.reversion_s:g} s: the failsafe of a wallbox takes {least_s:g} to {most_s:g} s"
    return [source.problem(("devices", role, "reversion_s"), text)]


def _listed(role: str, known: Sequence[str]) -> str:
    """Return known roles of the same sort as one that is not known, or of all sorts, a few of them."""
    same = [name for name in known if name.rpartition(".")[2] == role.rpartition(".")[2]] or list(known)
    more = f" and {len(same) - _FEW} more" if len(same) > _FEW else ""
    return ", ".join(same[:_FEW]) + more or "none"


def endpoint_of(device: DeviceSection) -> tuple[str, int]:
    """Return what a real device's link leads to: host and port, or the serial line and 0."""
    return (device.serial.device, 0) if device.serial is not None else (str(device.host), device.port)


def is_lockstep(device: DeviceSection) -> bool:
    """Tell whether a device's time passes only when it is told."""
    return device.driver == "emulated" and device.emulated.clock == "lockstep"


def find_map(name: str, folder: Path) -> Path:
    """Return the file of a register map: a shipped one by its name, else a CSV file beside the bench."""
    return shipped_maps().get(name) or folder / name


def _source_problems(source: YamlSource, bench: BenchFile) -> list[str]:
    """What is wrong with the voltage that devices see."""
    problems = []
    feeds = bench.ac_source.feeds if bench.ac_source is not None else []
    for i, role in enumerate(feeds):
        if role not in bench.devices:
            near = get_close_matches(role, bench.devices, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(bench.devices)}"
            problems.append(source.problem(("ac_source", "feeds", i), f"the bench has no such role; {hint}"))
    if bench.coupling != "quasi_static":
        return problems
    for role, device in bench.devices.items():
        fed = bench.ac_source is not None and (not feeds or role in feeds)
        if device.driver == "modbus" and not fed:
            text = f"{role!r} is a real device on the laboratory's own mains; it needs an ac_source that feeds it"
            problems.append(source.problem(("coupling",), text))
    return problems


def _fit_problems(source: YamlSource, bench: BenchFile) -> list[str]:
    problems = []
    for role, device in bench.devices.items():
        if device.emulated.parameters is not None:
            try:
                load_fitted(source.path.parent / device.emulated.parameters)
            except RigError as error:
                where = ("devices", role, "emulated", "parameters")
                problems.append(source.problem(where, str(error)))
    return problems


def _map_problems(source: YamlSource, bench: BenchFile, roles: dict[str, RoleSpec]) -> list[str]:
    problems = []
    for role, device in bench.devices.items():
        if device.map is None:
            continue
        where, path = ("devices", role, "map"), find_map(device.map, source.path.parent)
        if not path.is_file():
            text = f"no such map: {device.map!r}; shipped: {', '.join(shipped_maps())}"
            problems.append(source.problem(where, text))
            continue
        try:
            found = load_map(path)
        except PointError as error:
            problems += [source.problem(where, line) for line in str(error).splitlines()]
            continue
        if role in roles:
            problems += [
                source.problem(where, text) for text in map_problems(device, roles[role].kind, found)
            ]
    return problems


def _shared_endpoints(source: YamlSource, bench: BenchFile) -> list[str]:
    problems = []
    seen: dict[tuple[str, int, int], str] = {}
    lines: dict[tuple[str, int], str] = {}
    for role, device in bench.devices.items():
        if device.driver == "modbus":
            line = device.serial.device if device.serial else str(device.host)
            key = (line, 0 if device.serial else device.port, device.unit_id)
        elif device.driver == "emulated" and device.emulated.port:
            key = ("loopback", device.emulated.port, 0)
        else:
            continue
        if device.driver == "modbus":
            first = lines.setdefault(endpoint_of(device), role)
            if bench.devices[first].timing != device.timing:
                text = f"shares its link with role {first!r}, so it must state the same timing"
                problems.append(source.problem(("devices", role, "timing"), text))
        if key in seen:
            problems.append(
                source.problem(("devices", role), f"is the endpoint of role {seen[key]!r} already")
            )
        seen.setdefault(key, role)
    return problems

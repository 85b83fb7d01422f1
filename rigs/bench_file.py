"""The bench file as typed models: which device serves a role, and what may be written to it.

A bench never mentions price, time or market; a scenario never mentions a host, a port or a register.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adapters.modbus.errors import PointError
from adapters.modbus.register_map import load_map, shipped_maps
from rigs.device import DeviceKind, RoleSpec
from rigs.errors import BenchFileError
from rigs.yaml_source import KeyPath, YamlSource, describe, read_yaml

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
Mode = Literal["observe", "shadow", "armed"]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsSection(Section):
    """Hard limits of a role; the least of these and the nameplate holds. A breach is rejected and latched."""

    p_gen_w: tuple[float, float] | None = Field(None, description="Least and most power, + into the grid.")
    soc: tuple[float, float] | None = Field(None, description="Window of the state of charge, 0..1.")

    @model_validator(mode="after")
    def _ordered(self) -> "LimitsSection":
        for name in ("p_gen_w", "soc"):
            pair = getattr(self, name)
            if pair is not None and not pair[0] <= pair[1]:
                raise ValueError(f"{name}: the first of the two must not exceed the second")
        if self.soc is not None and not (self.soc[0] >= 0 and self.soc[1] <= 1):
            raise ValueError("soc: must lie in 0..1")
        return self


class SafeSection(Section):
    """What is written when the device is made safe, and what its own reversion timer falls back to."""

    p_set_w: float = 0.0


class IdentitySection(Section):
    """Who must answer (SunSpec model 1); checked before arming and whenever the link returns."""

    maker: str
    model: str
    serial: str


class NameplateSection(Section):
    """What the device can do. Needed where no scenario says it: 'twin rig emulate' and 'check' know only the
    bench."""

    kind: DeviceKind
    p_max_w: float = Field(gt=0)
    capacity_wh: float = Field(0.0, ge=0)
    soc_initial: float = Field(0.5, ge=0, le=1)
    efficiency: float = Field(1.0, gt=0, le=1)


class EmulatedSection(Section):
    """How an emulated device behaves."""

    port: Port = Field(0, description="TCP port on the loopback; 0 takes any free one.")
    response_s: Seconds = Field(0.05, description="Time constant of the power behind its set point.")
    ramp_w_per_s: float = Field(0.0, ge=0, description="Ramp limit of the device itself; 0: none.")
    clock: Literal["lockstep", "wall"] = Field("lockstep", description="Simulated or wall-clock time.")


class TimingSection(Section):
    """What the device needs of its client."""

    timeout_s: float | None = Field(
        None,
        gt=0,
        le=60,
        description="Default: 1 s; in lockstep 30 s, since a busy machine must not change a result.",
    )
    connect_delay_s: Seconds = 0.0
    gap_s: Seconds = 0.0
    max_registers: int = Field(125, ge=2, le=125)


class DeviceSection(Section):
    """The device that serves one role."""

    driver: Literal["memory", "emulated", "modbus"] = Field(
        description="memory: a model; emulated: a model behind a real socket; modbus: a real device."
    )
    mode: Mode = Field(
        "observe",
        description="observe: read only; shadow: writes are logged, not sent; armed: writes are sent.",
    )
    host: str | None = Field(None, description="Address of a real device (driver modbus).")
    port: Port = 502
    unit_id: int = Field(1, ge=0, le=255)
    map: str | None = Field(
        None,
        description="Register map of a device without SunSpec: a shipped name or a CSV file beside the bench.",
    )
    identity: IdentitySection | None = None
    nameplate: NameplateSection | None = None
    limits: LimitsSection = Field(default_factory=LimitsSection)
    safe: SafeSection = Field(default_factory=SafeSection)
    reversion_s: float = Field(
        7200,
        gt=0,
        le=86400,
        description="The device's own timer: without a fresh write it falls back to safe.",
    )
    ramp_w_per_s: float | None = Field(None, gt=0, description="Most change of the set point per second.")
    deadband_w: float = Field(0.0, ge=0, description="Smaller changes of the set point are not sent.")
    min_interval_s: Seconds = Field(0.0, description="Least time between two changes of the set point.")
    daily_writes: int | None = Field(
        None, ge=1, description="Most write requests a day, for points that wear flash; none: they do not."
    )
    no_reversion_because: str = Field(
        "", description="Signed exception: why this device may be armed without a proven reversion timer."
    )
    poll_s: float = Field(1.0, gt=0, le=60, description="Wall-clock mode: time between two polls.")
    stale_after_s: float = Field(5.0, gt=0, description="Wall-clock mode: an older sample is stale.")
    safe_after_s: float = Field(
        15.0,
        gt=0,
        description="Wall-clock mode: without a step or an answer for so long, the device is made safe.",
    )
    timing: TimingSection = Field(default_factory=TimingSection)
    emulated: EmulatedSection = Field(default_factory=EmulatedSection)

    @model_validator(mode="after")
    def _fits_driver(self) -> "DeviceSection":
        if self.driver == "modbus":
            if self.host is None:
                raise ValueError("driver modbus needs host")
            if self.mode == "armed":
                raise ValueError("a real device is never armed by its bench file; arm it for a stated time")
            if self.mode != "observe" and self.limits.p_gen_w is None:
                raise ValueError("driver modbus needs limits.p_gen_w before anything may be written")
            if "reversion_s" not in self.model_fields_set and self.mode != "observe":
                raise ValueError("driver modbus needs reversion_s before anything may be written")
        elif self.host is not None:
            raise ValueError(f"host is for driver modbus; driver is {self.driver}")
        if self.no_reversion_because and len(self.no_reversion_because.split()) < 4:
            raise ValueError("no_reversion_because: say who decided and why, in words")
        return self


class AggregateSection(Section):
    """Limits of all roles together. A breach is rejected and latched for all of them."""

    p_gen_w: tuple[float, float] = Field(description="Least and most sum of the set points.")

    @model_validator(mode="after")
    def _ordered(self) -> "AggregateSection":
        if not self.p_gen_w[0] <= self.p_gen_w[1]:
            raise ValueError("p_gen_w: the first of the two must not exceed the second")
        return self


class BenchFile(Section):
    """A whole bench."""

    bench: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name of the bench.")
    description: str = ""
    features: list[str] = Field(default_factory=list, description="What a scenario may require.")
    coupling: Literal["none", "quasi_static"] = Field(
        "none", description="none: devices see their own mains; quasi_static: the plant's voltage, per step."
    )
    aggregate: AggregateSection | None = None
    devices: dict[str, DeviceSection] = Field(description="Role to device.")


_SECTIONS: dict[KeyPath, type[BaseModel]] = {
    (): BenchFile,
    ("aggregate",): AggregateSection,
    ("devices", "*"): DeviceSection,
    ("devices", "*", "limits"): LimitsSection,
    ("devices", "*", "safe"): SafeSection,
    ("devices", "*", "nameplate"): NameplateSection,
    ("devices", "*", "identity"): IdentitySection,
    ("devices", "*", "timing"): TimingSection,
    ("devices", "*", "emulated"): EmulatedSection,
}


def load_bench(path: Path, roles: Sequence[RoleSpec]) -> BenchFile:
    """Read and check a bench file for a scenario's roles.

    Raises:
        BenchFileError: with every problem found in file, roles and limits.
    """
    source = read_yaml(path)
    if source.data is None:
        raise BenchFileError(source.problems)
    problems = list(source.problems)
    known = {where: list(section.model_fields) for where, section in _SECTIONS.items()}
    try:
        bench = BenchFile.model_validate(source.data)
    except ValidationError as error:
        raise BenchFileError(problems + describe(source, error, known)) from None
    problems += _map_problems(source, bench)
    problems += _role_problems(source, bench, {r.role: r for r in roles}) + _shared_endpoints(source, bench)
    if problems:
        raise BenchFileError(problems)
    return bench


def nameplate_range(spec: RoleSpec) -> tuple[float, float]:
    """Return least and most power of a role by its kind and rating, in W, positive into the grid."""
    p_w = spec.p_max_w
    return {
        "battery": (-p_w, p_w),
        "pv_inverter": (0.0, p_w),
        "ev_charger": (-p_w, 0.0),
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
    from difflib import get_close_matches

    problems = []
    for role, device in bench.devices.items():
        where = ("devices", role)
        spec = roles.get(role)
        if spec is None:
            near = get_close_matches(role, roles, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(roles)) or 'none'}"
            problems.append(source.problem(where, f"the scenario has no such role; {hint}"))
            continue
        plate = device.nameplate
        if plate is not None and (plate.kind, plate.p_max_w) != (spec.kind, spec.p_max_w):
            problems.append(
                source.problem(
                    (*where, "nameplate"),
                    f"{plate.kind} of {plate.p_max_w} W, the scenario needs {spec.kind} of {spec.p_max_w} W",
                )
            )
        least_w, most_w = nameplate_range(spec)
        limits = device.limits.p_gen_w
        if limits is not None and not (least_w <= limits[0] and limits[1] <= most_w):
            problems.append(
                source.problem(
                    (*where, "limits", "p_gen_w"),
                    f"{list(limits)} exceeds the nameplate {[least_w, most_w]} of the role",
                )
            )
        low_w, high_w = limits or (least_w, most_w)
        if not low_w <= device.safe.p_set_w <= high_w:
            problems.append(
                source.problem(
                    (*where, "safe", "p_set_w"), f"{device.safe.p_set_w} lies outside {[low_w, high_w]}"
                )
            )
    return problems


def find_map(name: str, folder: Path) -> Path:
    """Return the file of a register map: a shipped one by its name, else a CSV file beside the bench."""
    return shipped_maps().get(name) or folder / name


def _map_problems(source: YamlSource, bench: BenchFile) -> list[str]:
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
            load_map(path)
        except PointError as error:
            problems += [source.problem(where, line) for line in str(error).splitlines()]
    return problems


def _shared_endpoints(source: YamlSource, bench: BenchFile) -> list[str]:
    problems = []
    seen: dict[tuple[str, int, int], str] = {}
    for role, device in bench.devices.items():
        if device.driver == "modbus":
            key = (str(device.host), device.port, device.unit_id)
        elif device.driver == "emulated" and device.emulated.port:
            key = ("loopback", device.emulated.port, 0)
        else:
            continue
        if key in seen:
            problems.append(
                source.problem(("devices", role), f"is the endpoint of role {seen[key]!r} already")
            )
        seen.setdefault(key, role)
    return problems

"""What the twin asks of a device, whatever serves it: in memory, emulated behind a socket, or real."""

from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from rigs.sg_ready import HeatNeed

if TYPE_CHECKING:
    from rigs.faults import FaultFinding

DeviceKind = Literal["pv_inverter", "battery", "ev_charger", "meter", "heat_pump"]
"""A heat pump's interface tells no power: a meter of its own stands beside it, as a role."""


class Quality(Enum):
    """How far a sample may be trusted."""

    GOOD = "good"
    STALE = "stale"  # older than allowed
    BAD = "bad"  # time-out, sentinel, NaN, or a device that says it is not well


@dataclass(frozen=True)
class RoleSpec:
    """What a scenario needs at a role: kind and nameplate. Never a host, a port or a register.

    ``p_max_w`` is the rated power (both directions for a battery), ``capacity_wh`` 0 for anything without
    storage, ``soc_initial`` in 0..1.
    """

    role: str  # e.g. "house_07.battery"
    kind: DeviceKind
    p_max_w: float
    capacity_wh: float = 0.0
    soc_initial: float = 0.0
    efficiency: float = 1.0  # one-way, applied to charging and to discharging


@dataclass(frozen=True)
class Command:
    """What one device shall do during the coming step.

    ``p_set_w`` is positive into the grid: for a PV inverter the most it may generate, for a battery the power
    at its terminals (negative charges), for a heat pump what stands for an SG Ready state (``rigs.sg_ready``).
    """

    p_set_w: float
    q_set_var: float = 0.0


@dataclass(frozen=True)
class Car:
    """The car at a wallbox: ``session`` tells one stay from another (0: no car), ``need_wh`` is what its battery took
    at most when it came. It stops by itself when it has that.
    """

    session: int
    need_wh: float = 0.0


NO_CAR = Car(0)


@dataclass(frozen=True)
class Ambient:
    """What the device's surroundings do during the coming step; only an emulated device is told.

    ``p_available_w`` is the PV power the sun allows, ``v_pu`` the voltage at the terminals, ``car`` who is plugged
    in (None: nothing is said, and a wallbox keeps the car of its nameplate), ``q_var`` the reactive power into the
    grid that flows at a meter, ``heat`` what its house asks of a heat pump.
    """

    p_available_w: float = 0.0
    v_pu: float = 1.0
    car: Car | None = None
    q_var: float = 0.0
    heat: HeatNeed | None = None


@dataclass(frozen=True)
class Sample:
    """What was read back from a device about the step just ended, over its own meter.

    ``p_gen_w`` is the mean over the step; ``energy_export_wh`` and ``energy_import_wh`` are the device's rising
    counters; ``soc`` is NaN for anything without storage. ``wire`` says whether the numbers came over a socket.
    """

    p_gen_w: float
    q_gen_var: float
    energy_export_wh: float
    energy_import_wh: float
    soc: float
    quality: Quality
    age_s: float
    wire: bool
    note: str = ""
    scheduled: bool = False  # a fault that the scenario scheduled explains the quality
    sg_state: int = 0  # SG Ready state that a heat pump says it is in, 0 where it says none


LEAST_A, LINE_V = 6.0, 230.0
"""Least charging current (IEC 61851-1) and nominal voltage of a phase."""


def charger_phases(p_max_w: float) -> int:
    """Return the phases of a wallbox by its rating: three where they can carry the least current, else one."""
    return 3 if p_max_w >= 3 * LEAST_A * LINE_V else 1


def least_charge_w(p_max_w: float) -> float:
    """Return the least power that a wallbox of a rating can charge at, in W; below it, it pauses."""
    return LEAST_A * LINE_V * charger_phases(p_max_w)


class Bench(Protocol):
    """An open bench: devices that are ready to be stepped. Use as a context manager; leaving it makes all safe."""

    roles: tuple[str, ...]

    def step(
        self, time_s: float, step_s: float, commands: dict[str, Command], ambient: dict[str, Ambient]
    ) -> dict[str, Sample]:
        """Write all commands, advance all devices by ``step_s`` simulated seconds, read all back.

        Devices are served concurrently; results do not depend on their order. A device that does not answer in
        time gives a sample of quality BAD; a bench that can no longer be trusted raises ``rigs.errors.RigError``.
        """
        ...

    def findings(self) -> "tuple[FaultFinding, ...]":
        """Return what became of every scheduled fault."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

"""The bench file as typed models: which device serves a role, and what may be written to it.

A bench never mentions price, time or market; a scenario never mentions a host, a port or a register.
"""

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from rigs.device import DeviceKind
from rigs.rig_sections import AcSourceSection, AggregateSection, InterlockSection
from rigs.section_base import IdentitySection, Mode, Port, Seconds, Section

__all__ = [
    "AcSourceSection",
    "AggregateSection",
    "BenchFile",
    "DeviceSection",
    "EmulatedSection",
    "IdentitySection",
    "InterlockSection",
    "LimitsSection",
    "MeterSection",
    "NameplateSection",
    "SafeSection",
    "SerialSection",
    "TimingSection",
    "TlsSection",
]


class LimitsSection(Section):
    """Hard limits of a role; the least of these and the nameplate holds. A breach is rejected and latched."""

    p_gen_w: tuple[float, float] | None = Field(None, description="Least and most power, + into the grid.")
    soc: tuple[float, float] | None = Field(None, description="Window of the state of charge, 0..1.")

    @model_validator(mode="after")
    def _ordered(self) -> "LimitsSection":
        self.must_rise("p_gen_w", "soc")
        if self.soc is not None and not (self.soc[0] >= 0 and self.soc[1] <= 1):
            raise ValueError("soc: must lie in 0..1")
        return self


class SafeSection(Section):
    """What is written when the device is made safe, and what its own reversion timer falls back to."""

    p_set_w: float = 0.0


class NameplateSection(Section):
    """What the device can do. Needed where no scenario says it: 'twin rig emulate' and 'check' know only the
    bench."""

    kind: DeviceKind
    p_max_w: float = Field(gt=0)
    capacity_wh: float = Field(0.0, ge=0)
    soc_initial: float = Field(0.5, ge=0, le=1)
    efficiency: float = Field(1.0, gt=0, le=1)


class TlsSection(Section):
    """Certificate files in PEM, relative to the bench file."""

    authorities: Path = Field(description="Whom we trust to sign the other side's certificate.")
    certificate: Path
    key: Path


class SerialSection(Section):
    """A serial line."""

    device: str = Field(description="For example /dev/ttyUSB0.")
    baudrate: int = Field(19200, ge=1200, le=4_000_000)
    parity: Literal["N", "E", "O"] = "E"


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


class EmulatedSection(Section):
    """How an emulated device behaves."""

    port: Port = Field(0, description="TCP port on the loopback; 0 takes any free one.")
    response_s: Seconds = Field(0.05, description="Time constant of the power behind its set point.")
    ramp_w_per_s: float = Field(0.0, ge=0, description="Ramp limit of the device itself; 0: none.")
    parameters: Path | None = Field(
        None, description="What 'twin rig fit' wrote, beside the bench; its response_s replaces the one here."
    )
    link: Literal["tcp", "tls", "rtu"] = Field("tcp", description="tls: mutual; rtu: over a pseudo-terminal.")
    tls: TlsSection | None = Field(None, description="The device's own certificate (link tls).")
    clock: Literal["lockstep", "wall"] = Field("lockstep", description="Simulated or wall-clock time.")
    category: Literal["none", "I", "II", "III"] = Field(
        "III",
        description="Abnormal performance category of IEEE 1547-2018: what it rides through; none: it never trips.",
    )
    performance: Literal["A", "B"] = Field(
        "B",
        description="Normal performance category of IEEE 1547-2018: its default curves and reactive power.",
    )
    enter_service_s: Seconds = Field(300.0, description="How long mains must be well after a trip.")
    heartbeat_s: Seconds = Field(
        60.0,
        description="How long a controller's heartbeat (model 715) may stop, once heard; 0: not listened to.",
    )


class MeterSection(Section):
    """What is known of the meter that a device's readings come from. Its uncertainty bounds what they prove."""

    accuracy_class: float | None = Field(
        None,
        gt=0,
        le=10,
        description="IEC 62053 class: greatest error in percent of the reading; none: 2 for a real device, exact "
        "for an emulated one.",
    )
    ct_ratio: float = Field(
        1.0,
        gt=0,
        le=1e4,
        description="Current transformer, primary per secondary, where the registers are secondary.",
    )
    vt_ratio: float = Field(1.0, gt=0, le=1e4, description="Voltage transformer, primary per secondary.")
    calibrated: date | None = Field(None, description="Date of the last calibration.")
    calibrated_for_days: int = Field(
        1461, ge=1, description="How long a calibration holds; a meter beyond it proves nothing."
    )
    clock_offset_s: float = Field(
        0.0,
        ge=-3600,
        le=3600,
        description="The meter's clock less the harness's; its samples are that much older.",
    )
    effect_within_s: Seconds = Field(
        10.0, description="Wall-clock time: how long meter and devices may disagree after a change."
    )


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
    tls: TlsSection | None = Field(None, description="Modbus/TCP Security; the usual port is 802.")
    serial: SerialSection | None = Field(None, description="Modbus RTU instead of host and port.")
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
    stale_after_s: float = Field(
        5.0, gt=0, le=86400, description="Wall-clock mode: an older sample is stale."
    )
    safe_after_s: float = Field(
        15.0,
        gt=0,
        le=86400,
        description="Wall-clock mode: without a step or an answer for so long, the device is made safe.",
    )
    meter: MeterSection = Field(
        default_factory=MeterSection, description="Facts about the device's own meter."
    )
    timing: TimingSection = Field(default_factory=TimingSection)
    emulated: EmulatedSection = Field(default_factory=EmulatedSection)

    @model_validator(mode="after")
    def _fits_driver(self) -> "DeviceSection":
        if self.driver == "modbus":
            if (self.host is None) == (self.serial is None):
                raise ValueError("driver modbus needs host, or serial for a serial line")
            if self.mode == "armed":
                raise ValueError("a real device is never armed by its bench file; arm it for a stated time")
            if self.mode != "observe" and self.limits.p_gen_w is None:
                raise ValueError("driver modbus needs limits.p_gen_w before anything may be written")
            if "reversion_s" not in self.model_fields_set and self.mode != "observe":
                raise ValueError("driver modbus needs reversion_s before anything may be written")
        elif self.host is not None:
            raise ValueError(f"host is for driver modbus; driver is {self.driver}")
        if self.driver != "modbus" and (self.meter.ct_ratio, self.meter.vt_ratio) != (1.0, 1.0):
            raise ValueError(
                "meter: ct_ratio and vt_ratio are for driver modbus, whose registers may be secondary"
            )
        if self.driver == "emulated" and self.emulated.link == "tls" and not (self.tls and self.emulated.tls):
            raise ValueError("an emulated device with link tls needs tls (ours) and emulated.tls (its own)")
        if self.no_reversion_because and len(self.no_reversion_because.split()) < 4:
            raise ValueError("no_reversion_because: say who decided and why, in words")
        return self

    @property
    def error_share(self) -> float:
        """Greatest error of what the device's meter says, as a share: by its class, else 2 % of a real one."""
        if self.meter.accuracy_class is not None:
            return self.meter.accuracy_class / 100
        return 0.02 if self.driver == "modbus" else 0.0


class BenchFile(Section):
    """A whole bench."""

    bench: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name of the bench.")
    description: str = ""
    features: list[str] = Field(default_factory=list, description="What a scenario may require.")
    coupling: Literal["none", "quasi_static"] = Field(
        "none", description="none: devices see their own mains; quasi_static: the plant's voltage, per step."
    )
    aggregate: AggregateSection | None = None
    interlock: InterlockSection | None = Field(None, description="The interlock of the rig, as an input.")
    ac_source: AcSourceSection | None = Field(None, description="The grid simulator of the rig.")
    end_frozen_after_s: float | None = Field(
        None,
        ge=5,
        le=3600,
        description="A frozen harness keeps its serial lines. After so long without a breath of it the supervisor ends "
        "it (SIGKILL) where a device could not be made safe past it; none: never.",
    )
    devices: dict[str, DeviceSection] = Field(description="Role to device.")

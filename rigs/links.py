"""The link to a device: which port its bench section describes, and what an emulated device behind it is
told."""

import hashlib
from pathlib import Path

from adapters.modbus.lean_tcp import LeanTcpPort
from adapters.modbus.port import FrameListener, LinkTiming, ModbusPort
from adapters.modbus.rtu import RtuPort
from adapters.modbus.tcp import TcpPort
from adapters.modbus.tls import TlsFiles, TlsPort
from rigs.bench_file import DeviceSection
from rigs.device import RoleSpec, charger_phases
from rigs.emulator.config import EmulatorConfig
from rigs.fitted import load_fitted


def emulator_config(
    spec: RoleSpec, section: DeviceSection, folder: Path, terminals_fd: int = -1
) -> EmulatorConfig:
    """Return what the emulated device of a role is told; certificate files are relative to ``folder``,
    ``terminals_fd`` are the wires of an emulated AC source.
    """
    own = section.emulated.tls
    names = (own.authorities, own.certificate, own.key) if own is not None else ()
    authorities, certificate, key = (str((folder / n).resolve()) for n in names) if names else ("", "", "")
    return EmulatorConfig(
        role=spec.role,
        kind=spec.kind,
        p_max_w=spec.p_max_w,
        capacity_wh=spec.capacity_wh,
        soc_initial=spec.soc_initial,
        efficiency=spec.efficiency,
        response_s=_response_s(section, folder),
        ramp_w_per_s=section.emulated.ramp_w_per_s,
        phases=charger_phases(spec.p_max_w) if spec.kind == "ev_charger" else 3,
        unit=section.unit_id or 1,
        port=section.emulated.port,
        clock=section.emulated.clock,
        link=section.emulated.link,
        terminals_fd=terminals_fd,
        category=section.emulated.category,
        performance=section.emulated.performance,
        enter_service_s=section.emulated.enter_service_s,
        heartbeat_s=section.emulated.heartbeat_s,
        tls_authorities=authorities,
        tls_certificate=certificate,
        tls_key=key,
        model=f"emulated {spec.kind}",
        serial=hashlib.sha256(spec.role.encode()).hexdigest()[:16],  # any role fits a register string
    )


def _response_s(section: DeviceSection, folder: Path) -> float:
    fitted = section.emulated.parameters
    return load_fitted(folder / fitted).response_s if fitted is not None else section.emulated.response_s


def new_port(
    section: DeviceSection,
    endpoint: tuple[str, int, int],
    pty: str,
    timeout_s: float,
    folder: Path,
    listener: FrameListener | None,
    single_writes: bool = False,
) -> ModbusPort:
    """Return the unopened port of a device; ``pty`` is the line of an emulated RTU device, else empty."""
    timing = section.timing
    link = LinkTiming(timeout_s, timing.connect_delay_s, timing.gap_s, timing.max_registers, single_writes)
    if pty:
        return RtuPort(pty, 115200, "N", link, listener)  # a pseudo-terminal has no parity
    if section.serial is not None:
        return RtuPort(section.serial.device, section.serial.baudrate, section.serial.parity, link, listener)
    host, port, _ = endpoint
    if section.tls is not None:
        own = section.tls
        files = TlsFiles(folder / own.authorities, folder / own.certificate, folder / own.key)
        return TlsPort(host, port, files, link, listener)
    if section.driver == "emulated" and section.emulated.clock == "lockstep":
        return LeanTcpPort(host, port, link, listener)
    return TcpPort(host, port, link, listener)

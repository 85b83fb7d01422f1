"""One role served over a wire: link, discovery, identity, gate and meter of a SunSpec device, emulated or
real.
"""

import asyncio
import math
from dataclasses import replace

from adapters.modbus.errors import LinkDownError, ModbusError
from adapters.modbus.port import LinkTiming, ModbusPort
from adapters.modbus.sunspec import SunSpecDevice, discover
from adapters.modbus.tcp import TcpPort
from rigs.bench_file import DeviceSection
from rigs.control_points import Actuator, find_actuator
from rigs.device import Ambient, Command, Quality, RoleSpec, Sample
from rigs.emulator.config import EmulatorConfig
from rigs.emulator_process import EmulatorProcess
from rigs.errors import DeviceMismatchError, RigError
from rigs.measure import SunSpecMeter
from rigs.write_gate import GateRules, Journal, PointWriter, WriteGate


def emulator_config(spec: RoleSpec, section: DeviceSection) -> EmulatorConfig:
    """Return what the emulated device of a role is told."""
    return EmulatorConfig(
        role=spec.role,
        kind=spec.kind,
        p_max_w=spec.p_max_w,
        capacity_wh=spec.capacity_wh,
        soc_initial=spec.soc_initial,
        efficiency=spec.efficiency,
        response_s=section.emulated.response_s,
        ramp_w_per_s=section.emulated.ramp_w_per_s,
        unit=section.unit_id or 1,
        port=section.emulated.port,
        clock=section.emulated.clock,
        model=f"emulated {spec.kind}",
        serial=spec.role[:32],
    )


class WireDevice:
    """A role behind a Modbus link. ``open`` before use; ``make_safe`` and ``close`` work from any state."""

    def __init__(
        self,
        spec: RoleSpec,
        section: DeviceSection,
        emulator: EmulatorProcess | None,
        journal: Journal,
        quasi_static: bool,
    ) -> None:
        self.spec, self.section, self.emulator = spec, section, emulator
        self._journal = journal
        self._quasi_static = quasi_static
        self._port: ModbusPort | None = None
        self._device: SunSpecDevice | None = None
        self._meter: SunSpecMeter | None = None
        self.gate: WriteGate | None = None
        self._last: Sample | None = None
        self._last_at_s = 0.0

    async def open(self) -> None:
        """Start what is to be started, connect, discover, check identity and nameplate, build the gate."""
        if self.emulator is not None:
            await self.emulator.ready()
            host, port = self.emulator.config.host, self.emulator.port
        else:
            host, port = str(self.section.host), self.section.port
        timing = self.section.timing
        self._port = TcpPort(
            host,
            port,
            LinkTiming(timing.timeout_s, timing.connect_delay_s, timing.gap_s, timing.max_registers),
        )
        await self._join()

    async def _join(self) -> None:
        """Bring the link up and make sure that the right device answers."""
        assert self._port is not None
        await self._port.connect()
        device = await discover(self._port, self.section.unit_id or 1)
        await self._check_identity(device)
        actuator = await find_actuator(device, self.spec.kind)
        if actuator.w_max < self.spec.p_max_w * (1 - 1e-6):
            raise DeviceMismatchError(
                f"{self.spec.role}: the device is rated {actuator.w_max:.0f} W, "
                f"the role needs {self.spec.p_max_w:.0f} W"
            )
        meter = SunSpecMeter(device)
        meter.plan()
        if self.gate is None:
            self.gate = self._new_gate(device, actuator)
        else:
            latched, soc = self.gate.latched, self.gate.soc
            self.gate = self._new_gate(device, actuator)
            if self.gate is not None:
                self.gate.latched, self.gate.soc = latched, soc
        self._device, self._meter = device, meter

    async def _check_identity(self, device: SunSpecDevice) -> None:
        found, wanted = await device.identity(), self.section.identity
        if wanted is None and self.emulator is not None:
            expected = (self.emulator.config.maker, self.emulator.config.model, self.emulator.config.serial)
        elif wanted is not None:
            expected = (wanted.maker, wanted.model, wanted.serial)
        else:
            return
        if (found.maker, found.model, found.serial) != expected:
            raise DeviceMismatchError(
                f"{self.spec.role}: {device.port.name} unit {device.unit} is {found}, "
                f"the bench names {' '.join(expected)}; nothing was written"
            )

    def _new_gate(self, device: SunSpecDevice, actuator: Actuator) -> WriteGate | None:
        section, spec = self.section, self.spec
        if section.mode == "observe":
            return None
        least_w = -spec.p_max_w if actuator.signed else 0.0
        low_w, high_w = section.limits.p_gen_w or (least_w, spec.p_max_w)
        rules = GateRules(
            role=spec.role,
            mode=section.mode,
            p_gen_w=(max(low_w, least_w), min(high_w, spec.p_max_w)),
            safe_w=section.safe.p_set_w,
            reversion_s=section.reversion_s,
            soc=section.limits.soc,
            ramp_w_per_s=section.ramp_w_per_s,
            deadband_w=section.deadband_w,
            min_interval_s=section.min_interval_s,
        )
        writer = PointWriter(device, section.mode) if section.mode == "armed" else None
        return WriteGate(rules, actuator, writer, self._journal)

    async def step(self, time_s: int, step_s: int, command: Command, ambient: Ambient) -> Sample:
        """Write, advance, read. A device that does not answer gives a sample of quality BAD.

        Raises:
            RigError: an emulated device's process is gone.
        """
        note = ""
        try:
            await self._rejoin()
            if self.gate is not None:
                decision = await self.gate.order(command.p_set_w, time_s)
                if decision.outcome in ("rejected", "unknown"):
                    note = f"{decision.outcome}: {decision.reason}"
        except ModbusError as error:
            note = str(error)
        if self.emulator is not None and self.emulator.config.clock == "lockstep":
            v_pu = ambient.v_pu if self._quasi_static else 1.0
            await self.emulator.ask("advance", step_s=step_s, p_available_w=ambient.p_available_w, v_pu=v_pu)
        try:
            await self._rejoin()
            sample = await self._sample(note)
        except (ModbusError, RigError) as error:
            return self._bad(time_s + step_s, str(error))
        self._last, self._last_at_s = sample, time_s + step_s
        return sample

    async def _rejoin(self) -> None:
        assert self._port is not None
        if self._port.connected:
            return
        await self._join()

    async def _sample(self, note: str) -> Sample:
        assert self._meter is not None
        try:
            reading = await self._meter.read()
        except LinkDownError:
            await self._rejoin()
            reading = await self._meter.read()
        if self.gate is not None:
            self.gate.soc = reading.soc
        text = "; ".join(filter(None, (note, reading.trouble)))
        return Sample(
            reading.p_gen_w,
            reading.q_gen_var,
            reading.export_wh,
            reading.import_wh,
            reading.soc,
            Quality.BAD if text else Quality.GOOD,
            0.0,
            wire=True,
            note=text,
        )

    def _bad(self, now_s: float, note: str) -> Sample:
        """Return the last counters with their age: what is not known is not made up."""
        last = self._last or Sample(0.0, 0.0, 0.0, 0.0, math.nan, Quality.BAD, 0.0, wire=True)
        age_s = now_s - self._last_at_s
        return replace(
            last, p_gen_w=math.nan, q_gen_var=math.nan, quality=Quality.BAD, age_s=age_s, note=note
        )

    async def make_safe(self, time_s: float) -> None:
        """Write the safe value and read it back; does nothing where nothing may be written."""
        if self.gate is None:
            return
        await self._rejoin()
        await self.gate.make_safe(time_s)

    async def close(self) -> None:
        """Close the link, then end the emulated device."""
        try:
            if self._port is not None:
                await self._port.close()
        finally:
            if self.emulator is not None:
                await asyncio.to_thread(self.emulator.end)

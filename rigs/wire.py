"""One role served over a wire: link, discovery, identity, gate and meter of a SunSpec device, emulated or
real.
"""

import asyncio
import math
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from adapters.modbus.errors import LinkDownError, ModbusError
from adapters.modbus.port import FrameListener, ModbusPort
from adapters.modbus.register_map import MapDevice, RegisterMap, load_map, shipped_maps
from adapters.modbus.sunspec import discover
from rigs.at_once import AtOnce, hasten
from rigs.bench_file import DeviceSection
from rigs.control_points import AnyDevice, find_actuator
from rigs.device import Ambient, Command, Quality, RoleSpec, Sample
from rigs.emulator_process import EmulatorProcess
from rigs.errors import DeviceMismatchError, NotArmedError, RigError
from rigs.gate_maker import carry_over, new_gate
from rigs.gate_rules import GateMemory, Journal
from rigs.identity import check_identity, check_serial
from rigs.line import Line
from rigs.link_tap import LinkTap
from rigs.links import new_port
from rigs.map_roles import OWN_MAPS
from rigs.measure import MapMeter, Reading, SunSpecMeter
from rigs.plausible import Plausibility
from rigs.write_gate import WriteGate

_HERE = Path()
_RATING_TOLERANCE = 1e-3  # a rating travels as a rounded register


def plugged(ambient: Ambient) -> dict[str, tuple[int, float] | float]:
    """Return the car at a wallbox, what a heat store takes, and reactive power at a meter, where they are said."""
    car, flow = ambient.car, {"q_var": ambient.q_var} if ambient.q_var else {}
    flow |= {"heat_most_w": ambient.heat.most_w} if ambient.heat is not None else {}
    return {**flow} if car is None else {**flow, "car": (car.session, car.need_wh)}


class WireDevice:
    """A role behind a Modbus link. ``open`` before use; ``make_safe`` and ``close`` work from any state."""

    def __init__(
        self,
        spec: RoleSpec,
        section: DeviceSection,
        emulator: EmulatorProcess | None,
        memory: GateMemory,
        journal: Journal,
        quasi_static: bool,
        armed_for_s: float | None = None,
        register_map: RegisterMap | None = None,
        recording: bool = False,
        folder: Path = _HERE,
    ) -> None:
        self.spec, self.section, self.emulator = spec, section, emulator
        self._memory, self._journal = memory, journal
        self._armed_for_s = armed_for_s
        self._recording = recording
        self._folder = folder
        self._quasi_static = quasi_static
        self._port: ModbusPort | None = None
        self._joined = False
        self._joining = asyncio.Lock()
        self._at_once: AtOnce | None = None
        self._faulty = False
        self.tap: LinkTap | None = None
        self.line: Line | None = None  # a link that it shares with other units
        own = OWN_MAPS.get(spec.kind)
        self._map = register_map or (load_map(shipped_maps()[own]) if own else None)
        self._meter: SunSpecMeter | MapMeter | None = None
        self.gate: WriteGate | None = None
        self._last: Sample | None = None
        self._last_at_s = 0.0
        self._plausible = Plausibility()
        self._true_wh = 0.0
        self.touched = False  # whether anything may have been written since it was opened
        self.true_w: float | None = None  # what an emulated device says, beside its registers, really flowed

    async def open(self) -> None:
        """Start what is to be started, connect, discover, check identity and nameplate, build the gate. Writes
        nothing.
        """
        if self.emulator is not None:
            await self.emulator.ready()
        timeout_s = self.section.timing.timeout_s or (30.0 if self.lockstep else 1.0)
        path = self.emulator.path if self.emulator is not None else ""
        listener = self._heard if self._recording else None

        def new(hears: FrameListener | None) -> ModbusPort:
            return new_port(
                self.section, self.endpoint, path, timeout_s, self._folder, hears, self.single_writes
            )

        self._port = new(listener) if self.line is None else self.line.view(self.endpoint[2], new, listener)
        if self.section.driver == "modbus":  # faults of an emulated device happen in the device
            self._port = self.tap = LinkTap(self._port)
        await self._join()

    def _heard(self, sent: bool, frame: bytes) -> None:
        content = {"role": self.spec.role, "sent": sent, "hex": frame.hex()}
        serial = self.section.serial is not None or (self.emulator is not None and self.emulator.path)
        self._journal("frame", {**content, "framing": "rtu"} if serial else content)

    async def _join(self) -> None:
        """Bring the link up and make sure that the right device answers. Until that is sure it is not joined,
        however well the link stands."""
        assert self._port is not None
        self._joined = False
        await self._port.connect()
        await self._identify(self._port)
        if not self._recording and not self._faulty:
            self._at_once = await hasten(self.spec.role, self._port, self._meter, self.emulator)
        self._joined = True

    async def _identify(self, port: ModbusPort) -> None:
        """Discover, check identity and nameplate, build meter and gate anew."""
        device: AnyDevice
        meter: SunSpecMeter | MapMeter
        if self._map is not None:
            device = MapDevice(port, self.section.unit_id or 1, self._map)
            await check_serial(device, self.spec.role, self.section, self.emulator)
            meter = MapMeter(device)
        else:
            device = await discover(port, self.section.unit_id or 1)
            await check_identity(device, self.spec.role, self.section, self.emulator)
            meter = SunSpecMeter(device)
        meter.plan()
        if self._meter is not None:
            meter.counters = self._meter.counters
        self._meter = meter
        name = self._map.name if self._map is not None else ""
        self._journal("joined", {"role": self.spec.role, "unit": self.section.unit_id or 1, "map": name})
        if self.spec.kind == "meter":
            return  # nothing of it can be written
        actuator = await find_actuator(device, self.spec.kind, self.spec.p_max_w)
        if actuator.w_max < self.spec.p_max_w * (1 - _RATING_TOLERANCE):
            raise DeviceMismatchError(
                f"{self.spec.role}: the device is rated {actuator.w_max:.0f} W, "
                f"the role needs {self.spec.p_max_w:.0f} W"
            )
        before, until_s = self.gate, None
        if self._armed_for_s is not None:
            until_s = asyncio.get_running_loop().time() + self._armed_for_s
        self.gate = new_gate(self.spec, self.section, device, actuator, self._memory, self._journal, until_s)
        if self.gate is None or before is None:
            return
        carry_over(before, self.gate)
        if self.gate.rules.ramp_w_per_s is not None:  # which begins at what the device does now
            self._as_sample(await self._read_once(), "")

    async def prove(self) -> None:
        """Prove the reversion timer of an armed device, after ``open`` of all devices; the first that writes anything.

        Raises:
            NotArmedError: it did not run out.
        """
        self.touched = True
        if self.gate is not None:
            await self.gate.prove_reversion(self._wait)
            self._as_sample(await self._read_once(), "")

    @property
    def device(self) -> AnyDevice:
        """The discovered device; only after ``open``."""
        assert self._meter is not None
        return self._meter.device

    @property
    def single_writes(self) -> bool:
        """Whether one register is written with function 6, by the device's map."""
        return self._map is not None and self._map.single_writes

    @property
    def lockstep(self) -> bool:
        """Whether this device's time passes only when it is told."""
        return self.emulator is not None and self.emulator.config.clock == "lockstep"

    async def _wait(self, seconds: float) -> None:
        """Let the device's own time pass before the run begins."""
        if self.emulator is not None and self.lockstep:
            told = await self.emulator.ask("advance", step_s=seconds)
            self._true_wh = float(told["true_wh"])
            await self.emulator.ask("zero")
        else:
            await asyncio.sleep(seconds)

    async def step(self, time_s: float, step_s: float, command: Command, ambient: Ambient) -> Sample:
        """Write, advance, read, in lockstep. A device that does not answer gives a sample of quality BAD.

        Raises:
            RigError: an emulated device's process is gone.
        """
        assert self.emulator is not None
        if self.gate is not None and not step_s < self.gate.rules.reversion_s / 2:
            raise RigError(
                f"{self.spec.role}: a step of {step_s} s is too long for a reversion timer of "
                f"{self.gate.rules.reversion_s} s (it is refreshed at half); raise reversion_s in the bench"
            )
        v_pu = ambient.v_pu if self._quasi_static else 1.0
        if self._at_once is not None and self._at_once.stands and self._joined:
            return await self._step_at_once(
                self._at_once, time_s, step_s, command, replace(ambient, v_pu=v_pu)
            )
        note = await self.write(command.p_set_w, time_s)
        told = await self.emulator.ask(
            "advance", step_s=step_s, p_available_w=ambient.p_available_w, v_pu=v_pu, **plugged(ambient)
        )
        self._flowed(float(told["true_wh"]), step_s)
        return self._plausible.judged(await self.read(time_s + step_s, note), step_s)

    async def _step_at_once(
        self, way: AtOnce, time_s: float, step_s: float, command: Command, here: Ambient
    ) -> Sample:
        """Step in one exchange; the same frames and the same sample."""
        note, true_wh, reading = await way.step(self.gate, command.p_set_w, time_s, step_s, here)
        self._flowed(true_wh, step_s)
        sample = self._bad(time_s + step_s, "; ".join(filter(None, (note, str(reading)))))
        if isinstance(reading, Reading):
            sample = self._last = self._as_sample(reading, note)
            self._last_at_s = time_s + step_s
        return self._plausible.judged(sample, step_s)

    def _flowed(self, true_wh: float, step_s: float) -> None:
        self.true_w = (true_wh - self._true_wh) * 3600 / step_s
        self._true_wh = true_wh

    def slow_down(self) -> None:
        """Take the ordinary way from now on: a fault may strike between any two frames."""
        self._at_once, self._faulty = None, True

    async def write(self, p_w: float, time_s: float) -> str:
        """Order a power through the gate; returns what went wrong, empty where nothing did."""
        try:
            await self.rejoin()
            if self.gate is None:
                return ""
            decision = await self.gate.order(p_w, time_s)
        except (ModbusError, DeviceMismatchError, NotArmedError) as error:
            return str(error)
        bad = decision.outcome in ("rejected", "unknown")
        return f"{decision.outcome}: {decision.reason}" if bad else ""

    async def read(self, now_s: float, note: str = "") -> Sample:
        """Read a sample; BAD with the last counters where the device does not answer."""
        try:
            await self.rejoin()
            sample = await self._sample(note)
        except (ModbusError, DeviceMismatchError, NotArmedError) as error:
            return self._bad(now_s, "; ".join(filter(None, (note, str(error)))))
        self._last, self._last_at_s = sample, now_s
        return sample

    async def rejoin(self) -> None:
        """Bring a lost link back, and make sure that the same device answers; does nothing while it
        stands."""
        assert self._port is not None
        if self._port.connected and self._joined:
            return
        async with self._joining:  # orders, polls and making safe may all find it lost
            if not (self._port.connected and self._joined):
                await self._join()

    async def _sample(self, note: str) -> Sample:
        assert self._meter is not None
        try:
            reading = await self._read_once()
        except LinkDownError:
            await self.rejoin()
            reading = await self._read_once()
        return self._as_sample(reading, note)

    def _as_sample(self, reading: Reading, note: str) -> Sample:
        ratio = self.section.meter.ct_ratio * self.section.meter.vt_ratio
        if self.gate is not None:
            self.gate.soc, self.gate.measured_w = reading.soc, ratio * reading.p_gen_w
        text = "; ".join(filter(None, (note, reading.trouble)))
        return Sample(
            ratio * reading.p_gen_w, ratio * reading.q_gen_var, ratio * reading.export_wh, ratio * reading.import_wh,
            reading.soc, Quality.BAD if text else Quality.GOOD, 0.0, wire=True, note=text,
            sg_state=reading.sg_state,
        )  # fmt: skip

    async def _read_once(self) -> Reading:
        assert self._meter is not None
        reading = await self._meter.read()
        if self._recording:
            self._journal("reading", {"role": self.spec.role, "values": asdict(reading)})
        return reading

    def _bad(self, now_s: float, note: str) -> Sample:
        """Return the last counters with their age: what is not known is not made up."""
        last = self._last or Sample(0.0, 0.0, 0.0, 0.0, math.nan, Quality.BAD, 0.0, wire=True)
        age_s = now_s - self._last_at_s
        return replace(
            last, p_gen_w=math.nan, q_gen_var=math.nan, quality=Quality.BAD, age_s=age_s, note=note
        )

    async def make_safe(self, time_s: float) -> None:
        """Write the safe value and read it back; does nothing where nothing may be written."""
        if self.gate is None or self.gate.writer is None:
            return
        with self.tap.lifted() if self.tap is not None else nullcontext():
            try:
                await self.rejoin()
                await self.gate.make_safe(time_s)
            except ModbusError:  # a link may have been lost without a word: once more, over a new one
                await self.rejoin()
                await self.gate.make_safe(time_s)

    @property
    def endpoint(self) -> tuple[str, int, int]:
        """Host, port and unit of the device; the port is known once it is open."""
        unit = self.section.unit_id or 1
        if self.emulator is not None:
            return self.emulator.config.host, self.emulator.port, unit
        return str(self.section.host), self.section.port, unit

    async def close(self) -> None:
        """Close the link, then end the emulated device."""
        try:
            if self._port is not None:
                await self._port.close()
        finally:
            if self.emulator is not None:
                await asyncio.to_thread(self.emulator.end)

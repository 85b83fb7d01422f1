"""An open bench: the devices of one bench file, served concurrently and made safe on every way out."""

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from adapters.modbus.errors import ModbusError
from adapters.modbus.register_map import load_map
from rigs.ac_source import ROLE, BenchSource
from rigs.arming import orders_of, share
from rigs.bench_file import BenchFile, DeviceSection, find_map
from rigs.charge import charges_of
from rigs.device import Ambient, Command, Quality, RoleSpec, Sample
from rigs.emulator_process import EmulatorProcess
from rigs.errors import RigError
from rigs.fault_scope import fault_refusals
from rigs.fault_watch import FaultWatch
from rigs.faults import Fault, FaultFinding
from rigs.gate_rules import GateMemory, today
from rigs.guard import CLOSE_S, Guard
from rigs.heat_meter import tell_power
from rigs.independent_meter import doubted, meter_check
from rigs.interlock import INTERLOCK, Interlock
from rigs.journal import RigJournal
from rigs.line import Lines
from rigs.links import emulator_config
from rigs.live import LiveDevice, LiveTiming, cancel
from rigs.memory import MemoryDevice
from rigs.rig_lock import RigLock
from rigs.shared_limits import SharedLimits
from rigs.signals import sigterm_raises, uninterrupted
from rigs.troubles import raise_together
from rigs.wire import WireDevice

T = TypeVar("T")
_SWITCH_S = 0.0005  # on wall-clock time neither the steps nor the I/O loop wait 5 ms for the other's turn


class OpenBench:
    """The devices of one bench, served concurrently by one event loop in a thread of its own."""

    def __init__(
        self,
        bench: BenchFile,
        specs: Mapping[str, RoleSpec],
        arm: Mapping[str, float],
        state: Path,
        folder: Path,
        record: Path | None = None,
    ) -> None:
        self.name = bench.bench
        self.features = tuple(bench.features)
        self.roles = tuple(bench.devices)
        self.aggregate = bench.aggregate
        self.log = RigJournal(time.monotonic, lambda: datetime.now(UTC).isoformat(), record)
        self._file, self._specs, self._arm, self._state, self._folder = bench, specs, arm, state, folder
        self._lines, self._locks = Lines(bench), list[RigLock]()
        self._live: dict[str, LiveDevice] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._faults: tuple[Fault, ...] = ()
        self._watch = FaultWatch(())
        self._signals = contextlib.ExitStack()
        self._memory: dict[str, MemoryDevice] = {}
        self._wired: dict[str, WireDevice] = {}
        self._interlock = Interlock(bench.interlock, folder) if bench.interlock is not None else None
        self.source = BenchSource(bench.ac_source, arm.get(ROLE)) if bench.ac_source is not None else None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"bench {self.name}", daemon=True)
        self._guard = Guard(self._note, self._loop, bench.end_frozen_after_s)
        self._time_s, self._closed = 0.0, False
        self._switch_s = sys.getswitchinterval()
        self._meters = meter_check(bench, specs)
        self._shared = SharedLimits()

    def open(self) -> None:
        """Start and open everything; on trouble, or a signal, make safe what was written to, close all and raise."""
        self._signals.enter_context(sigterm_raises())
        self._thread.start()
        try:
            self._locks = self._lines.lock(self._state / "locks")
            for role, section in self._file.devices.items():
                self._prepare(role, section)
            self._run(self._open_all())
            if self._live:
                sys.setswitchinterval(_SWITCH_S)
        except BaseException as error:
            self._leave(error)
            raise

    def _prepare(self, role: str, section: DeviceSection) -> None:
        spec = self._specs[role]
        if section.driver == "memory":
            self._memory[role] = MemoryDevice(spec)
            return
        memory, process = GateMemory(today), None
        if section.driver == "emulated":
            wires = self.source.wires(role) if self.source is not None else -1
            config = emulator_config(spec, section, self._folder, wires)
            process = EmulatorProcess(config)  # all start before the first is waited for
        else:
            memory = GateMemory(today, self._state / "roles" / f"{self.name}.{role}.json")
        self._wired[role] = WireDevice(
            spec, section, process, memory, self._note, self._file.coupling == "quasi_static", self._arm.get(role),
            load_map(find_map(section.map, self._folder)) if section.map else None, self.log.recording, self._folder,
        )  # fmt: skip
        self._wired[role].line = self._lines.of(role)

    def step(
        self, time_s: float, step_s: float, commands: dict[str, Command], ambient: dict[str, Ambient]
    ) -> dict[str, Sample]:
        """Write all, advance all, read all; see ``rigs.device.Bench``. A role without a command is told safe."""
        if self._closed or self.log.trouble:
            raise RigError(f"bench {self.name} is closed" if self._closed else self.log.trouble)
        self._time_s = time_s + step_s
        self._watch.begins(time_s, step_s)
        samples: dict[str, Sample] = {}
        for role, device in self._memory.items():
            safe = Command(self._file.devices[role].safe.p_set_w)
            if role not in self._meters.meters:
                samples[role] = device.step(step_s, commands.get(role, safe), ambient.get(role, Ambient()))
        if self._wired:
            self._run(self._step_wired(time_s, step_s, commands, ambient, samples))
        for role in filter(self._meters.meters.__contains__, self._memory):
            true_w, device = {n: d.true_w for n, d in self._wired.items()}, self._memory[role]
            here = self._meters.flow(role, ambient.get(role, Ambient()), samples, true_w)
            samples[role] = device.step(step_s, Command(0.0), here)
        self._doubt(time_s + step_s, samples, ambient)
        for role, sample in samples.items():
            if sample.quality is not Quality.GOOD and self._watch.explains(role, self._time_s):
                samples[role] = replace(sample, scheduled=True)
            wired = self._wired.get(role)
            self._watch.saw(role, self._time_s, sample, None if wired is None else wired.true_w)
        return {role: samples[role] for role in self.roles}

    def _doubt(self, now_s: float, samples: dict[str, Sample], ambient: Mapping[str, Ambient]) -> None:
        """Mark what an independent meter contradicts; a device in doubt gets no new set point."""
        if not self._meters.meters:
            return
        tell_power(samples)
        other_w = {role: here.p_available_w for role, here in ambient.items()}
        doubts = self._meters.contradictions(now_s, samples, other_w)
        for role, device in self._wired.items():
            if device.gate is not None:
                device.gate.doubt = doubts.get(role, "")
        samples |= {role: doubted(samples[role], text) for role, text in doubts.items()}

    def _note(self, kind: str, content: Mapping[str, Any]) -> None:
        self.log.note(kind, content)
        self._watch.heard(kind, content)

    def inject(self, role: str, do: str, **message: Any) -> Mapping[str, Any]:
        """Send a fault to a role's emulated device, e.g. ``inject(role, "lie", scale=2.0, from_s=900)``."""
        device = self._interlock if role == INTERLOCK else self._wired.get(role)
        if device is None or device.emulator is None:
            raise RigError(f"{role} is not served by an emulated device; only those can be given faults")
        if do == "fault" and isinstance(device, WireDevice):
            device.slow_down()
        return self._run(device.emulator.ask(do, **message))

    def section(self, role: str) -> DeviceSection:
        """Return what the bench file says of a role."""
        return self._file.devices[role]

    def schedule(self, faults: Sequence[Fault]) -> None:
        """Schedule faults of devices and links before the first step; ``findings`` tells what became of them.

        Raises:
            RigError: a role that can have none, or not this one; see ``rigs.fault_scope``.
        """
        refuses = fault_refusals(self._file, self._specs)
        for fault in faults:
            if why := refuses(fault.role, fault.kind) if fault.role in self._file.devices else "":
                raise RigError(f"{fault.role} {why}")
            wired = self._wired.get(fault.role)
            if wired is not None and wired.tap is not None:
                self._loop.call_soon_threadsafe(wired.tap.schedule, (fault,))
                continue
            message = fault.message()
            if fault.role in self._live:  # its own time began when it was started
                now_s = float(self.inject(fault.role, "truth")["now_s"])
                message |= {"from_s": fault.from_s + now_s, "until_s": fault.until_s + now_s}
            self.inject(fault.role, "fault", **message)
        self._watch = FaultWatch((*self._faults, *faults))
        self._faults = (*self._faults, *faults)

    def findings(self) -> tuple[FaultFinding, ...]:
        """Return what became of every scheduled fault."""
        return self._watch.findings()

    def close(self) -> None:
        """Make all safe and close; leaving the context does the same."""
        self._leave(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        with self._signals, uninterrupted():
            self._tear_down(error)

    @property
    def journal(self) -> list[tuple[str, dict[str, Any]]]:
        """The last entries of the log, oldest first."""
        return list(self.log.entries)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open_all(self) -> None:
        opens: dict[str, Coroutine[Any, Any, None]] = {role: d.open() for role, d in self._wired.items()}
        if self.source is not None:
            opens[ROLE] = self.source.open()
        if self._interlock is not None:
            armed = [r for r, d in self._file.devices.items() if d.mode == "armed" or r in self._arm]
            opens[INTERLOCK] = self._interlock.open(armed)
        raise_together(opens, await asyncio.gather(*opens.values(), return_exceptions=True))
        if self.source is not None:  # nothing is written before all are who they should be
            await self.source.energise()
        for role, device in self._wired.items():
            if not device.lockstep:  # which is asked in its step
                self._live[role] = LiveDevice(device, stalled=self._guard.stalled)
        await self._supervise()
        proofs = (device.prove() for device in self._wired.values())
        raise_together(self._wired, await asyncio.gather(*proofs, return_exceptions=True))
        self._shared = share(self._file, {r: self._wired[r] for r in self._live})
        for live in self._live.values():
            if self._interlock is not None and live.wire.gate is not None:
                live.wire.gate.interlock = self._interlock.trouble
            self._tasks.append(asyncio.create_task(live.run()))
        if self._interlock is not None and self._live:
            self._tasks.append(asyncio.create_task(self._interlock.watch(self._wired, self._now_s)))
        await asyncio.gather(*(live.polled.wait() for live in self._live.values()))

    def _now_s(self, role: str) -> float:
        """The time that a role's gate counts in."""
        return self._loop.time() if role in self._live else self._time_s

    async def _supervise(self) -> None:
        """Start the supervisor where something armed outlives this process, before anything is written to it."""
        charges = await charges_of({r: self._wired[r] for r in self._live}, self._folder)
        if self.source is not None and (source := self.source.charge(with_us=not self._live)) is not None:
            charges.append(source)
        self._guard.supervise(charges, self._locks)
        if charges:
            self._tasks.append(asyncio.create_task(self._guard.breathe(self._live, self._make_safe)))

    async def _make_safe(self, role: str) -> None:
        with contextlib.suppress(ModbusError, RigError):
            await self._wired[role].make_safe(self._now_s(role))

    async def _step_wired(
        self,
        time_s: float,
        step_s: float,
        commands: dict[str, Command],
        ambient: dict[str, Ambient],
        samples: dict[str, Sample],
    ) -> None:
        """Step all devices, then the meters behind which they stand: those see what really flowed."""
        if self._interlock is not None and not self._live:
            await self._interlock.heed(self._wired, lambda role: time_s)
        if self.source is not None and self._file.coupling == "quasi_static":
            await self.source.follow({r: a.v_pu for r, a in ambient.items()}, background=bool(self._live))
        orders = orders_of(
            self._wired, commands, lambda role: self._now_s(role) if role in self._live else time_s
        )
        orders.consider(self._file, self._shared, live=len(self._live) == len(self._wired))

        def step(role: str, here: Ambient) -> Coroutine[Any, Any, Sample]:
            device = self._wired[role]
            command = commands.get(role, Command(device.section.safe.p_set_w))
            if role in self._live:
                return self._live[role].step(command, here)
            return device.step(time_s, step_s, command, here)

        devices = [role for role in self._wired if role not in self._meters.meters]
        done = await asyncio.gather(*(step(role, ambient.get(role, Ambient())) for role in devices))
        samples |= dict(zip(devices, done, strict=True))
        meters = [role for role in self._wired if role in self._meters.meters]
        if meters:
            true_w = {role: device.true_w for role, device in self._wired.items()}
            seen = {m: self._meters.flow(m, ambient.get(m, Ambient()), samples, true_w) for m in meters}
            done = await asyncio.gather(*(step(role, seen[role]) for role in meters))
            samples |= dict(zip(meters, done, strict=True))

    def timing(self) -> dict[str, LiveTiming]:
        """Return how well each polled device kept its time."""
        return {role: live.timing for role, live in self._live.items()}

    def _tear_down(self, cause: BaseException | None) -> None:
        """Make all safe, then close all; troubles are raised together."""
        if self._closed:
            return
        self._closed = True
        sys.setswitchinterval(self._switch_s)
        for live in self._live.values():
            live.stop()
        guard = self._guard
        guard.attempt("polling", partial(cancel, self._tasks), CLOSE_S)
        guard.tear_down(self._wired, self._now_s)
        if self.source is not None:
            guard.attempt("ac_source", self.source.end, CLOSE_S)
        guard.dismiss()
        if self._interlock is not None:
            guard.attempt("interlock", self._interlock.close, CLOSE_S)
        for lock in self._locks:
            lock.release()
        self.log.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()
        guard.complain(self.name, cause)

"""Open a bench: every role ready to be stepped, whatever serves it, and made safe again whatever happens."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from adapters.modbus.errors import ModbusError
from rigs.bench_file import BenchFile, load_bench
from rigs.device import Ambient, Bench, Command, RoleSpec, Sample
from rigs.emulator_process import EmulatorProcess
from rigs.errors import BenchFileError, EmulatorError, RigError
from rigs.memory import MemoryDevice
from rigs.wire import WireDevice, emulator_config

T = TypeVar("T")
_SAFE_S = 10.0
_CLOSE_S = 10.0


def check_bench(path: Path, roles: Sequence[RoleSpec]) -> list[str]:
    """Return every problem of a bench file for these roles; nothing is started or opened."""
    try:
        bench = load_bench(path, roles)
    except BenchFileError as error:
        return list(error.problems)
    problems = []
    for role, device in bench.devices.items():
        port = device.emulated.port
        if device.driver == "emulated" and port and not _free(port):
            problems.append(
                f"{path.name}: devices.{role}.emulated.port: {port} is taken on the loopback; "
                "use another, or 0 for any free one"
            )
    return problems


def open_bench(path: Path, roles: Sequence[RoleSpec], *, seed: int = 0) -> Bench:
    """Open every device of a bench. Use the result as a context manager.

    Args:
        path: The bench file.
        roles: What the scenario needs; roles the bench does not name are left to the caller.
        seed: Seed of the noise of emulated devices.

    Raises:
        BenchFileError: everything that is wrong with the file, before anything is opened.
        RigError: a device did not start, does not answer or is not the one named; all others are closed
        again.
    """
    if problems := check_bench(path, roles):
        raise BenchFileError(problems)
    bench = OpenBench(load_bench(path, roles), {r.role: r for r in roles})
    bench.open()
    return bench


class OpenBench:
    """The devices of one bench, served concurrently by one event loop in a thread of its own."""

    def __init__(self, bench: BenchFile, specs: Mapping[str, RoleSpec]) -> None:
        self.name = bench.bench
        self.features = tuple(bench.features)
        self.roles = tuple(bench.devices)
        self.journal: list[tuple[str, dict[str, Any]]] = []
        self._file, self._specs = bench, specs
        self._memory: dict[str, MemoryDevice] = {}
        self._wired: dict[str, WireDevice] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"bench {self.name}", daemon=True)
        self._time_s = 0
        self._closed = False

    def open(self) -> None:
        """Start and open everything; on trouble close what was opened and raise."""
        self._thread.start()
        try:
            for role, section in self._file.devices.items():
                spec = self._specs[role]
                if section.driver == "memory":
                    self._memory[role] = MemoryDevice(spec)
                    continue
                emulated = section.driver == "emulated"
                # all processes are started before the first is waited for
                process = EmulatorProcess(emulator_config(spec, section)) if emulated else None
                quasi_static = self._file.coupling == "quasi_static"
                self._wired[role] = WireDevice(spec, section, process, self._note, quasi_static)
            self._run(self._open_all())
        except BaseException as error:
            self._tear_down(error)
            raise

    def step(
        self, time_s: int, step_s: int, commands: dict[str, Command], ambient: dict[str, Ambient]
    ) -> dict[str, Sample]:
        """Write all, advance all, read all; see ``rigs.device.Bench``. Without a command a role is told
        safe."""
        if self._closed:
            raise RigError(f"bench {self.name} is closed")
        self._time_s = time_s + step_s
        samples: dict[str, Sample] = {}
        for role, device in self._memory.items():
            safe = Command(self._file.devices[role].safe.p_set_w)
            samples[role] = device.step(step_s, commands.get(role, safe), ambient.get(role, Ambient()))
        if self._wired:
            samples |= self._run(self._step_wired(time_s, step_s, commands, ambient))
        return {role: samples[role] for role in self.roles}

    def inject(self, role: str, do: str, **message: Any) -> Mapping[str, Any]:
        """Send a fault to the emulated device of a role, e.g. ``inject(role, "lie", scale=2.0,
        from_s=900)``."""
        device = self._wired.get(role)
        if device is None or device.emulator is None:
            raise RigError(f"{role} is not served by an emulated device; only those can be given faults")
        return self._run(device.emulator.ask(do, **message))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tear_down(error)

    def _note(self, kind: str, content: Mapping[str, Any]) -> None:
        self.journal.append((kind, dict(content)))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open_all(self) -> None:
        results = await asyncio.gather(*(d.open() for d in self._wired.values()), return_exceptions=True)
        troubles = [
            f"{role}: {r}" if isinstance(r, ModbusError) else str(r)
            for role, r in zip(self._wired, results, strict=True)
            if isinstance(r, RigError | ModbusError)
        ]
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, RigError | ModbusError):
                raise result
        if troubles:
            raise EmulatorError("\n".join(troubles))

    async def _step_wired(
        self, time_s: int, step_s: int, commands: dict[str, Command], ambient: dict[str, Ambient]
    ) -> dict[str, Sample]:
        work = []
        for role, device in self._wired.items():
            safe = Command(device.section.safe.p_set_w)
            command = commands.get(role, safe)
            work.append(device.step(time_s, step_s, command, ambient.get(role, Ambient())))
        samples = await asyncio.gather(*work)
        return dict(zip(self._wired, samples, strict=True))

    def _tear_down(self, cause: BaseException | None) -> None:
        """Make all safe, then close all, each guarded by itself, in reverse order; troubles are raised
        together.
        """
        if self._closed:
            return
        self._closed = True
        backwards = list(reversed(self._wired.items()))
        troubles: list[Exception] = []
        for role, device in backwards:
            self._attempt(role, partial(device.make_safe, self._time_s), _SAFE_S, troubles)
        for role, device in backwards:
            self._attempt(role, device.close, _CLOSE_S, troubles)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        self._loop.close()
        if not troubles:
            return
        text = f"bench {self.name}: " + "; ".join(str(t) for t in troubles)
        if cause is not None:
            cause.add_note(text)
        else:
            raise RigError(text) from troubles[0]

    def _attempt(
        self,
        role: str,
        act: Callable[[], Coroutine[Any, Any, None]],
        seconds: float,
        troubles: list[Exception],
    ) -> None:
        try:
            self._run(asyncio.wait_for(act(), seconds))
        except Exception as error:
            troubles.append(RigError(f"{role}: {type(error).__name__}: {error}"))


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

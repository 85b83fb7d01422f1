"""Check a bench file, and open the bench that it describes."""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from rigs.arming import arming_problems
from rigs.bench import OpenBench
from rigs.bench_file import BenchFile, load_bench, read_bench
from rigs.device import RoleSpec
from rigs.errors import BenchFileError
from rigs.heat_meter import lacks_meter


def check_bench(path: Path, roles: Sequence[RoleSpec], arm: Mapping[str, float] | None = None) -> list[str]:
    """Return every problem of a bench file for these roles, and of arming some of them; nothing is started or
    opened."""
    bench, problems = read_bench(path, roles)
    if bench is None:
        return problems
    problems += arming_problems(bench, arm or {}, path.parent)
    lacking = lacks_meter(bench, {spec.role: spec for spec in roles})
    problems += [f"{path.name}: devices.{role}: {text}" for role, text in lacking]
    for role, device in bench.devices.items():
        if device.host is not None and not _resolves(device.host):
            problems.append(f"{path.name}: devices.{role}.host: {device.host!r} cannot be resolved")
        port = device.emulated.port
        if device.driver == "emulated" and port and not _free(port):
            problems.append(
                f"{path.name}: devices.{role}.emulated.port: {port} is taken on the loopback; "
                "use another, or 0 for any free one"
            )
    return problems


def open_bench(
    path: Path,
    roles: Sequence[RoleSpec],
    *,
    seed: int = 0,
    arm: Mapping[str, float] | None = None,
    state: Path | None = None,
    record: Path | None = None,
    wall_clock: bool = False,
) -> OpenBench:
    """Open every device of a bench. Use the result as a context manager.

    Args:
        path: The bench file.
        roles: What the scenario needs; roles the bench does not name are left to the caller.
        seed: Seed of the noise of emulated devices.
        arm: Role to seconds for which a real device is armed from now on. Never a default, never from a file.
        state: Folder for locks, latches and write budgets of real devices; default: the user's state folder.
        record: New file for the hash-chained log with every frame, see ``rigs.journal``.
        wall_clock: Emulated devices run on wall-clock time, whatever the file says of their clock.

    Raises:
        BenchFileError: everything that is wrong with the file, before anything is opened.
        RigError: a device did not start, does not answer or is not the one named; all others are closed
        again.
    """
    if problems := check_bench(path, roles, arm):
        raise BenchFileError(problems)
    specs = {r.role: r for r in roles}
    file = load_bench(path, roles)
    bench = OpenBench(
        on_wall_clock(file) if wall_clock else file,
        specs,
        arm or {},
        state or default_state(),
        path.parent,
        record,
    )
    bench.open()
    return bench


def on_wall_clock(bench: BenchFile) -> BenchFile:
    """Return the bench with all its emulated devices on wall-clock time."""
    devices = {
        role: device.model_copy(update={"emulated": device.emulated.model_copy(update={"clock": "wall"})})
        for role, device in bench.devices.items()
    }
    return bench.model_copy(update={"devices": devices})


def default_state() -> Path:
    """Return the folder where locks, latches and write budgets are kept (XDG Base Directory
    Specification)."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "p2p-grid-twin" / "rigs"


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""One harness per rig: a lock file that names its holder and is released by the system if the holder dies."""

import fcntl
import getpass
import os
import socket
from io import TextIOWrapper
from pathlib import Path

from rigs.errors import RigError


class RigLock:
    """Holds a device for one harness.

    A file in ``folder`` names the holder; beside it a name in the kernel holds the device for this machine, whoever's
    state folder the other harness uses. Hosts are compared by address, so that a device has one lock by any name.

    Args:
        folder: Where lock files live; harnesses that share it tell each other's names.
        endpoint: Host, port and unit of the device.
        holder: Who takes it, as a second harness shall read it (user, host, process).

    Raises:
        RigError: somebody else holds it; the text names the holder.
    """

    def __init__(self, folder: Path, endpoint: tuple[str, int, int], holder: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        host, port, unit = endpoint
        what = host + (f":{port}" if port else "") + (f" unit {unit}" if unit else "")
        name = "".join(c if c.isalnum() else "_" for c in address_of(host)) + f"_{port}_{unit}.lock"
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
        self._file: TextIOWrapper | None = os.fdopen(descriptor, "r+")
        self._name: socket.socket | None = None
        other = "an unknown harness"
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            other = "a harness of this machine with another state folder"
            self._name = _taken(f"p2p-grid-twin/rig/{name}")
        except OSError:
            if other.startswith("an "):
                other = self._file.read().strip() or other
            self._file.close()
            self._file = None
            raise RigError(f"{what} is held by {other}; two harnesses never drive one rig") from None
        self._file.truncate(0)
        self._file.seek(0)
        self._file.write(holder + "\n")
        self._file.flush()

    @property
    def files(self) -> list[int]:
        """Open files that hold the lock: as long as any process keeps them, it is held."""
        return [f.fileno() for f in (self._file, self._name) if f is not None]

    def release(self) -> None:
        """Give the device back. Safe to call twice."""
        for held in (self._file, self._name):
            if held is not None:
                held.close()
        self._file = self._name = None


def address_of(host: str) -> str:
    """Return a host's first address, so that all its names are one; a serial line or an unknown name as it is."""
    if host.startswith("/"):
        return os.path.realpath(host)  # /dev/serial/by-id is a link
    try:
        return min(str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except OSError:
        return host


def _taken(name: str) -> socket.socket | None:
    """Take a name in the kernel's own space (Linux, unix(7)); ``OSError`` where somebody has it."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        taken.bind(f"\0{name}"[:107])
    except FileNotFoundError:  # no such space on this system
        taken.close()
        return None
    except OSError:
        taken.close()
        raise
    return taken


def holder() -> str:
    """Return who this harness is, as another one shall read it."""
    return f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}"

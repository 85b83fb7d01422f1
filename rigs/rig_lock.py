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

    Args:
        folder: Where lock files live; all harnesses of a lab must use the same.
        endpoint: Host, port and unit of the device.
        holder: Who takes it, as a second harness shall read it (user, host, process).

    Raises:
        RigError: somebody else holds it; the text names the holder.
    """

    def __init__(self, folder: Path, endpoint: tuple[str, int, int], holder: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        host, port, unit = endpoint
        name = "".join(c if c.isalnum() else "_" for c in host) + f"_{port}_{unit}.lock"
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
        self._file: TextIOWrapper | None = os.fdopen(descriptor, "r+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            other = self._file.read().strip() or "an unknown harness"
            self._file.close()
            self._file = None
            what = host + (f":{port}" if port else "") + (f" unit {unit}" if unit else "")
            raise RigError(f"{what} is held by {other}; two harnesses never drive one rig") from None
        self._file.truncate(0)
        self._file.seek(0)
        self._file.write(holder + "\n")
        self._file.flush()

    def release(self) -> None:
        """Give the device back. Safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None


def holder() -> str:
    """Return who this harness is, as another one shall read it."""
    return f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}"

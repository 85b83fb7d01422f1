"""What a run was made with, for its manifest."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "p2p-grid-twin",
    "mosaik",
    "pandapower",
    "power-grid-model",
    "simbench",
    "numpy",
    "numba",
    "scipy",
    "pyarrow",
    "pymodbus",
    "pysunspec2",
    "simpy",
    "web3",
    "eth-tester",
    "py-evm",
)


def versions() -> dict[str, str]:
    """Versions of Python, of the platform and of every library whose numbers may enter a result."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_commit() -> str | None:
    """The commit of the project's checkout, with '+changes' where files differ; None outside a checkout."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None
    try:
        head = _git(here, "rev-parse", "HEAD")
        return head + ("+changes" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

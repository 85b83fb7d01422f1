"""One process per outbox file: two that send with one key from one file would take each other's nonces."""

import sqlite3
from pathlib import Path

from adapters.chain.errors import ChainInputError

WAIT_S = 20.0
"""So long the settlement process of a run that was just killed may still be at its end."""
MEMORY = ":memory:"


class Sole:
    """Holds ``<outbox>.lock`` until it is closed; the operating system lets go of it when the process dies."""

    def __init__(self, path: str, wait_s: float = WAIT_S) -> None:
        """Wait for it. Raises ChainInputError where another process keeps it."""
        self._held = sqlite3.connect(
            f"{path}.lock" if path != MEMORY else MEMORY,
            timeout=wait_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._held.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._held.close()
            raise ChainInputError(
                f"the outbox {Path(path).name} is used by another run: wait for its end, or give each its own"
            ) from error

    def close(self) -> None:
        """Let go. The file stays: taking it away could let two in."""
        self._held.close()


def check_free(path: Path, wait_s: float = WAIT_S) -> None:
    """Raise ChainInputError where another process uses an outbox; nothing is made."""
    if path.with_name(path.name + ".lock").exists():
        Sole(str(path), wait_s).close()

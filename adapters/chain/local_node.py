"""A local development node: anvil, found or named, started on a free port and polled until it answers."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from adapters.chain.errors import ChainInputError, ChainUnavailableError

ANVIL = "@foundry-rs/anvil@1.7.1"
CACHE = Path(".cache") / "chain"


def find_anvil() -> Path:
    """Path of anvil: ``TWIN_ANVIL``, the search path, or an npm install under .cache/chain.

    Raises ChainInputError with the command that installs it.
    """
    named = os.environ.get("TWIN_ANVIL")
    found = named or shutil.which("anvil")
    if found is not None:
        if Path(found).is_file():
            return Path(found)
        raise ChainInputError(f"TWIN_ANVIL is {found!r}, which is no file")
    # The package's own launcher needs a postinstall script; the binary lies in the platform's package.
    for candidate in sorted((CACHE / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*")):
        return candidate.resolve()
    raise ChainInputError(
        f"anvil was not found: npm install --ignore-scripts --prefix {CACHE.as_posix()} {ANVIL}, "
        "or set TWIN_ANVIL to the binary"
    )


class _EndedError(ChainUnavailableError):
    """It ended before it answered."""


class LocalNode:
    """One anvil process. Use as a context manager; ``url`` and ``ws_url`` are its addresses."""

    def __init__(self, start_s: int, port: int = 0, chain_id: int = 31_337, block_time_s: int = 0) -> None:
        self.port = port or _free_port()
        self._tries = 1 if port else 3
        self._arguments = ["--timestamp", str(start_s), "--chain-id", str(chain_id)]
        self._arguments += ["--hardfork", "prague", "--silent"]
        if block_time_s:
            self._arguments += ["--block-time", str(block_time_s)]
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address over HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Its address over a web socket."""
        return f"ws://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, wait_s: float = 60.0) -> None:
        """Start and wait until it answers. Raises ChainUnavailableError where it ends or stays silent.

        A port that we chose may be taken by somebody else before anvil has it; another one is tried then, the first
        time only: whoever comes back keeps the port.
        """
        while True:
            self._tries -= 1
            try:
                self._start(wait_s)
            except _EndedError:
                if self._tries <= 0:
                    raise
                self.port = _free_port()
            else:
                self._tries = 1
                return

    def _start(self, wait_s: float) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self._process = subprocess.Popen(
            [str(find_anvil()), *self._arguments, "--port", str(self.port)],
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        give_up = time.monotonic() + wait_s
        while time.monotonic() < give_up:
            code = self._process.poll()
            if code is not None:
                text = self._said()
                self.stop()
                raise _EndedError(f"anvil ended at once with code {code}: {text}")
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise ChainUnavailableError(f"anvil did not answer on port {self.port} within {wait_s:g} s")

    def wait(self) -> int:
        """Wait until the process ends. Returns its exit code."""
        if self._process is None:
            return 0
        return self._process.wait()

    def stop(self) -> None:
        """End the process. Safe to call twice."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            self._process = None
        if self._output is not None:
            self._output.close()
            self._output = None

    def _said(self) -> str:
        if self._output is None:
            return ""
        self._output.seek(0)
        return self._output.read().decode("utf-8", "replace").strip()[-300:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

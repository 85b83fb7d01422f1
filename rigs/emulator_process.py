"""The harness's end of an emulated device: start its process, talk over the control channel, end it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rigs.emulator.config import EmulatorConfig
from rigs.errors import EmulatorError

_START_S = 60.0
_ANSWER_S = 60.0  # generous: in lockstep a busy machine must not change a result
_END_S = 10.0


class EmulatorProcess:
    """One emulated device in a process of its own, in its own session so that Ctrl-C does not reach it
    first."""

    def __init__(self, config: EmulatorConfig) -> None:
        self.config = config
        self.port = 0
        self.path = ""  # of a serial line
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        root = str(Path(__file__).resolve().parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rigs.emulator", "--control-fd", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        ours.sendall(json.dumps(config.as_dict()).encode() + b"\n")
        self._socket = ours
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ready(self) -> None:
        """Wait until the device listens; ``port`` is then known."""
        self._reader, self._writer = await asyncio.open_connection(sock=self._socket)
        answer = await self._receive(_START_S)
        self.port = int(answer["port"])
        self.path = str(answer["path"])

    async def ask(self, do: str, **message: Any) -> Mapping[str, Any]:
        """Send one request over the control channel and wait for its answer.

        Raises:
            EmulatorError: refused, or the process is gone.
        """
        if self._writer is None:
            raise EmulatorError(f"{self.config.role}: the emulated device was never ready")
        self._writer.write(json.dumps({"do": do, **message}).encode() + b"\n")
        return await self._receive(_ANSWER_S)

    async def _receive(self, seconds: float) -> Mapping[str, Any]:
        assert self._reader is not None
        try:
            async with asyncio.timeout(seconds):
                line = await self._reader.readline()
        except TimeoutError:
            raise EmulatorError(
                f"{self.config.role}: no answer on the control channel in {seconds} s"
            ) from None
        except ConnectionError:
            line = b""
        if not line:
            raise EmulatorError(f"{self.config.role}: the emulated device ended{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise EmulatorError(str(answer["error"]))
        return answer

    def _last_words(self) -> str:
        try:
            _, words = self.process.communicate(timeout=_END_S)
        except (subprocess.TimeoutExpired, ValueError):
            return ""
        lines = words.decode(errors="replace").strip().splitlines()
        return f" ({lines[-1]})" if lines else f" (exit code {self.process.returncode})"

    def end(self) -> None:
        """End the process: close the channel, ask politely, then insist. Safe from any state and twice."""
        if self._writer is not None:
            self._writer.close()
        else:
            self._socket.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()

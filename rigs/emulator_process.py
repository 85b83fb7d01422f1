"""The harness's end of an emulated device: start its process, talk over the control channel, end it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rigs.emulator.config import EmulatorConfig
from rigs.errors import EmulatorError

_START_S = 60.0
_ANSWER_S = 60.0  # generous: in lockstep a busy machine must not change a result
_END_S = 10.0


class _Channel(asyncio.Protocol):
    """Lines over the control channel; every one that comes answers the oldest question. An empty line: the
    process is gone. Leaner than a stream, since an interval in lockstep waits for it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[asyncio.Future[bytes], asyncio.TimerHandle]] = deque()
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None
        self._gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        self._gone = True
        while self._waiting:
            self._settle(b"")

    def data_received(self, data: bytes) -> None:
        """Hand every whole line to who waits for it."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if self._waiting:
                self._settle(line)

    def expect(self, seconds: float) -> "asyncio.Future[bytes]":
        """Return what will hold the next line, or ``TimeoutError``."""
        future: asyncio.Future[bytes] = self._loop.create_future()
        if self._gone:
            future.set_result(b"")
            return future

        def late() -> None:
            if not future.done():
                future.set_exception(TimeoutError())

        self._waiting.append((future, self._loop.call_later(seconds, late)))
        return future

    def send(self, line: bytes) -> None:
        """Send one line; does nothing once the process is gone."""
        if self._transport is not None and not self._gone:
            self._transport.write(line)

    def close(self) -> None:
        """Close the channel. May come from another thread than the loop's."""
        if self._transport is not None:
            self._loop.call_soon_threadsafe(self._transport.close)

    def _settle(self, line: bytes) -> None:
        future, timer = self._waiting.popleft()
        timer.cancel()
        if not future.done():
            future.set_result(line)


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
                pass_fds=(theirs.fileno(), *((config.terminals_fd,) if config.terminals_fd >= 0 else ())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        ours.sendall(json.dumps(config.as_dict()).encode() + b"\n")
        self._socket = ours
        self._channel: _Channel | None = None

    async def ready(self) -> None:
        """Wait until the device listens; ``port`` is then known."""
        _, self._channel = await asyncio.get_running_loop().create_connection(_Channel, sock=self._socket)
        answer = await self._receive(self._channel.expect(_START_S), _START_S)
        self.port = int(answer["port"])
        self.path = str(answer["path"])

    async def ask(self, do: str, **message: Any) -> Mapping[str, Any]:
        """Send one request over the control channel and wait for its answer.

        Raises:
            EmulatorError: refused, or the process is gone.
        """
        if self._channel is None:
            raise EmulatorError(f"{self.config.role}: the emulated device was never ready")
        answer = self._channel.expect(_ANSWER_S)
        self._channel.send(json.dumps({"do": do, **message}).encode() + b"\n")
        return await self._receive(answer, _ANSWER_S)

    async def _receive(self, coming: asyncio.Future[bytes], seconds: float) -> Mapping[str, Any]:
        try:
            line = await coming
        except TimeoutError:
            raise EmulatorError(
                f"{self.config.role}: no answer on the control channel in {seconds} s"
            ) from None
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
        if self._channel is not None:
            self._channel.close()
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

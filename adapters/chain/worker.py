"""The same chain, served by a process of its own, so that no interval waits for web3 or the EVM."""

import contextlib
import importlib.util
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from adapters.chain import wire
from adapters.chain.checks import check_batch
from adapters.chain.errors import ChainError, ChainUnavailableError
from adapters.chain.options import Device, RpcOptions, Weather
from adapters.chain.port import BatchReceipt, SettlementBatch

ROOT = Path(__file__).resolve().parents[2]


class WorkerChain:
    """Parent's side. ``submit`` only queues; every other call waits for the process, or says that it died.

    ``silence_s`` is how long the process may be silent while it is waited for.
    """

    def __init__(
        self,
        kind: str,
        market_id: str,
        start_s: int,
        rpc: RpcOptions | None = None,
        weather: Weather | None = None,
        silence_s: float = 300.0,
        devices: Sequence[Device] = (),
    ) -> None:
        self.name = kind
        self._market_id = market_id
        self._silence_s = silence_s
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        # A session of its own: Ctrl-C reaches the parent only, which then decides. -P keeps the current
        # folder off the path, so that no file of the user's shadows a module.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "adapters.chain.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
            env=_environment(),
        )
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._threads = (
            threading.Thread(target=self._write, daemon=True),
            threading.Thread(target=self._read, daemon=True),
        )
        for thread in self._threads:
            thread.start()
        self._closed = False
        self._failure: ChainError | None = None
        options = {
            "rpc": None if rpc is None else asdict(rpc),
            "weather": None if weather is None else asdict(weather),
            "devices": [asdict(device) for device in devices],
        }
        self._tell({"do": "open", "kind": kind, "market_id": market_id, "start_s": start_s} | options)

    @property
    def pid(self) -> int:
        """Process id of the settlement process."""
        return self._process.pid

    def submit(self, batch: SettlementBatch) -> None:
        """Queue a batch and return. Raises ChainInputError for a batch that no chain would take."""
        self._alive()
        check_batch(batch, self._market_id)
        self._tell({"do": "submit", "batch": wire.batch_to_json(batch)})

    def drain(self) -> list[BatchReceipt]:
        """Wait until all queued batches are settled. Raises ChainError where the process failed or died."""
        return [wire.receipt_from_json(raw) for raw in self._ask("drain")]

    def balances_micro(self) -> dict[str, int]:
        """Read every account's balance from the contract."""
        return {str(name): int(value) for name, value in self._ask("balances").items()}

    def money_sum_micro(self) -> int:
        """Read the contract's own sum of all money."""
        return int(self._ask("money_sum"))

    def history(self) -> dict[str, Any]:
        """What is needed to read this chain again, or to make it again (`twin chain reconcile`)."""
        return dict(self._ask("history"))

    def close(self) -> None:
        """End the process, also in the middle of its work. Safe to call twice, and after it died."""
        if self._closed:
            return
        self._closed = True
        self._outgoing.put(None)
        try:
            self._process.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(timeout=5)
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._stderr.close()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):
            self.close()

    def _tell(self, message: dict[str, Any]) -> None:
        self._outgoing.put(wire.dump(message))

    def _ask(self, what: str) -> Any:
        self._alive()
        self._tell({"do": what})
        while True:
            try:
                message = self._incoming.get(timeout=self._silence_s)
            except queue.Empty:
                raise self._fail(
                    ChainUnavailableError(f"the settlement process was silent for {self._silence_s:g} s")
                ) from None
            if message is None:
                raise self._fail(self._death())
            if "error" in message:
                raise self._fail(wire.error_from_json(message))
            if message.get("answer") == what:
                return message["value"]

    def _alive(self) -> None:
        if self._closed:
            raise ChainError("the chain is closed")
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: ChainError) -> ChainError:
        self._failure = error
        return error

    def _death(self) -> ChainError:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        cause = f": {lines[-1]}" if lines else ""
        return ChainUnavailableError(
            f"the settlement process ended with code {code}{cause}; what it had not confirmed is lost"
        )

    def _write(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            while (line := self._outgoing.get()) is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._incoming.put(wire.load(line))
        finally:
            self._incoming.put(None)


def _environment() -> dict[str, str]:
    inherited = os.environ.get("PYTHONPATH")
    path = str(ROOT) if not inherited else os.pathsep.join([str(ROOT), inherited])
    chosen = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    if importlib.util.find_spec("sha3") is not None and "ETH_HASH_BACKEND" not in os.environ:
        chosen["ETH_HASH_BACKEND"] = "pysha3"  # 1.9 instead of 4.9 us a hash, and the EVM hashes all day
    return os.environ | chosen

"""The settlement process: reads commands from its standard input, answers on its standard output.

Ends when its input ends, so that it never outlives the simulation, however that dies.
"""

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from typing import IO, Any

from adapters.chain import wire
from adapters.chain.errors import ChainError, ChainInputError
from adapters.chain.options import Device, Outage, RpcOptions, Weather


def main() -> int:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return _serve(sys.stdin.buffer, answers)


def _serve(commands: IO[bytes], answers: IO[bytes]) -> int:
    lines = _lines(commands)
    chain: Any = None
    line: bytes | None = b""
    while line is not None:
        try:
            # A real chain is served between commands as well: blocks come when they come.
            line = lines.get(timeout=getattr(chain, "idle_s", None))
        except queue.Empty:
            _look(chain, answers)
            continue
        if line is None:
            break
        try:
            message = wire.load(line)
            if message["do"] == "open":
                chain = _open(message)
                chain.on_wait = Beat(answers)
            else:
                answers.write(wire.dump(_answer(chain, message)))
        except ChainError as error:
            answers.write(wire.dump({"error": type(error).__name__, "text": str(error)}))
        except BrokenPipeError:
            break
    if chain is not None:
        chain.close()
    return 0


class Beat:
    """Tells the parent, now and then, that a long wait is one: a batch takes minutes on a chain of its own."""

    def __init__(self, answers: IO[bytes], every_s: float = 5.0) -> None:
        self._answers, self._every_s, self._last = answers, every_s, time.monotonic()

    def __call__(self) -> None:
        """Tell it, unless that was just now. Raises BrokenPipeError where the parent is gone."""
        if time.monotonic() - self._last >= self._every_s:
            self._last = time.monotonic()
            self._answers.write(wire.dump({"waits": True}))


def _look(chain: Any, answers: IO[bytes]) -> None:
    """Let a real chain go on between two commands; what it refuses is told once, and it is left alone then."""
    try:
        chain.pump()
    except ChainError as error:
        chain.idle_s = None
        with contextlib.suppress(BrokenPipeError):
            answers.write(wire.dump({"error": type(error).__name__, "text": str(error)}))


def _lines(commands: IO[bytes]) -> "queue.SimpleQueue[bytes | None]":
    """Read commands in a thread; None marks the end of the input."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        for line in commands:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _open(message: dict[str, Any]) -> Any:
    from adapters.chain.factory import open_chain

    rpc = None if message["rpc"] is None else RpcOptions(**message["rpc"])
    raw, weather = message["weather"], None
    if raw is not None:
        weather = Weather(**(raw | {"outages": tuple(Outage(**outage) for outage in raw["outages"])}))
    return open_chain(
        message["kind"],
        market_id=message["market_id"],
        start_s=message["start_s"],
        in_process=True,
        rpc=rpc,
        weather=weather,
        devices=[Device(**device) for device in message["devices"]],
    )


def _answer(chain: Any, message: dict[str, Any]) -> dict[str, Any]:
    what = message["do"]
    if chain is None:
        raise ChainInputError("the chain was not opened")
    value: Any = None
    if what == "submit":
        chain.submit(wire.batch_from_json(message["batch"]))
    elif what == "drain":
        value = [wire.receipt_to_json(receipt) for receipt in chain.drain()]
    elif what == "balances":
        value = chain.balances_micro()
    elif what == "history":
        value = chain.history()
    elif what == "money_sum":
        value = chain.money_sum_micro()
    else:
        raise ChainInputError(f"unknown command {what!r}")
    return {"answer": what, "value": value}


if __name__ == "__main__":
    sys.exit(main())

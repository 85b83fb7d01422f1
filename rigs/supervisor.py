"""A process beside the harness that makes armed devices safe when the harness stops breathing.

It is a second line behind the harness's own tear-down, and in front of the device's own reversion timer. It
is not a safety function: that is the hard-wired interlock's business.

A harness that is frozen but not dead keeps its serial lines, and its connection to a device that serves only one. Where
the bench says after how long, the supervisor ends such a harness, if a device could not be made safe past it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rigs.charge import AnyCharge, as_plain, from_plain

_DONE = b"done\n"
_TRIES, _TRY_EVERY_S, _PATIENCE_S = 10, 0.5, 60.0
NEVER_NEEDED, MADE_SAFE, TROUBLE = 0, 3, 1
"""Exit codes of the process."""


class SupervisorProcess:
    """The harness's end: breathe while alive, dismiss when all is safe.

    ``held`` are files (locks of the rig) that the process keeps open: the rig stays taken until it has ended.
    ``end_after_s``: after so long without a breath the process kills us where a device is not safe (None: never).
    """

    def __init__(
        self,
        charges: Sequence[AnyCharge],
        silence_s: float,
        held: Sequence[int] = (),
        end_after_s: float | None = None,
    ) -> None:
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        root = str(Path(__file__).resolve().parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rigs.supervisor", "--fd", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *held),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        order = {
            "silence_s": silence_s,
            "charges": [as_plain(c) for c in charges],
            "harness": os.getpid(),
            "end_after_s": end_after_s,
        }
        ours.sendall(json.dumps(order).encode() + b"\n")
        self._socket = ours

    def breathe(self) -> int | None:
        """Send a breath; returns None while the process lives, else its exit code (negative: a signal)."""
        with contextlib.suppress(OSError):
            self._socket.send(b".")
        return self.process.poll()

    def dismiss(self) -> None:
        """Everything is safe: let the supervisor end."""
        with contextlib.suppress(OSError):
            self._socket.sendall(_DONE)
        self.leave()

    def leave(self) -> None:
        """Close the line and wait for the end; without ``dismiss`` the supervisor makes safe first."""
        self._socket.close()
        try:
            self.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()  # a timer of the device's own is all that is left
            self.process.wait()


def watch(line: socket.socket, silence_s: float) -> bool:
    """Wait until the harness says done (True), or falls silent or goes away (False)."""
    heard = b""
    while True:
        ready, _, _ = select.select([line], [], [], silence_s)
        if not ready:
            return False
        data = line.recv(4096)
        if not data:
            return heard.endswith(_DONE)
        heard = (heard + data)[-len(_DONE) :]
        if heard.endswith(_DONE):
            return True


def end_frozen(line: socket.socket, harness: int, after_s: float) -> bool:
    """Wait ``after_s`` for a breath, then end the harness; tells whether its lines are free now.

    Only our own parent is ended: as long as it lives its number cannot belong to anybody else.
    """
    heard, _, _ = select.select([line], [], [], max(after_s, 0.0))
    if heard:
        return not line.recv(4096)  # gone by itself; or it breathes again, and makes safe what it drives
    if os.getppid() == harness:
        os.kill(harness, signal.SIGKILL)
        deadline_s = time.monotonic() + _PATIENCE_S
        while os.getppid() == harness and time.monotonic() < deadline_s:
            time.sleep(0.05)
    return os.getppid() != harness


async def make_all_safe(charges: Sequence[AnyCharge]) -> dict[str, str]:
    """Make every device safe, with a few tries each; returns role to trouble for those that could not be."""
    left = {c.role: c for c in charges}
    troubles: dict[str, str] = {}
    for _ in range(_TRIES):
        results = await asyncio.gather(*(_attempt(c) for c in left.values()))
        troubles = {role: trouble for role, trouble in zip(left, results, strict=True) if trouble}
        left = {role: left[role] for role in troubles}
        if not left:
            break
        await asyncio.sleep(_TRY_EVERY_S)
    return troubles


async def _attempt(charge: AnyCharge) -> str:
    """Make one device safe; whatever goes wrong with it must not keep the others from being made safe."""
    try:
        return await charge.make_safe()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main() -> int:
    """Watch one harness."""
    parser = argparse.ArgumentParser(prog="python -m rigs.supervisor")
    parser.add_argument("--fd", type=int, required=True, help="inherited socket to the harness")
    line = socket.socket(fileno=parser.parse_args().fd)
    first = b""
    while not first.endswith(b"\n"):
        byte = line.recv(1)
        if not byte:
            return TROUBLE  # the harness went before it had armed anything
        first += byte
    order = json.loads(first)
    charges = [from_plain(c) for c in order["charges"]]
    if watch(line, float(order["silence_s"])):
        return NEVER_NEEDED
    silence_s, end_after_s = float(order["silence_s"]), order["end_after_s"]
    began = time.monotonic()
    troubles = asyncio.run(make_all_safe(charges))
    if troubles and end_after_s is not None:
        silent_s = silence_s + time.monotonic() - began
        if end_frozen(line, int(order["harness"]), float(end_after_s) - silent_s):
            troubles = asyncio.run(make_all_safe([c for c in charges if c.role in troubles]))
    for charge in charges:
        state = troubles.get(charge.role) or f"made safe in {time.monotonic() - began:.2f} s"
        with contextlib.suppress(OSError):  # a terminal that is gone must not keep it from ending well
            sys.stderr.write(f"supervisor: the harness stopped breathing; {charge.role}: {state}\n")
            sys.stderr.flush()
    return TROUBLE if troubles else MADE_SAFE


if __name__ == "__main__":
    sys.exit(main())

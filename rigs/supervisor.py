"""A process beside the harness that makes armed devices safe when the harness stops breathing.

It is a second line behind the harness's own tear-down, and in front of the device's own reversion timer. It
is not a safety function: that is the hard-wired interlock's business.
"""

import argparse
import asyncio
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_DONE = b"done\n"
_TRIES, _TRY_EVERY_S = 10, 0.5


@dataclass(frozen=True)
class Charge:
    """A device to look after: where it is, and the registers that make it safe."""

    role: str
    host: str
    port: int
    unit: int
    registers: tuple[tuple[int, bytes], ...]
    single_writes: bool = False  # see LinkTiming


class SupervisorProcess:
    """The harness's end: breathe while alive, dismiss when all is safe."""

    def __init__(self, charges: Sequence[Charge], silence_s: float) -> None:
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        root = str(Path(__file__).resolve().parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rigs.supervisor", "--fd", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        order = {
            "silence_s": silence_s,
            "charges": [
                {**c.__dict__, "registers": [(address, data.hex()) for address, data in c.registers]}
                for c in charges
            ],
        }
        ours.sendall(json.dumps(order).encode() + b"\n")
        self._socket = ours

    async def breathe(self, every_s: float) -> None:
        """Send a breath every ``every_s`` until cancelled. Runs in the I/O loop, so a wedged loop falls
        silent."""
        while True:
            try:
                self._socket.send(b".")
            except OSError:
                return  # it is gone; the device's own timer remains
            await asyncio.sleep(every_s)

    def dismiss(self) -> None:
        """Everything is safe: let the supervisor end."""
        with contextlib.suppress(OSError):
            self._socket.sendall(_DONE)
        self.leave()

    def leave(self) -> None:
        """Close the line and wait for the end; without ``dismiss`` the supervisor makes safe first."""
        self._socket.close()
        self.process.wait(_TRIES * (_TRY_EVERY_S + 2.0))


async def make_safe(charge: Charge) -> str:
    """Write the safe registers of one device and read them back; returns what went wrong, empty where
    nothing."""
    from adapters.modbus.errors import ModbusError
    from adapters.modbus.port import LinkTiming
    from adapters.modbus.tcp import TcpPort

    port = TcpPort(charge.host, charge.port, LinkTiming(timeout_s=1.0, single_writes=charge.single_writes))
    try:
        await port.connect()
        for address, data in charge.registers:
            await port.write(charge.unit, address, data)
        for address, data in charge.registers:
            if await port.read(charge.unit, address, len(data) // 2) != data:
                return f"register {address} reads back otherwise"
    except ModbusError as error:
        return str(error)
    finally:
        await port.close()
    return ""


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


async def make_all_safe(charges: Sequence[Charge]) -> dict[str, str]:
    """Make every device safe, with a few tries each; returns role to trouble for those that could not be."""
    left = {c.role: c for c in charges}
    troubles: dict[str, str] = {}
    for _ in range(_TRIES):
        results = await asyncio.gather(*(make_safe(c) for c in left.values()))
        troubles = {role: trouble for role, trouble in zip(left, results, strict=True) if trouble}
        left = {role: left[role] for role in troubles}
        if not left:
            break
        await asyncio.sleep(_TRY_EVERY_S)
    return troubles


def main() -> int:
    """Watch one harness."""
    parser = argparse.ArgumentParser(prog="python -m rigs.supervisor")
    parser.add_argument("--fd", type=int, required=True, help="inherited socket to the harness")
    line = socket.socket(fileno=parser.parse_args().fd)
    first = b""
    while not first.endswith(b"\n"):
        byte = line.recv(1)
        if not byte:
            return 1  # the harness went before it had armed anything
        first += byte
    order = json.loads(first)
    charges = [
        Charge(**{**c, "registers": tuple((a, bytes.fromhex(d)) for a, d in c["registers"])})
        for c in order["charges"]
    ]
    if watch(line, float(order["silence_s"])):
        return 0
    began = time.monotonic()
    troubles = asyncio.run(make_all_safe(charges))
    for charge in charges:
        state = troubles.get(charge.role) or f"made safe in {time.monotonic() - began:.2f} s"
        sys.stderr.write(f"supervisor: the harness stopped breathing; {charge.role}: {state}\n")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())

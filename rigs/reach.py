"""Who answers at the addresses of a bench: every real device, interlock and source is asked, nothing is written.

The devices are asked as they will be when the bench is opened (link, discovery, identity, rating), all at once and over
links that are closed again; a rig that another harness has is left alone.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adapters.modbus.errors import ModbusError
from adapters.modbus.register_map import load_map
from rigs.ac_source import ROLE, BenchSource
from rigs.bench_file import BenchFile, find_map, load_bench
from rigs.device import RoleSpec
from rigs.errors import RigError
from rigs.gate_rules import GateMemory, today
from rigs.interlock import INTERLOCK, Interlock
from rigs.line import Lines
from rigs.open_bench import default_state
from rigs.wire import WireDevice


def reach(path: Path, roles: Sequence[RoleSpec], state: Path | None = None) -> list[str]:
    """Return everything that keeps the real devices of a bench from being opened now; blocks for a time-out at most.

    Args:
        path: a bench file that is right in itself.
        roles: what the scenario needs.
        state: folder of the locks; default: the user's state folder.
    """
    bench = load_bench(path, roles)
    real = [d for d in bench.devices.values() if d.driver == "modbus"]
    source = bench.ac_source is not None and bench.ac_source.driver == "scpi"
    if not real and not source and not (bench.interlock is not None and bench.interlock.driver == "modbus"):
        return []
    lines = Lines(bench)
    try:
        locks = lines.lock((state or default_state()) / "locks")
    except RigError as error:
        return [f"{path.name}: {error}"]
    try:
        with ThreadPoolExecutor(1) as beside:  # whoever calls may have an event loop of its own
            return beside.submit(
                asyncio.run, _ask_all(path, bench, lines, {r.role: r for r in roles})
            ).result()
    finally:
        for lock in locks:
            lock.release()


async def _ask_all(path: Path, bench: BenchFile, lines: Lines, specs: dict[str, RoleSpec]) -> list[str]:
    asked: dict[str, Coroutine[Any, Any, str]] = {}
    for role, section in bench.devices.items():
        if section.driver == "modbus":
            register_map = load_map(find_map(section.map, path.parent)) if section.map else None
            wire = WireDevice(
                specs[role], section, None, GateMemory(today), lambda kind, content: None, False,
                register_map=register_map, folder=path.parent,
            )  # fmt: skip
            wire.line = lines.of(role)
            asked[f"devices.{role}"] = _ask(wire)
    if bench.interlock is not None and bench.interlock.driver == "modbus":
        asked[INTERLOCK] = _look(Interlock(bench.interlock, path.parent))
    if bench.ac_source is not None and bench.ac_source.driver == "scpi":
        asked[ROLE] = _ask(BenchSource(bench.ac_source))
    told = await asyncio.gather(*asked.values())
    return [f"{path.name}: {where}: {text}" for where, text in zip(asked, told, strict=True) if text]


async def _ask(device: WireDevice | BenchSource) -> str:
    try:
        await device.open()
    except (ModbusError, RigError, OSError) as error:
        return str(error)
    finally:
        await device.close()
    return ""


async def _look(interlock: Interlock) -> str:
    """Return why an interlock cannot be read; an open one is no trouble before anything is armed."""
    try:
        await interlock.open([])
        trouble = await interlock.trouble()
        return trouble if "cannot be read" in trouble else ""
    finally:
        await interlock.close()

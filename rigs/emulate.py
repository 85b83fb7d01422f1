"""Serve the devices of a bench on wall-clock time until stopped, so that any Modbus tool can talk to them."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rigs.bench_file import load_bench, nameplate_roles
from rigs.emulator_process import EmulatorProcess
from rigs.links import emulator_config


def emulate(path: Path, say: Callable[[str], None]) -> None:
    """Start every device of a bench as an emulated one and wait for SIGINT or SIGTERM.

    Raises:
        BenchFileError: the file is wrong, or a device has no nameplate.
        EmulatorError: a device did not start, for example because its port is taken.
    """
    asyncio.run(_serve(path, say))


async def _serve(path: Path, say: Callable[[str], None]) -> None:
    specs = {spec.role: spec for spec in nameplate_roles(path)}
    bench = load_bench(path, tuple(specs.values()))
    processes = [
        EmulatorProcess(replace(emulator_config(specs[role], section, path.parent), clock="wall"))
        for role, section in bench.devices.items()
    ]
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await asyncio.gather(*(p.ready() for p in processes))
        for process in processes:
            config = process.config
            where = process.path or f"{config.host}:{process.port}"
            say(
                f"{config.role}: {config.kind} of {config.p_max_w:g} W at {config.link} {where}, unit {config.unit}"
            )
            if config.kind == "pv_inverter":
                await process.ask("surroundings", p_available_w=config.p_max_w)
        say("serving; stop with Ctrl-C")
        await stop.wait()
    finally:
        for process in processes:
            process.end()

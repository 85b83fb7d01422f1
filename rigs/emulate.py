"""Serve the devices of a bench on wall-clock time until stopped, so that any Modbus tool can talk to them."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rigs.ac_source import BenchSource
from rigs.bench_file import load_bench, nameplate_roles
from rigs.emulator.config import EmulatorConfig
from rigs.emulator_process import EmulatorProcess
from rigs.links import emulator_config

_AVAILABLE = {"pv_inverter": 1.0, "heat_pump": 0.4}
"""Share of rated power that the sun gives, and that the house needs."""


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
    emulated = bench.ac_source is not None and bench.ac_source.driver == "emulated"
    source = BenchSource(bench.ac_source) if emulated and bench.ac_source is not None else None

    def config(role: str) -> EmulatorConfig:
        wires = source.wires(role) if source is not None else -1
        return replace(emulator_config(specs[role], bench.devices[role], path.parent, wires), clock="wall")

    processes = [EmulatorProcess(config(role)) for role in bench.devices]
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await asyncio.gather(*(p.ready() for p in processes))
        if source is not None:
            await source.open()
            await source.energise()
            say(f"ac_source: {source.identity} at scpi {':'.join(map(str, source.endpoint))}")
        for process in processes:
            told = process.config
            where = process.path or f"{told.host}:{process.port}"
            say(f"{told.role}: {told.kind} of {told.p_max_w:g} W at {told.link} {where}, unit {told.unit}")
            share = _AVAILABLE.get(told.kind)
            if share is not None:
                await process.ask("surroundings", p_available_w=share * told.p_max_w)
        say("serving; stop with Ctrl-C")
        await stop.wait()
    finally:
        for process in processes:
            process.end()
        if source is not None:
            await source.close()

"""``twin rig stop``: write the safe values of every real device of a bench, and latch it. A convenience, no safety
function.
"""

import asyncio
from pathlib import Path

from adapters.modbus.register_map import load_map
from rigs.bench_file import find_map, load_bench, nameplate_roles
from rigs.bench_sections import DeviceSection
from rigs.gate_rules import GateMemory, today
from rigs.line import Lines
from rigs.open_bench import default_state
from rigs.rig_lock import holder
from rigs.wire import WireDevice

ENDS_WITH_ITS_HARNESS = "not touched: it is no real device, and ends with its harness"
OBSERVED = "not touched: it is only observed, so nothing of it may be written"


def stop(path: Path, state: Path | None = None) -> dict[str, tuple[bool, str]]:
    """Make every real device of a bench safe; returns role to (is it safe as far as we can tell, what was done).

    It asks nobody for the rig. Every device is latched first: a harness that still runs hears of it with its next order
    and sends none any more, until a person resets the latch.

    Raises:
        BenchFileError: the file is wrong, or a device has no nameplate.
    """
    return asyncio.run(_stop(path, state or default_state()))


async def _stop(path: Path, state: Path) -> dict[str, tuple[bool, str]]:
    specs = {spec.role: spec for spec in nameplate_roles(path)}
    bench = load_bench(path, tuple(specs.values()))
    done: dict[str, tuple[bool, str]] = {}
    writable = {r: d for r, d in bench.devices.items() if d.driver == "modbus" and d.mode != "observe"}
    for role, section in bench.devices.items():
        if role not in writable:
            done[role] = True, ENDS_WITH_ITS_HARNESS if section.driver != "modbus" else OBSERVED
    memories = {role: GateMemory(today, state / "roles" / f"{bench.bench}.{role}.json") for role in writable}
    for memory in memories.values():
        if not memory.latch:
            memory.set_latch(f"stopped by {holder()} with 'twin rig stop'")
    lines = Lines(bench)

    async def make_safe(role: str, section: DeviceSection) -> None:
        device = WireDevice(
            specs[role], section, None, memories[role], lambda k, c: None, False, 60.0,
            load_map(find_map(section.map, path.parent)) if section.map else None, folder=path.parent,
        )  # fmt: skip
        device.line = lines.of(role)
        try:
            await device.open()
            await device.make_safe(asyncio.get_running_loop().time())
            done[role] = True, "safe, and latched"
        except Exception as error:  # whatever is wrong with one must not keep the others from being made safe
            done[role] = False, f"latched, but not known to be safe: {error}"
        finally:
            await device.close()

    await asyncio.gather(*(make_safe(role, section) for role, section in writable.items()))
    return {role: done[role] for role in bench.devices}

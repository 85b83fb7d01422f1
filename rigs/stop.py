"""``twin rig stop``: write the safe values of every real device of a bench. A convenience, no safety
function."""

import asyncio
from pathlib import Path

from adapters.modbus.errors import ModbusError
from rigs.bench_file import load_bench, nameplate_roles
from rigs.errors import RigError
from rigs.gate_rules import GateMemory
from rigs.supervisor import Charge, make_safe
from rigs.wire import WireDevice


def stop(path: Path) -> dict[str, str]:
    """Make every real device of a bench safe; returns role to trouble, empty text where all is well.

    It asks nobody for the rig: a harness that still runs is overruled, and writes again with its next order.
    Stop that harness first.

    Raises:
        BenchFileError: the file is wrong, or a device has no nameplate.
    """
    return asyncio.run(_stop(path))


async def _stop(path: Path) -> dict[str, str]:
    specs = {spec.role: spec for spec in nameplate_roles(path)}
    bench = load_bench(path, tuple(specs.values()))
    troubles: dict[str, str] = {}
    for role, section in bench.devices.items():
        if section.driver != "modbus" or section.mode == "observe":
            troubles[role] = (
                ""  # memory and lockstep devices end with their harness; observed ones are never written
            )
            continue
        device = WireDevice(
            specs[role], section, None, GateMemory(lambda: ""), lambda k, c: None, False, 60.0, folder=path.parent,
            proves=False,
        )  # fmt: skip
        try:
            await device.open()
            registers = tuple(await device.safe_registers())
            host, port, unit = device.endpoint
            await device.close()
            troubles[role] = await make_safe(Charge(role, host, port, unit, registers, device.single_writes))
        except (ModbusError, RigError) as error:
            troubles[role] = str(error)
            await device.close()
    return troubles

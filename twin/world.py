"""The wiring: the only place that knows mosaik's world and draws wires.

Forward is one line: what is decided (participants, market, gate), the devices, the plant, what is kept (ledger,
recorder). The back edge (device state) is time-shifted and ends at the participants. A bench that is coupled to the
plant adds one more, from the plant to the devices.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adapters.grid.feeder import FloatArray
from twin.fleet import FleetState

KINDS = ("coordination", "devices", "plant", "books")

WIRES = (
    ("coordination", "devices", "decided"),
    ("devices", "plant", "flows"),
    ("plant", "books", "solved"),
)


@dataclass(frozen=True)
class WorldOrgans:
    """The domain object behind each simulator, by kind, and the devices' first state.

    ``initial_v_pu`` (n_bus,) is set where a bench is coupled to the plant: its devices then see the voltages of the
    step before, over a second time-shifted wire.
    """

    by_kind: dict[str, Any]
    initial_state: FleetState
    initial_v_pu: FloatArray | None = None


Attach = Callable[[Any, dict[str, Any]], None]
"""Called with mosaik's world and our entities by kind before the run, to attach simulators of third parties."""


def run_world(
    organs: WorldOrgans, interval_s: int, step_s: int, until_s: int, attach: Attach | None = None
) -> None:
    """Build the world and run it to ``until_s``.

    Returning normally does not prove that the run is complete (a remote simulator that dies ends a mosaik run
    silently): the caller compares the last recorded interval with the last one asked for.
    """
    import mosaik

    config: Any = {kind: {"python": f"twin.simulators.{kind}:Simulator"} for kind in KINDS}
    loop = asyncio.new_event_loop()
    options: Any = {"skip_greetings": True, "configure_logging": False, "asyncio_loop": loop}
    with mosaik.World(config, **options) as world:
        entities = {}
        for kind in KINDS:
            own_s = interval_s if kind == "coordination" else step_s
            factory = world.start(kind, sim_id=kind, organ=organs.by_kind[kind], step_s=own_s)
            entities[kind] = getattr(factory, kind.capitalize())()
        for source, target, attribute in WIRES:
            world.connect(entities[source], entities[target], attribute)
        world.connect(
            entities["devices"],
            entities["coordination"],
            "state",
            time_shifted=True,
            initial_data={"state": organs.initial_state},
        )
        if organs.initial_v_pu is not None:
            world.connect(
                entities["plant"],
                entities["devices"],
                "Vm[pu]",
                time_shifted=True,
                initial_data={"Vm[pu]": organs.initial_v_pu},
            )
        if attach is not None:
            attach(world, entities)
        try:
            world.run(until=until_s, print_progress=False, shutdown=False)
        finally:
            _cancel_all(loop)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """End what a simulator's exception left waiting; mosaik would leave it to asyncio to complain about."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

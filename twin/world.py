"""The wiring: the only place that knows mosaik's world and draws wires.

Forward is one line: what is decided (participants, market, gate), the field (devices and plant), what is kept (ledger,
recorder). The back edge (device state) is time-shifted and ends at the participants.
"""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adapters.grid.feeder import IntArray
from rigs.pacer import Pacer
from twin.fleet import FleetState

KINDS = ("coordination", "field", "books")

WIRES = (
    ("coordination", "field", "decided"),
    ("field", "books", "solved"),
)


@dataclass(frozen=True)
class WorldOrgans:
    """The domain object behind each simulator, by kind, and the devices' first state.

    ``initial_balances`` (n,) is set where participants may only order what they can pay: what each gained so far then
    reaches them over a second time-shifted wire. ``initial_tap`` is set where the plant moves a tap: the operator
    learns where it was last. ``pacer`` is set where the run keeps wall-clock time: nothing of a step begins before its
    moment.
    """

    by_kind: dict[str, Any]
    initial_state: FleetState
    initial_balances: IntArray | None = None
    pacer: Pacer | None = None
    initial_tap: tuple[int, ...] | None = None


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
    # our own line needs no cache of outputs: pushed values cost mosaik less; a third party may pull at steps of its own
    cache = attach is not None
    options: Any = {"skip_greetings": True, "configure_logging": False, "asyncio_loop": loop, "cache": cache}
    with mosaik.World(config, **options) as world:
        entities = {}
        for kind in KINDS:
            own_s = interval_s if kind == "coordination" else step_s
            factory = world.start(kind, sim_id=kind, organ=organs.by_kind[kind], step_s=own_s)
            entities[kind] = getattr(factory, kind.capitalize())()
        for source, target, attribute in WIRES:
            world.connect(entities[source], entities[target], attribute)
        _connect_back(world, entities, organs)
        if organs.pacer is not None:
            _pace(world, entities, organs.pacer, step_s)
        if attach is not None:
            attach(world, entities)
        try:
            # a source that nothing feeds must not run ahead; our own line is a loop and cannot
            lazy = organs.pacer is not None or attach is not None
            # what was loaded stays: without this a full collection walks all of it, a tenth of a second each
            gc.freeze()
            world.run(until=until_s, print_progress=False, shutdown=False, lazy_stepping=lazy)
        finally:
            gc.unfreeze()
            _cancel_all(loop)


def _connect_back(world: Any, entities: dict[str, Any], organs: WorldOrgans) -> None:
    """The back edges, time-shifted: the state, and what only some runs need."""
    for source, attribute, initial in (
        ("field", "state", organs.initial_state),
        ("books", "balances", organs.initial_balances),
        ("field", "tap", organs.initial_tap),
    ):
        if initial is not None:
            world.connect(
                entities[source],
                entities["coordination"],
                attribute,
                time_shifted=True,
                initial_data={attribute: initial},
            )


def _pace(world: Any, entities: dict[str, Any], pacer: Pacer, step_s: int) -> None:
    """Let a simulator keep wall-clock time that what is decided and the devices wait for."""
    config = {"python": "twin.simulators.pacer:Simulator"}
    world.sim_config["pacer"] = config
    entities["pacer"] = world.start("pacer", sim_id="pacer", organ=pacer, step_s=step_s).Pacer()
    for kind in ("coordination", "field"):
        world.connect(entities["pacer"], entities[kind], "late_s")


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """End what a simulator's exception left waiting; mosaik would leave it to asyncio to complain about."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

"""How certificates follow energy through a battery: what is stored of a plant's, and what may come out again.

Never more comes out than round-trip efficiency times what went in, and never before it went in: the contract bounds the
sums, this plan keeps the order of time.
"""

from collections.abc import Iterable
from dataclasses import dataclass

PPM = 1_000_000


@dataclass(frozen=True)
class Flow:
    """An interval of a battery, whole Wh: what it took, what it gave of what was fed in, what the house imported
    meanwhile, and what its plant may be certified for.
    """

    taken_wh: int
    given_wh: int
    drawn_wh: int
    sun_wh: int


@dataclass(frozen=True)
class Step:
    """What is stored and released in an interval, whole Wh."""

    store_wh: int
    release_wh: int


def plan(flows: Iterable[Flow], efficiency_ppm: int) -> list[Step]:
    """Steps of a battery's intervals, in the order of time.

    What the house imported while the battery took energy counts as the grid's; losses are consumed, rounded up.
    """
    level_wh, steps = 0, []
    for flow in flows:
        store_wh = min(max(flow.taken_wh - flow.drawn_wh, 0), flow.sun_wh)
        level_wh += store_wh
        release_wh = min(flow.given_wh, level_wh * efficiency_ppm // PPM)
        level_wh -= -(-release_wh * PPM // efficiency_ppm)
        steps.append(Step(store_wh, release_wh))
    return steps


def point_of(battery: str) -> str:
    """Name of the connection point that a battery's meter is behind."""
    return battery.removesuffix(".battery")


def plant_of(battery: str) -> str:
    """Name of the plant's meter beside a battery's."""
    return f"{point_of(battery)}.pv"


def battery_of(plant: str) -> str:
    """The inverse of ``plant_of``."""
    return f"{plant.removesuffix('.pv')}.battery"

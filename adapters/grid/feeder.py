"""A feeder as the project sees it: names, limits, connection points, coordinates. No engine types."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ConnectionPoint:
    """Where one participant is connected: a name, a bus (row of ``Feeder.bus_names``) and the phases used.

    ``profile`` names the load profile of the case, ``p_rated_w`` and ``q_rated_var`` what it is scaled by
    (both >= 0 for consumption, which the case states; the sign is turned by whoever reads the profile).
    """

    name: str
    bus: int
    phases: Literal["abc", "a", "b", "c"] = "abc"
    p_rated_w: float = 0.0
    q_rated_var: float = 0.0
    profile: str | None = None


@dataclass(frozen=True)
class CaseAsset:
    """PV plant or battery that the case itself holds, at the connection point ``point`` (row)."""

    kind: Literal["pv", "battery"]
    name: str
    point: int
    p_rated_w: float
    capacity_wh: float = 0.0
    efficiency: float = 1.0
    profile: str | None = None


@dataclass(frozen=True)
class Feeder:
    """A feeder with its nominal data; every array is indexed by bus or branch row.

    ``branch_kind`` is 'line' or 'trafo'; ``rated_a`` the thermal rating in A (lines), ``rated_va`` in VA
    (transformers), NaN where the case states none. ``xy`` is (n_bus, 2), coordinates or a computed layout.
    ``native`` is the engine-side object (a pandapower net or a path to a .dss file); only adapters open it.
    An unbalanced feeder has one bus row per bus and phase and one branch row per branch and phase;
    ``bus_phase`` and ``branch_phase`` name the phase of a row ('abc' on a balanced feeder, where a row stands
    for all three), and ``site`` numbers the place that a bus row belongs to (the same for the phases of one
    bus). A point's ``bus`` is the row of its phase, of its first phase where it has three. ``branch_length_m``
    is NaN where a branch has no length (transformers) or none is known; it is only for drawings. ``notes``
    lists everything that was assumed, corrected or dropped on loading, a sentence each.
    """

    name: str
    source: str
    bus_names: tuple[str, ...]
    bus_vn_v: FloatArray
    slack_bus: int
    branch_names: tuple[str, ...]
    branch_kind: tuple[str, ...]
    branch_from: IntArray
    branch_to: IntArray
    branch_rated_a: FloatArray
    branch_rated_va: FloatArray
    points: tuple[ConnectionPoint, ...]
    assets: tuple[CaseAsset, ...]
    xy: FloatArray
    native: Any = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()
    bus_phase: tuple[str, ...] = ()
    branch_phase: tuple[str, ...] = ()
    site: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    branch_length_m: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        """Fill in what need not be said: phases of a balanced feeder, lengths that are not known."""
        if not len(self.branch_length_m):
            object.__setattr__(self, "branch_length_m", np.full(len(self.branch_names), np.nan))
        if not self.bus_phase:
            object.__setattr__(self, "bus_phase", ("abc",) * len(self.bus_names))
            object.__setattr__(self, "branch_phase", ("abc",) * len(self.branch_names))
            object.__setattr__(self, "site", np.arange(len(self.bus_names), dtype=np.int64))

    @property
    def balanced(self) -> bool:
        """Whether every row stands for all three phases."""
        return all(phase == "abc" for phase in self.bus_phase)

    @property
    def n_bus(self) -> int:
        """Number of buses."""
        return len(self.bus_names)

    @property
    def n_branch(self) -> int:
        """Number of lines and transformers."""
        return len(self.branch_names)

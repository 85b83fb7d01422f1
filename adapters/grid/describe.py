"""What was understood of a feeder: buses, phases, taps, limits with their origin, what is missing or assumed."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.grid.errors import GridError
from adapters.grid.factory import ENGINE_NAMES, make_engine
from adapters.grid.feeder import Feeder
from adapters.grid.normalise import label


@dataclass(frozen=True)
class TapDescription:
    """A transformer's tap: position of a range, its step, and what it does to the secondary voltage."""

    transformer: str
    side: str
    position: float
    low: float
    high: float
    step_percent: float


@dataclass(frozen=True)
class LimitDescription:
    """A limit that the case itself states. ``elements`` counts those that have it, ``without`` those that do not."""

    quantity: str
    low: float
    high: float
    unit: str
    elements: int
    without: int
    origin: str


@dataclass(frozen=True)
class FeederDescription:
    """A feeder in words and numbers, for ``twin feeder``, the manifest and the report.

    ``voltage_levels`` are rated line voltages in V and their number of places; ``phases`` counts connection
    points by phase; ``engines`` says of every engine 'balanced', 'per phase', or why it cannot model the feeder.
    """

    name: str
    source: str
    balanced: bool
    places: int
    bus_rows: int
    voltage_levels: tuple[tuple[float, int], ...]
    lines: int
    transformers: int
    points: int
    phases: tuple[tuple[str, int], ...]
    pv_plants: int
    batteries: int
    rated_load_w: float
    taps: tuple[TapDescription, ...]
    limits: tuple[LimitDescription, ...]
    engines: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def describe_feeder(feeder: Feeder) -> FeederDescription:
    """Describe a feeder. Nothing is solved; engines are only asked whether they can model it."""
    net = feeder.native if hasattr(feeder.native, "bus") else None
    first_rows = np.unique(feeder.site, return_index=True)[1]
    levels = Counter(round(float(v), 3) for v in feeder.bus_vn_v[first_rows])
    branches = {
        (name.rpartition(".")[0] if not feeder.balanced else name, kind) for name, kind in _kinds(feeder)
    }
    return FeederDescription(
        name=feeder.name,
        source=feeder.source,
        balanced=feeder.balanced,
        places=len(first_rows),
        bus_rows=feeder.n_bus,
        voltage_levels=tuple(sorted(levels.items(), reverse=True)),
        lines=sum(kind == "line" for _, kind in branches),
        transformers=sum(kind == "trafo" for _, kind in branches),
        points=len(feeder.points),
        phases=tuple(sorted(Counter(point.phases for point in feeder.points).items())),
        pv_plants=sum(asset.kind == "pv" for asset in feeder.assets),
        batteries=sum(asset.kind == "battery" for asset in feeder.assets),
        rated_load_w=float(sum(point.p_rated_w for point in feeder.points)),
        taps=tuple(_taps(net)),
        limits=tuple(_limits(feeder, net)),
        engines=tuple((name, _ability(feeder, name)) for name in ENGINE_NAMES),
        notes=feeder.notes,
    )


def _kinds(feeder: Feeder) -> list[tuple[str, str]]:
    return list(zip(feeder.branch_names, feeder.branch_kind, strict=True))


def _ability(feeder: Feeder, name: str) -> str:
    try:
        make_engine(feeder, name)
    except GridError as error:
        return str(error)
    return "balanced" if feeder.balanced else "per phase"


def _taps(net: Any) -> list[TapDescription]:
    if net is None:
        return []
    found = []
    for row in net.trafo.itertuples():
        if isinstance(row.tap_changer_type, str) and row.tap_changer_type and np.isfinite(row.tap_pos):
            values = (row.tap_pos, row.tap_min, row.tap_max, row.tap_step_percent)
            name = label(net, "trafo", row.Index)
            found.append(TapDescription(name, str(row.tap_side), *(float(v) for v in values)))
    return found


def _limits(feeder: Feeder, net: Any) -> list[LimitDescription]:
    origin = f"the case ({feeder.source})"
    found = []
    for kind, rated, unit in (("line", feeder.branch_rated_a, "A"), ("trafo", feeder.branch_rated_va, "VA")):
        values = rated[[k == kind for k in feeder.branch_kind]]
        known = values[values > 0]
        if len(values):
            low, high = (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)
            what = f"{kind} rating" + ("" if feeder.balanced or kind == "line" else " per phase")
            found.append(
                LimitDescription(what, low, high, unit, len(known), len(values) - len(known), origin)
            )
    if net is not None and {"min_vm_pu", "max_vm_pu"} <= set(net.bus.columns):
        band = net.bus[["min_vm_pu", "max_vm_pu"]].to_numpy(dtype=np.float64)
        whole = np.isfinite(band).all(axis=1)
        for low, high in sorted({(float(a), float(b)) for a, b in band[whole]}):
            n = int(((band[:, 0] == low) & (band[:, 1] == high)).sum())
            found.append(
                LimitDescription("voltage", low, high, "pu", n, len(band) - int(whole.sum()), origin)
            )
    return found

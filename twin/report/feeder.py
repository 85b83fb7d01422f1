"""The feeder as a drawing: where each bus lies on the page, and how far it is from the transformer."""

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.results import RunResult

FloatArray = npt.NDArray[np.float64]
WIDTH = 1000.0
MARGIN = 40.0


def feeder_payload(run: RunResult) -> dict[str, Any] | None:
    """Buses and branches for the browser, or None where the run kept no feeder.

    Coordinates are fitted into a page 1000 wide, landscape; degrees get metres' proportions first. ``d`` of a
    bus is its distance from the transformer along the feeder, in ``distance_unit``: metres where every line
    states its length, else the number of branches.
    """
    buses, branches = run.table("feeder_buses"), run.table("feeder_branches")
    if not buses.num_rows:
        return None
    names = buses["bus"].to_pylist()
    row = {name: i for i, name in enumerate(names)}
    ends = [
        (row.get(a, -1), row.get(b, -1))
        for a, b in zip(branches["from_bus"].to_pylist(), branches["to_bus"].to_pylist(), strict=True)
    ]
    kinds = ["trafo" if str(k).startswith("tra") else "line" for k in branches["kind"].to_pylist()]
    lengths = _lengths(branches, kinds)
    vn_v = _floats(buses["vn_v"])
    distance, parent = _walk(len(names), ends, [1.0] * len(ends) if lengths is None else lengths, vn_v)
    xy = _placed(buses, ends, kinds, parent, vn_v)
    held = buses["participants"].to_pylist() if "participants" in buses.column_names else [None] * len(names)
    return {
        "buses": [
            {
                "n": name,
                "x": round(x, 1),
                "y": round(y, 1),
                "d": round(d, 1) if np.isfinite(d) else None,
                "p": p or [],
            }
            for name, (x, y), d, p in zip(names, xy.tolist(), distance.tolist(), held, strict=True)
        ],
        "branches": [
            {"n": name, "k": kind, "f": f, "t": t}
            for name, kind, (f, t) in zip(branches["branch"].to_pylist(), kinds, ends, strict=True)
        ],
        "width": WIDTH,
        "height": round(float(xy[:, 1].max()) + MARGIN, 1),
        "distance_unit": "branches" if lengths is None else "m",
    }


def _floats(column: Any) -> FloatArray:
    return np.array([np.nan if v is None else v for v in column.to_pylist()], dtype=np.float64)


def _lengths(branches: Any, kinds: list[str]) -> list[float] | None:
    """Length of every branch in m (transformers 0), or None where a line states none."""
    if "length_m" not in branches.column_names:
        return None
    length = _floats(branches["length_m"])
    is_trafo = np.array([kind == "trafo" for kind in kinds])
    length[is_trafo] = 0.0
    return length.tolist() if len(length) and np.isfinite(length).all() and length.max() > 0 else None


def _walk(
    n: int, ends: list[tuple[int, int]], lengths: list[float], vn_v: FloatArray
) -> tuple[FloatArray, list[int]]:
    """Distance from the highest-voltage buses along the branches, breadth first, and each bus's parent."""
    neighbours: list[list[tuple[int, float]]] = [[] for _ in range(n)]
    for (a, b), length in zip(ends, lengths, strict=True):
        if a >= 0 and b >= 0:
            neighbours[a].append((b, length))
            neighbours[b].append((a, length))
    top = np.nanmax(vn_v) if np.isfinite(vn_v).any() else np.nan
    highest = np.flatnonzero(vn_v == top)
    roots = highest.tolist() if 0 < len(highest) < n else [0]
    distance = np.full(n, np.nan)
    distance[roots] = 0.0
    parent = [-1] * n
    queue = deque(roots)
    while queue:
        bus = queue.popleft()
        for other, length in neighbours[bus]:
            if np.isnan(distance[other]):
                distance[other] = distance[bus] + length
                parent[other] = bus
                queue.append(other)
    return distance, parent


def _placed(
    buses: Any, ends: list[tuple[int, int]], kinds: list[str], parent: list[int], vn_v: FloatArray
) -> FloatArray:
    xy = np.column_stack([_floats(buses["x"]), _floats(buses["y"])])
    if not np.isfinite(xy).all() or np.ptp(xy, axis=0).max() == 0:
        xy = _tree_layout(parent)
    elif np.abs(xy[:, 0]).max() <= 180 and np.abs(xy[:, 1]).max() <= 90 and np.ptp(xy, axis=0).max() < 3:
        xy[:, 0] *= np.cos(np.radians(xy[:, 1].mean()))
    xy[:, 1] *= -1  # a page counts downwards
    if np.ptp(xy[:, 1]) > np.ptp(xy[:, 0]):
        xy = np.column_stack([xy[:, 1], -xy[:, 0]])
    xy = (xy - xy.min(axis=0)) * ((WIDTH - 2 * MARGIN) / (np.ptp(xy[:, 0]) or 1.0))
    _part_transformers(xy, ends, kinds, vn_v)
    xy -= xy.min(axis=0)
    placed: FloatArray = xy * ((WIDTH - 2 * MARGIN) / (xy[:, 0].max() or 1.0)) + MARGIN
    return placed


def _part_transformers(
    xy: FloatArray, ends: list[tuple[int, int]], kinds: list[str], vn_v: FloatArray
) -> None:
    """Draw a transformer where its lower bus is: the upper one often has a coordinate of another drawing."""
    apart = 46.0
    for (a, b), kind in zip(ends, kinds, strict=True):
        if kind != "trafo" or a < 0 or b < 0:
            continue
        high, low = (a, b) if not vn_v[a] < vn_v[b] else (b, a)
        alone = sum(high in pair for pair in ends) == 1
        if not alone and np.hypot(*(xy[a] - xy[b])) >= apart:
            continue
        others = [xy[j if i == low else i] for i, j in ends if low in (i, j) and high not in (i, j)]
        away = xy[low] - np.mean(others, axis=0) if others else np.array([-1.0, 0.0])
        length = np.hypot(*away)
        xy[high] = xy[low] + (away / length if length > 0 else np.array([-1.0, 0.0])) * apart


def _tree_layout(parent: list[int]) -> FloatArray:
    """Depth to the right, leaves in rows: for feeders without coordinates."""
    children: list[list[int]] = [[] for _ in parent]
    roots = [i for i, p in enumerate(parent) if p < 0]
    for i, p in enumerate(parent):
        if p >= 0:
            children[p].append(i)
    xy = np.zeros((len(parent), 2))
    next_row = 0.0
    order: list[int] = []
    stack = [(root, 0) for root in reversed(roots)]
    while stack:
        bus, depth = stack.pop()
        xy[bus, 0] = depth
        order.append(bus)
        stack += [(child, depth + 1) for child in reversed(children[bus])]
    for bus in order:
        if not children[bus]:
            xy[bus, 1] = next_row
            next_row += 0.7
    for bus in reversed(order):
        if children[bus]:
            xy[bus, 1] = np.mean([xy[child, 1] for child in children[bus]])
    return xy

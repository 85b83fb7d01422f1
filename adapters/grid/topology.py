"""Graph helpers over integer buses: joining, what is energised, and a tree layout for drawing."""

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from adapters.grid.feeder import FloatArray


class DisjointSets:
    """Union-find over bus numbers; the smallest number of a set is its first."""

    def __init__(self, items: Iterable[int]) -> None:
        self._parent = {int(item): int(item) for item in items}

    def find(self, item: int) -> int:
        """The representative of the set that ``item`` is in."""
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, a: int, b: int) -> None:
        """Make the sets of ``a`` and ``b`` one."""
        low, high = sorted((self.find(a), self.find(b)))
        self._parent[high] = low

    def groups(self) -> list[list[int]]:
        """All sets, each sorted, in the order of their smallest member."""
        found: dict[int, list[int]] = {}
        for item in sorted(self._parent):
            found.setdefault(self.find(item), []).append(item)
        return list(found.values())


def neighbours(pairs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Adjacency lists, in the order in which the pairs come."""
    adjacent: dict[int, list[int]] = {}
    for a, b in pairs:
        adjacent.setdefault(a, []).append(b)
        adjacent.setdefault(b, []).append(a)
    return adjacent


def energised_buses(
    buses: Iterable[int], pairs: Iterable[tuple[int, int]], sources: Iterable[int]
) -> set[int]:
    """The buses that some source reaches."""
    known = {int(bus) for bus in buses}
    adjacent = neighbours(pairs)
    queue = deque(int(source) for source in sources)
    seen = set(queue)
    while queue:
        for other in adjacent.get(queue.popleft(), []):
            if other in known and other not in seen:
                seen.add(other)
                queue.append(other)
    return seen


def potentials(n: int, steps: Iterable[tuple[int, int, float]], sources: Mapping[int, float]) -> FloatArray:
    """Values (n,): those of the sources, changed by ``step`` along every edge (a, b, step)."""
    adjacent: dict[int, list[tuple[int, float]]] = {}
    for a, b, step in steps:
        adjacent.setdefault(a, []).append((b, step))
        adjacent.setdefault(b, []).append((a, -step))
    values = np.zeros(n)
    queue = deque(sources)
    seen = set(queue)
    for source, value in sources.items():
        values[source] = value
    while queue:
        bus = queue.popleft()
        for other, step in adjacent.get(bus, []):
            if other not in seen:
                seen.add(other)
                values[other] = values[bus] + step
                queue.append(other)
    return values


def tree_layout(n_bus: int, pairs: Iterable[tuple[int, int]], root: int) -> FloatArray:
    """Coordinates (n_bus, 2) of a tidy tree: root on top, leaves side by side, loops cut open.

    Buses that the root does not reach are set beside each other below the tree.
    """
    adjacent = neighbours(pairs)
    depth = {root: 0}
    order: list[int] = []
    children: dict[int, list[int]] = {}
    stack = [root]
    while stack:  # depth first, so that a branch of the tree stays together
        bus = stack.pop()
        order.append(bus)
        children[bus] = []
        for other in adjacent.get(bus, []):
            if other not in depth:
                depth[other] = depth[bus] + 1
                children[bus].append(other)
        stack.extend(reversed(children[bus]))
    xy = np.full((n_bus, 2), np.nan)
    next_leaf = 0
    for bus in order:
        if not children[bus]:
            xy[bus] = (next_leaf, -depth[bus])
            next_leaf += 1
    for bus in reversed(order):
        if children[bus]:
            xy[bus] = (np.mean([xy[child, 0] for child in children[bus]]), -depth[bus])
    for lost in np.flatnonzero(np.isnan(xy[:, 0])):
        xy[lost] = (next_leaf, -max(depth.values()) - 1)
        next_leaf += 1
    return xy

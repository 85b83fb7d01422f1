"""A radial street solved with the linear DistFlow equations, and a winter day on it."""

import numpy as np


class Street:
    """Arms of buses behind one transformer; bus 0 is the medium-voltage side, bus 1 the bus bar."""

    def __init__(self, arms=4, depth=10, name="LV1 Bus {}"):
        self.n_bus = 2 + arms * depth
        self.bus = ["MV1 Bus 1", *(name.format(i) for i in range(1, self.n_bus))]
        self.parent = [-1, 0] + [1 if i % depth == 0 else i + 1 for i in range(arms * depth)]
        self.branch = ["MV1-LV1-Trafo 1", *(f"LV1 Line {i}" for i in range(1, self.n_bus - 1))]
        self.kind = ["trafo", *["line"] * (self.n_bus - 2)]
        self.xy = np.zeros((self.n_bus, 2))
        for i in range(2, self.n_bus):
            arm, k = divmod(i - 2, depth)
            angle = 0.6 * arm + 0.12 * np.sin(k)
            self.xy[i] = 0.0008 * (k + 1) * np.array([np.cos(angle), np.sin(angle)])
        self.xy += [11.41, 53.64]
        self.point = [f"LV1 Load {i}" for i in range(1, self.n_bus - 1)]
        # below[b, j]: house j (at bus j + 2) is fed through branch b (which ends at bus b + 1)
        self.below = np.zeros((self.n_bus - 1, self.n_bus - 2), dtype=bool)
        for j in range(self.n_bus - 2):
            bus = j + 2
            while bus > 0:
                self.below[bus - 1, j] = True
                bus = self.parent[bus]

    def solve(self, p_gen_w):
        """Voltage (k, bus) and loading (k, branch) for powers (k, house): linear, lossless."""
        flow_w = p_gen_w @ self.below.T
        drop = np.full(self.n_bus - 1, 0.028 / 400**2)
        drop[0] = 0.008 / 400**2
        v = np.ones((len(p_gen_w), self.n_bus)) * 1.02
        for branch in np.argsort([self._depth(b + 1) for b in range(self.n_bus - 1)]):
            v[:, branch + 1] = v[:, self.parent[branch + 1]] + flow_w[:, branch] * drop[branch]
        rated = np.full(self.n_bus - 1, 60e3)
        rated[0] = 160e3
        return v, 100 * np.abs(flow_w) / rated

    def _depth(self, bus):
        return 0 if self.parent[bus] < 0 else 1 + self._depth(self.parent[bus])


def powers(street, n, variant, seed):
    """Load, PV, battery and EV powers (n, houses), all >= 0 but the battery (+ discharge)."""
    rng = np.random.default_rng(seed)
    houses = len(street.point)
    hour = (12 + np.arange(n)[:, None] / 4) % 24
    evening = np.exp(-(((hour - 19) / 2.2) ** 2))
    load = (350 + 900 * evening) * rng.uniform(0.5, 1.6, houses) * rng.uniform(0.8, 1.2, (n, houses))
    pv = np.clip(np.cos((hour - 12.5) / 4.2 * np.pi / 2), 0, None) * np.where(
        np.arange(houses) % 7 == 3, 2500, 0
    )
    ev = np.where((hour > 17.5) & (hour < 21.5), 1.0, 0.0) * np.where(np.arange(houses) % 4 == 3, 11e3, 0)
    battery = np.zeros((n, houses))
    if variant != "supplier":
        battery = np.where((hour > 17.25) & (hour < 21), 1.0, 0) * np.where(
            np.arange(houses) % 5 == 1, 6e3, 0
        )
    if variant == "gated":
        ev = ev * 0.7
    return load, pv * np.ones((n, houses)), battery, ev

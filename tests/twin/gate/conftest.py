"""A small exact engine of the tests' own, the independent oracle: a sweep on radial feeders."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from adapters.grid.engine import GridState
from adapters.grid.feeder import ConnectionPoint, Feeder
from market.orders import POOL, empty_fills
from twin.gate.gate import GateProblem
from twin.gate.limits import Limits
from twin.scenario.limits_section import LimitsSection

S_BASE = 1e5
VN = 400.0
Z_BASE = VN**2 / S_BASE
I_BASE = S_BASE / (np.sqrt(3) * VN)


@dataclass
class SweepEngine:
    """Backward/forward sweep in pu. Branch b ends at bus b + 1; its parent bus is ``branch_from[b]``."""

    feeder: Feeder
    z_pu: np.ndarray
    name: str = "sweep"
    calls: list = field(default_factory=list)
    slack_pu: float = 1.0

    def solve(self, p_gen_w, q_gen_var):
        p, q = np.asarray(p_gen_w, float), np.asarray(q_gen_var, float)
        assert p.shape == q.shape and p.ndim == 2 and np.isfinite(p).all() and np.isfinite(q).all()
        k, f = len(p), self.feeder
        self.calls.append(k)
        s = np.zeros((k, f.n_bus), complex)
        for j, point in enumerate(f.points):
            s[:, point.bus] += (p[:, j] + 1j * q[:, j]) / S_BASE
        v = np.full((k, f.n_bus), self.slack_pu, complex)
        change = np.full(k, np.inf)
        with np.errstate(all="ignore"):
            for _ in range(200):
                i = np.zeros((k, f.n_branch), complex)
                drawn = -np.conj(s / v)
                for b in range(f.n_branch - 1, -1, -1):
                    to, frm = f.branch_to[b], f.branch_from[b]
                    i[:, b] += drawn[:, to]
                    if frm > 0:
                        i[:, frm - 1] += i[:, b]
                old = v.copy()
                for b in range(f.n_branch):
                    v[:, f.branch_to[b]] = v[:, f.branch_from[b]] - self.z_pu[b] * i[:, b]
                change = np.abs(v - old).max(axis=1)
                if not (change > 1e-13).any():
                    break
        bad = ~(change < 1e-9) | (np.abs(v).min(axis=1) < 0.4)
        s_from = v[:, f.branch_from] * np.conj(i) * S_BASE
        loss = (np.abs(i) ** 2 * self.z_pu.real).sum(axis=1) * S_BASE
        out = np.concatenate((np.abs(v), 100 * np.abs(i) * I_BASE / f.branch_rated_a, s_from.real), axis=1)
        out[bad] = np.nan
        a, b2 = f.n_bus, f.n_bus + f.n_branch
        root = (f.branch_from == 0) @ s_from.T
        root = np.where(bad, np.nan, root)
        return GridState(
            out[:, :a], out[:, a:b2], out[:, b2:], root.real, root.imag, np.where(bad, np.nan, loss), ~bad
        )


def _feeder(parents, r_ohm, rated_a, points_at):
    n = len(parents) + 1
    buses = tuple(f"bus {i}" for i in range(n))
    points = tuple(ConnectionPoint(f"house {j}", int(b)) for j, b in enumerate(points_at))
    return Feeder(
        name="test",
        source="test",
        bus_names=buses,
        bus_vn_v=np.full(n, VN),
        slack_bus=0,
        branch_names=tuple(f"line {i}" for i in range(n - 1)),
        branch_kind=("line",) * (n - 1),
        branch_from=np.asarray(parents, dtype=np.int64),
        branch_to=np.arange(1, n, dtype=np.int64),
        branch_rated_a=np.broadcast_to(np.asarray(rated_a, float), n - 1).copy(),
        branch_rated_va=np.full(n - 1, np.nan),
        points=points,
        assets=(),
        xy=np.zeros((n, 2)),
        native=None,
    )


@pytest.fixture
def sweep():
    """Factory of a sweep engine; the default is a street of five houses."""

    def make(parents=(0, 1, 2, 3, 4), r_ohm=0.05, x_ohm=0.015, rated_a=200.0, points_at=None):
        points_at = range(1, len(parents) + 1) if points_at is None else points_at
        feeder = _feeder(parents, r_ohm, rated_a, points_at)
        z = np.broadcast_to((np.asarray(r_ohm) + 1j * np.asarray(x_ohm)) / Z_BASE, len(parents)).copy()
        return SweepEngine(feeder, z)

    return make


@pytest.fixture
def band():
    """Factory of limits on a feeder: ``band(feeder, low, high, loading)``, further limits by their keys."""

    def make(feeder, low=0.95, high=1.05, loading=100.0, **more):
        section = LimitsSection.model_construct(
            voltage_min_pu=low,
            voltage_max_pu=high,
            line_loading_percent=loading,
            transformer_loading_percent=loading,
            **more,
        )
        return Limits.from_section(feeder, section)

    return make


@pytest.fixture
def book():
    """Factory of fills from rows (participant, side, energy_wh, counterparty, flexible, price, limit)."""

    def make(*rows):
        fills = empty_fills(len(rows))
        for i, row in enumerate(rows):
            who, side, energy, party, flexible, price, limit = (
                *row,
                *(POOL, True, 0, 0)[len(row) - 3 :],
            )
            fills[i] = (i, who, side, 0, flexible, party, energy, price, limit, 0)
        return fills

    return make


@pytest.fixture
def problem():
    """Factory of a gate problem: ``problem(engine, fills, p_base_w)``; participant i is at point i."""

    def make(engine, fills, p_base_w=0.0, q_base_var=0.0, interval_s=900):
        n = len(engine.feeder.points)
        return GateProblem(
            p_base_w=np.broadcast_to(np.asarray(p_base_w, float), n).copy(),
            q_base_var=np.broadcast_to(np.asarray(q_base_var, float), n).copy(),
            point_of=np.arange(n),
            fills=fills,
            interval_s=interval_s,
        )

    return make

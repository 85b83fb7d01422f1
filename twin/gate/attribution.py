"""Who is behind a change: Aumann-Shapley shares along the straight path from baseline to traded state.

The share of point j is the integral over tau in [0, 1] of dF/ds_j times its change of power s_j (Aumann and
Shapley 1974): shares add up to the change, relief is negative, and the order of trades does not matter.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from adapters.grid.engine import Engine, GridState
from adapters.grid.feeder import FloatArray, IntArray
from adapters.grid.thevenin import Thevenin
from twin.gate.errors import GateInputError
from twin.gate.kinds import place_of
from twin.gate.seen import Element, SeenPath

SCAN = 33
"""Points on the path where kinks and crossings of the limit are looked for."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(3)
MAX_DEPTH = 8
REACH = 100.0
"""A step of 0.005 is then at most half of a point's own change."""
STUCK = 0.9
"""Halving that leaves more than this of what is missing, twice, has met the solver's last digits and not a kink."""
CHUNK = 4096


def value_of(element: Element, state: GridState, start_v_pu: float = float("nan")) -> FloatArray:
    """An element's value in the adverse direction, (k,); a rise is one over ``start_v_pu``."""
    kind, row = element.kind, element.row
    if kind in ("voltage_min", "voltage_max"):
        return (-1.0 if kind == "voltage_min" else 1.0) * state.v_pu[:, row]
    if kind == "voltage_rise":
        return 100 * (state.v_pu[:, row] / start_v_pu - 1)
    if kind == "voltage_unbalance" and state.unbalance_percent is not None:
        return state.unbalance_percent[:, row]
    if place_of(kind) == "head":
        return {
            "reverse_power": -state.p_slack_w,
            "feeder_cap": np.abs(state.p_slack_w),
            "feeder_cap_apparent": np.hypot(state.p_slack_w, state.q_slack_var),
        }[kind]
    return state.loading_percent[:, row]


@dataclass(frozen=True)
class Shares:
    """Shares per connection point, in the unit of the limit (pu or percent), positive towards the limit.

    ``change`` = traded value less baseline, turned so that positive is adverse (for ``voltage_min`` a drop).
    ``excess``: what trades added beyond the limit; its shares are integrated where the path is beyond it.
    ``residual`` and ``residual_of_excess``: the totals less the sums of their shares. Everything is NaN if a
    power flow on the path has no solution. ``solves``: power flows that the engine was asked for.
    """

    change_p_w: FloatArray
    share_of_change: FloatArray
    share_of_excess: FloatArray
    change: float
    excess: float
    residual: float
    residual_of_excess: float
    solves: int


@dataclass
class _Path:
    """The value of one element along the path, adverse direction positive."""

    engine: Engine
    element: Element
    start: FloatArray  # (2, n): P and Q
    change: FloatArray  # (2, n)
    tolerance: float
    solves: int = 0
    active: IntArray = field(init=False)
    start_v_pu: float = float("nan")

    def __post_init__(self) -> None:
        self.active = np.flatnonzero((self.change != 0).any(axis=0))
        if self.element.kind == "voltage_rise":
            self.start_v_pu = float(self.states(self.start[None]).v_pu[0, self.element.row])

    def states(self, power: FloatArray) -> GridState:
        """Solve (k, 2, n)."""
        self.solves += len(power)
        return self.engine.solve(np.ascontiguousarray(power[:, 0]), np.ascontiguousarray(power[:, 1]))

    def at(self, tau: FloatArray) -> FloatArray:
        """Power at points of the path, (k, 2, n)."""
        return self.start + tau[:, None, None] * self.change

    def value(self, state: GridState) -> FloatArray:
        """The element's value in the adverse direction, (k,)."""
        return value_of(self.element, state, self.start_v_pu)

    def events(self, tau: FloatArray) -> FloatArray:
        """Functions of tau whose zeros are kinks, (k, 2): distance to the limit, power through branch or head."""
        state = self.states(self.at(tau))
        value = self.value(state)
        limit = -self.element.limit if self.element.kind == "voltage_min" else self.element.limit
        branch = self.element.kind in ("line_loading", "transformer_loading")
        flow = state.p_branch_w[:, self.element.row] if branch else np.ones_like(value)
        if place_of(self.element.kind) == "head":
            flow = state.p_slack_w
        return np.stack((value - limit, flow), axis=1)

    def slopes(self, tau: FloatArray, length: FloatArray) -> FloatArray:
        """Partial derivative along each active point's own change, (k, n_active), by central differences.

        The step is the same for all points in VA, as far as that is at most ``REACH`` of a point's own steps (a
        plant's megawatts would bend the voltage of a house), and at most a twentieth of the segment that a node
        belongs to (``length``, (k,)), so that it does not reach across a kink at the segment's end.
        """
        size = np.hypot(*self.change[:, self.active])
        n = len(self.active)
        step = np.minimum(0.005, 0.05 * length)[:, None] * np.minimum(size.max() / size, REACH)
        out = np.empty((len(tau), n))
        shift = np.zeros((2 * n, 2, self.start.shape[1]))
        j = np.arange(n)
        shift[j, :, self.active] = self.change[:, self.active].T
        shift[n + j, :, self.active] = -self.change[:, self.active].T
        per = max(1, CHUNK // (2 * n))
        for first in range(0, len(tau), per):
            part = slice(first, first + per)
            nodes, far = self.at(tau[part]), np.tile(step[part], 2)
            power = (nodes[:, None] + shift[None] * far[:, :, None, None]).reshape(-1, *self.start.shape)
            value = self.value(self.states(power)).reshape(len(nodes), 2, n)
            out[part] = (value[:, 0] - value[:, 1]) / (2 * step[part])
        return out


def equivalent_of(engine: Engine) -> Thevenin | None:
    """The feeder as its connection points see it, where the engine has it; measured when it is first asked for."""
    found: Thevenin | None = getattr(engine, "thevenin", None)
    return found


def attribute(
    engine: Engine,
    p_base_w: FloatArray,
    q_base_var: FloatArray,
    p_traded_w: FloatArray,
    q_traded_var: FloatArray,
    element: Element,
    tolerance: float = 1e-5,
) -> Shares:
    """Attribute the change of one element to the connection points.

    Where the engine has the feeder's Thevenin equivalent, shares are integrated in that, by exact derivatives; the
    change and the excess that they are held against are the engine's own. If they miss those, or the engine has no
    equivalent, derivatives are differences of the engine's power flows.

    Args:
        engine: the model in which the change is explained; taps stay where they are.
        p_base_w, q_base_var, p_traded_w, q_traded_var: (n_points,), positive into the grid.
        element: what to explain; ``element.limit`` is where the excess begins.
        tolerance: residual allowed per segment, relative to the largest change on the path.

    Raises ``GateInputError`` for the kind ``no_solution``: there is no number to attribute.
    """
    if element.kind == "no_solution":
        raise GateInputError("a power flow without solution has no value that could be attributed")
    start = np.stack((p_base_w, q_base_var)).astype(np.float64)
    change = np.stack((p_traded_w, q_traded_var)) - start
    path = _Path(engine, element, start, change, tolerance)
    equivalent = equivalent_of(engine) if len(path.active) else None
    if equivalent is not None:
        found = _checked(_shares(SeenPath(equivalent, element, start, change, tolerance)), path)
        if found is not None:
            return found
    return _shares(path)


def _checked(found: Shares, path: _Path) -> Shares | None:
    """Shares from the equivalent with the engine's own change and residual; None where these do not fit."""
    ends = path.events(np.array([0.0, 1.0]))[:, 0]
    total, excess = float(ends[1] - ends[0]), float(np.diff(np.maximum(ends, 0.0))[0])
    size = max(abs(total), float(np.abs(found.share_of_change).sum()), 1e-6)
    residual = total - float(found.share_of_change.sum())
    of_excess = excess - float(found.share_of_excess.sum())
    if not max(abs(residual), abs(of_excess)) <= 10 * path.tolerance * size:
        return None
    return replace(
        found,
        change=total,
        excess=excess,
        residual=residual,
        residual_of_excess=of_excess,
        solves=path.solves,
    )


def _shares(path: _Path | SeenPath) -> Shares:
    change, n = path.change[0], path.start.shape[1]
    of_change, of_excess = np.zeros(n), np.zeros(n)
    if not len(path.active):
        return Shares(change, of_change, of_excess, 0.0, 0.0, 0.0, 0.0, 0)
    scan = np.linspace(0.0, 1.0, SCAN)
    events = path.events(scan)
    beyond = np.maximum(events[[0, -1], 0], 0.0)
    total, excess = float(events[-1, 0] - events[0, 0]), float(beyond[1] - beyond[0])
    if np.isnan(events).any():
        nan = np.full(n, np.nan)
        return Shares(change, nan, nan, total, excess, np.nan, np.nan, path.solves)
    edges = np.concatenate(([0.0], _zeros(path, scan, events), [1.0]))
    of_change[path.active], of_excess[path.active] = _integrate(path, edges, float(np.ptp(events[:, 0])))
    return Shares(
        change_p_w=change,
        share_of_change=of_change,
        share_of_excess=of_excess,
        change=total,
        excess=excess,
        residual=total - float(of_change.sum()),
        residual_of_excess=excess - float(of_excess.sum()),
        solves=path.solves,
    )


def _zeros(path: _Path | SeenPath, scan: FloatArray, events: FloatArray) -> FloatArray:
    """Where the limit is crossed and where the flow reverses, found to 1e-7 of the path."""
    row, column = np.nonzero(np.signbit(events[:-1]) != np.signbit(events[1:]))
    if not len(row):
        return np.empty(0)
    low, high = scan[row], scan[row + 1]
    for _ in range(5):
        inner = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 18)
        value = path.events(inner.ravel()).reshape(*inner.shape, 2)
        value = np.take_along_axis(value, column[:, None, None], axis=2)[:, :, 0]
        first = np.argmax(np.signbit(value[:, 1:]) != np.signbit(value[:, :1]), axis=1)
        each = np.arange(len(row))
        low, high = inner[each, first], inner[each, first + 1]
    return np.unique((low + high) / 2)


def _integrate(path: _Path | SeenPath, edges: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
    """Gauss-Legendre on each segment, halved while a segment's shares miss its change; (n_active,) each."""
    of_change, of_excess = np.zeros(len(path.active)), np.zeros(len(path.active))
    low, high = edges[:-1], edges[1:]
    left, stuck = np.inf, 0
    for depth in range(MAX_DEPTH):
        ends = path.events(np.concatenate((low, high)))[:, 0].reshape(2, -1)
        half = (high - low) / 2
        tau = (low + half)[:, None] + half[:, None] * NODES
        parts = path.slopes(tau.ravel(), np.repeat(2 * half, len(NODES))).reshape(*tau.shape, -1)
        shares = np.einsum("g,sgn->sn", WEIGHTS, parts) * half[:, None]
        missing = np.abs(ends[1] - ends[0] - shares.sum(axis=1))
        stuck, left = (stuck + 1 if missing.sum() > STUCK * left else 0), float(missing.sum())
        last = depth == MAX_DEPTH - 1 or stuck == 2
        done = (missing <= path.tolerance * max(scale, 1e-6)) | last
        of_change += shares[done].sum(axis=0)
        of_excess += shares[done & (ends.mean(axis=0) > 0)].sum(axis=0)
        if done.all():
            break
        low, high = low[~done], high[~done]
        middle = (low + high) / 2
        low, high = np.concatenate((low, middle)), np.concatenate((middle, high))
    return of_change, of_excess

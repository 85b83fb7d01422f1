"""Fills as units that can only be cut as a whole: a pool row, an upstream row, both sides of a contract."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from adapters.grid.engine import BoolArray
from adapters.grid.feeder import FloatArray, IntArray
from market.orders import BUY, POOL, SELL, Fills
from twin.gate.errors import GateInputError

VALUE_FLOOR_MICRO_PER_KWH = 1000
"""Least weight of a traded kWh: an order at the margin has no surplus, yet is not to be cut without need."""

WattHours = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """The fills of one interval as m rows in n units.

    ``row_unit`` (m,) maps a row to its unit; ``energy_wh`` (n,) is the cleared energy; ``effect_w_per_wh``
    (n_points, n) is what one Wh of the unit changes at the connection points, ``by_participant`` (n_active, n)
    the same per participant that moves power, whose points are ``place`` (n_active,). ``pool_sign`` is +1 for a
    sale to the pool, -1 for a purchase from it, 0 otherwise; ``weight`` (n,) is the value of one kWh in
    millionths of the currency: the surplus of limit over price, at least ``VALUE_FLOOR_MICRO_PER_KWH``.
    Units are in the order of their first order id, which is also the order in which ties are kept.
    """

    row_unit: IntArray
    energy_wh: WattHours
    effect_w_per_wh: FloatArray
    by_participant: FloatArray
    place: IntArray
    pool_sign: IntArray
    weight: FloatArray

    @property
    def moves(self) -> BoolArray:
        """Units whose acceptance changes power somewhere."""
        moving: BoolArray = (self.by_participant != 0).any(axis=0)
        return moving

    def power_w(self, accepted_wh: npt.NDArray[np.number]) -> FloatArray:
        """Change of power at the connection points, for (n,) or (k, n) accepted energies."""
        accepted = np.asarray(accepted_wh, dtype=np.float64)
        out = np.zeros((*accepted.shape[:-1], len(self.effect_w_per_wh)))
        point, unit, start = self._by_point
        if len(start):
            parts = accepted[..., unit] * self.effect_w_per_wh[point, unit]
            out[..., point[start]] = np.add.reduceat(parts, start, axis=-1)
        return out

    def per_wh(self, per_w: FloatArray) -> FloatArray:
        """What one Wh of each unit does, (k, n), from what one W at each point does, (k, n_points)."""
        out = np.zeros((len(per_w), len(self.energy_wh)))
        point, unit, start = self._by_unit
        if len(start):
            parts = per_w[:, point] * self.effect_w_per_wh[point, unit]
            out[:, unit[start]] = np.add.reduceat(parts, start, axis=1)
        return out

    # A unit touches one point or two. Sums over these instead of matrix products: a threaded BLAS waits for
    # cores that others use, and made a cut several times slower.
    @cached_property
    def _by_point(self) -> tuple[IntArray, IntArray, IntArray]:
        point, unit = np.nonzero(self.effect_w_per_wh)
        return point, unit, np.flatnonzero(np.diff(point, prepend=-1))

    @cached_property
    def _by_unit(self) -> tuple[IntArray, IntArray, IntArray]:
        unit, point = np.nonzero(self.effect_w_per_wh.T)
        return point, unit, np.flatnonzero(np.diff(unit, prepend=-1))

    def change_w(self, accepted_wh: npt.NDArray[np.number]) -> FloatArray:
        """Change of power of each participant that moves any, for (n,) accepted energies."""
        return self.by_participant @ np.asarray(accepted_wh, dtype=np.float64)

    def rows(self, accepted_wh: WattHours) -> WattHours:
        """Accepted energy per fill row."""
        return accepted_wh[self.row_unit]

    def balanced(self, wanted_wh: npt.NDArray[np.number]) -> WattHours:
        """Whole Wh, rounded down, with pool sales equal to pool purchases.

        What the longer side has too much is taken first from units that move no power, then from those that
        do; among equals from the least valuable, then from the latest order.
        """
        # 1e-6 Wh: a fraction that an LP returns as 0.9999999999 of a whole order is that whole order.
        whole = np.minimum(np.floor(np.asarray(wanted_wh, dtype=np.float64) + 1e-6), self.energy_wh)
        accepted: WattHours = np.maximum(whole, 0).astype(np.int64)
        surplus = int((accepted * self.pool_sign).sum())
        if surplus == 0:
            return accepted
        side = np.flatnonzero(self.pool_sign == (SELL if surplus > 0 else BUY))
        order = side[np.lexsort((-side, self.weight[side], self.moves[side]))]
        kept = accepted[order]
        taken = np.clip(abs(surplus) - (np.cumsum(kept) - kept), 0, kept)
        accepted[order] = kept - taken
        return accepted


def make_units(fills: Fills, point_of: IntArray, n_points: int, interval_s: int) -> Units:
    """Group fills into units.

    Raises ``GateInputError`` if the pool does not balance or a bilateral row lacks its other side.
    """
    if int(fills["energy_wh"].min(initial=0)) < 0:
        raise GateInputError("a fill has negative energy; the side carries the sign")
    side = fills["side"].astype(np.int64)
    pool = fills["counterparty"] == POOL
    surplus = int((fills["energy_wh"] * side)[pool].sum())
    if surplus:
        raise GateInputError(f"pool sales exceed pool purchases by {surplus} Wh; a clearing must balance")
    row_unit = _pair_up(fills)
    n = int(row_unit.max(initial=-1)) + 1
    energy = np.zeros(n, dtype=np.int64)
    energy[row_unit] = fills["energy_wh"]
    sign = np.zeros(n, dtype=np.int64)
    sign[row_unit[pool]] = side[pool]
    flexible = fills["flexible"]
    who, row = np.unique(fills["participant"][flexible], return_inverse=True)
    own = np.zeros((len(who), n))
    np.add.at(own, (row, row_unit[flexible]), side[flexible] * (3600.0 / interval_s))
    place = point_of[who]
    effect = np.zeros((n_points, n))
    np.add.at(effect, place, own)
    weight = np.zeros(n)
    np.add.at(weight, row_unit, value_micro_per_kwh(fills))
    return Units(row_unit, energy, effect, own, place, sign, weight)


def value_micro_per_kwh(fills: Fills) -> IntArray:
    """What one kWh of each fill is worth, (m,): the surplus of limit over price, and never below the floor."""
    side = fills["side"].astype(np.int64)
    surplus: IntArray = (fills["price_micro_per_kwh"] - fills["limit_micro_per_kwh"]) * side
    return np.maximum(surplus, VALUE_FLOOR_MICRO_PER_KWH)


def power_of(
    fills: Fills, accepted_wh: WattHours, point_of: IntArray, n_points: int, interval_s: int
) -> FloatArray:
    """Change of power at the connection points, (n_points,), if ``accepted_wh`` of the fills is delivered."""
    moved = np.where(fills["flexible"], accepted_wh * fills["side"], 0) * (3600.0 / interval_s)
    points = point_of[fills["participant"]]
    return np.bincount(points, weights=moved, minlength=n_points).astype(np.float64, copy=False)


def _pair_up(fills: Fills) -> IntArray:
    """Unit of each row: its own, or the same for the two sides of a bilateral trade."""
    m = len(fills)
    first = np.arange(m)
    bilateral = fills["counterparty"] >= 0
    if bilateral.any():
        sell = np.flatnonzero(bilateral & (fills["side"] == SELL))
        buy = np.flatnonzero(bilateral & (fills["side"] == BUY))
        sell, keys_s = _sorted(fills, sell, "participant", "counterparty")
        buy, keys_b = _sorted(fills, buy, "counterparty", "participant")
        if keys_s.shape != keys_b.shape or (keys_s != keys_b).any():
            raise GateInputError(
                "a bilateral fill lacks its other side (same pair, same energy, opposite side)"
            )
        first[np.maximum(sell, buy)] = np.minimum(sell, buy)
    # Order of units: the smallest order id among the rows of the unit, then the row itself.
    ids = np.full(m, np.iinfo(np.int64).max)
    np.minimum.at(ids, first, fills["order_id"])
    heads = np.unique(first)
    rank = np.empty(m, dtype=np.int64)
    rank[heads[np.lexsort((heads, ids[heads]))]] = np.arange(len(heads))
    unit: IntArray = rank[first]
    return unit


def _sorted(fills: Fills, rows: IntArray, seller: str, buyer: str) -> tuple[IntArray, IntArray]:
    keys = np.stack([fills[name][rows].astype(np.int64) for name in (seller, buyer, "energy_wh")])
    order = np.lexsort(keys[::-1])
    return rows[order], keys[:, order]

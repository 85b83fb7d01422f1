"""The yardstick: what one planner with all orders, the supplier and the feeder's limits would do."""

from dataclasses import dataclass, field

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray, IntArray
from market.mechanism import Tariff
from market.orders import BUY, POOL, SELL, SUPPLIER, Fills, Orders, empty_fills
from twin.gate.bisection import bisect
from twin.gate.cutting import start_of
from twin.gate.limits import Limits
from twin.gate.maximal import maximal
from twin.gate.program import ProgramError
from twin.gate.sequential import settle
from twin.gate.trial import Trial
from twin.gate.units import Units, WattHours, make_units


@dataclass(frozen=True)
class Central:
    """The central schedule of one interval; it has passed the power flow.

    ``accepted_wh`` (n_orders,), energy bought from and sold to the upstream grid, and the welfare in
    millionths. ``solved`` is False, and everything zero, where the baseline has no solution; ``optimal`` is
    False where bisection had to finish what the linear programme did not. ``duals``: entry of ``Limits.bounds`` to
    shadow price (millionths per unit of the limit); empty where nothing bound or the programme did not decide.
    """

    accepted_wh: WattHours
    import_wh: int
    export_wh: int
    welfare_micro: float
    solves: int
    solved: bool = True
    optimal: bool = True
    duals: dict[int, float] = field(default_factory=dict)


def central(
    engine: Engine,
    limits: Limits,
    p_base_w: FloatArray,
    q_base_var: FloatArray,
    point_of: IntArray,
    orders: Orders,
    tariff: Tariff,
    interval_s: int,
) -> Central:
    """Maximise welfare over the orders of one interval within the limits (margins already taken off).

    Welfare is what buyers would pay at most, less what sellers ask at least, less the retail price of what is
    imported, plus the feed-in price of what is exported; nothing traded is worth 0.
    """
    nothing = np.zeros(len(orders), dtype=np.int64)
    base = engine.solve(p_base_w[None], q_base_var[None])
    if not base.converged[0]:
        return Central(nothing, 0, 0, 0.0, 1, solved=False)
    units = _units(orders, point_of, len(p_base_w), tariff, interval_s)
    held = limits.no_worse_than(base, 0, 1e-7)
    trial = Trial(engine, held, p_base_w, q_base_var, units, solves=1)
    accepted, duals = _schedule(trial)
    rows = accepted[units.row_unit]
    return Central(
        accepted_wh=rows[:-2],
        import_wh=int(rows[-2]),
        export_wh=int(rows[-1]),
        welfare_micro=float(units.weight @ accepted) / 1000,
        solves=trial.solves,
        optimal=duals is not None,
        duals=duals or {},
    )


def _schedule(trial: Trial) -> tuple[WattHours, dict[int, float] | None]:
    """The schedule and its duals; None where bisection decided."""
    try:
        settled = settle(trial, "value", *start_of(trial))
    except ProgramError:
        return _worth_something(trial, bisect(trial, trial.units.energy_wh)[0]), None
    if settled.feasible:
        return maximal(trial, settled.accepted_wh, settled.sensitivity), settled.price
    return _worth_something(trial, bisect(trial, settled.accepted_wh)[0]), None


def _worth_something(trial: Trial, accepted: WattHours) -> WattHours:
    """Scaling knows no values: rather nothing than a loss."""
    return accepted if float(trial.units.weight @ accepted) > 0 else np.zeros_like(accepted)


def _units(orders: Orders, point_of: IntArray, n_points: int, tariff: Tariff, interval_s: int) -> Units:
    """Orders and two upstream rows, one selling at retail and one buying at feed-in, in one pool."""
    m = len(orders)
    fills = empty_fills(m + 2)
    for name in ("participant", "side", "flexible", "energy_wh"):
        fills[name][:m] = orders[name]
    fills["order_id"][:m] = orders["id"]
    fills["order_id"][m:] = np.iinfo(np.int64).max
    fills["side"][m:] = (SELL, BUY)
    fills["counterparty"] = POOL
    signed = orders["energy_wh"] * orders["side"]
    bought, sold = int(-signed[signed < 0].sum()), int(signed[signed > 0].sum())
    # As cleared, the pool balances: the upstream rows take all of both sides.
    fills["energy_wh"][m:] = (bought, sold)
    units = make_units(fills, point_of, n_points, interval_s)
    weight = np.append(-orders["side"] * orders["price_micro_per_kwh"], (0, 0)).astype(np.float64)
    weight[m:] = (-tariff.retail_micro_per_kwh, tariff.feed_in_micro_per_kwh)
    by_unit = np.empty(m + 2)
    by_unit[units.row_unit] = weight
    return Units(
        units.row_unit,
        units.energy_wh,
        units.effect_w_per_wh,
        units.by_participant,
        units.place,
        units.pool_sign,
        by_unit,
    )


def welfare_micro(fills: Fills, accepted_wh: WattHours) -> float:
    """Welfare of accepted fills, comparable with ``Central.welfare_micro``: upstream rows at their own price."""
    value = -fills["side"] * fills["limit_micro_per_kwh"].astype(np.float64)
    upstream = fills["counterparty"] == SUPPLIER
    value = value + np.where(upstream, fills["side"] * fills["price_micro_per_kwh"], 0)
    return float(value @ accepted_wh) / 1000

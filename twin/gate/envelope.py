"""Dynamic operating envelopes: how far each connection point may depart from its baseline, whatever others do."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray
from market.orders import BUY, SELL, SUPPLIER, empty_fills
from twin.gate.cutting import cut
from twin.gate.limits import Limits
from twin.gate.trial import Trial
from twin.gate.units import Units, WattHours, make_units

Allocation = Literal["proportional", "maximum", "equal"]

STEPS = 64
ROUNDS = 3
MIXED_ROUNDS = 10


@dataclass(frozen=True)
class Envelope:
    """Caps on the change of power from the baseline, in whole W, (n_points,) each and >= 0.

    ``export_w`` is how much more a point may put into the grid, ``import_w`` how much more it may draw, in any
    combination with the others. ``binding_export`` and ``binding_import`` name the limit that stopped them,
    None if nothing did. ``solved`` is False, and all caps zero, where the baseline has no solution.
    """

    export_w: WattHours
    import_w: WattHours
    binding_export: str | None
    binding_import: str | None
    solves: int
    solved: bool = True


def envelope(
    engine: Engine,
    limits: Limits,
    p_base_w: FloatArray,
    q_base_var: FloatArray,
    export_max_w: FloatArray,
    import_max_w: FloatArray,
    allocation: Allocation = "proportional",
) -> Envelope:
    """Envelopes around a baseline.

    Args:
        engine, limits: the operator's model, and the limits with any margin already taken off.
        p_base_w, q_base_var: forecast at the connection points, positive into the grid.
        export_max_w, import_max_w: (n_points,) what each could change at most, >= 0.
        allocation: ``proportional`` gives all the same share of their maximum, ``equal`` the same power, as
            far as they can use it, ``maximum`` the greatest sum, whoever gets it.

    On a radial feeder, where power anywhere raises every voltage, the worst that can happen is that all export
    or all import; these two are what the caps are made from. Every other corner that the derivatives find
    worst for some limit is then put to the power flow as well, and both caps are reduced together until these
    pass too.
    """
    base = engine.solve(p_base_w[None], q_base_var[None])
    nothing = np.zeros(len(p_base_w), dtype=np.int64)
    if not base.converged[0]:
        return Envelope(nothing, nothing, None, None, 1, solved=False)
    held = limits.no_worse_than(base, 0, 1e-7)
    caps, binding, solves = [], [], 1
    for side, most in ((SELL, export_max_w), (BUY, import_max_w)):
        trial = Trial(engine, held, p_base_w, q_base_var, _units(np.floor(most), side))
        cap, bound = _maximum(trial) if allocation == "maximum" else _common(trial, most, allocation)
        caps.append(cap)
        binding.append(bound)
        solves += trial.solves
    trial = Trial(engine, held, p_base_w, q_base_var, _units(np.floor(export_max_w), SELL))
    export, draw = _mixed(trial, caps[0], caps[1])
    return Envelope(export, draw, binding[0], binding[1], solves + trial.solves)


def _units(most_w: FloatArray, side: int) -> Units:
    """One unit per point whose Wh is a W: an upstream order over an hour."""
    n = len(most_w)
    fills = empty_fills(n)
    fills["order_id"] = fills["participant"] = np.arange(n)
    fills["side"], fills["flexible"], fills["counterparty"] = side, True, SUPPLIER
    fills["energy_wh"] = most_w
    return make_units(fills, np.arange(n), n, 3600)


def _maximum(trial: Trial) -> tuple[WattHours, str | None]:
    most = trial.units.energy_wh
    if trial.ask(most).passed:
        return most.copy(), None
    result = cut(trial, "value")
    return result.accepted_wh, next((name for name in result.binding if name), None)


def _common(trial: Trial, most_w: FloatArray, allocation: Allocation) -> tuple[WattHours, str | None]:
    """The largest common share, or common power, by sections."""
    top = 1.0 if allocation == "proportional" else float(most_w.max(initial=0.0))

    def caps(level: FloatArray) -> WattHours:
        wanted = (
            level[:, None] * most_w if allocation == "proportional" else np.minimum(level[:, None], most_w)
        )
        return np.floor(wanted + 1e-9).astype(np.int64)

    low, high, name = 0.0, top, None
    if top == 0 or bool(trial.passing(caps(np.array([top])))[0][0]):
        return caps(np.array([top]))[0], None
    for _ in range(ROUNDS):
        levels = np.linspace(low, high, STEPS + 1)
        ok, excess = trial.passing(caps(levels[1:]))
        # The first that fails, not the last that passes: everything below a cap must be safe.
        first = int(np.argmin(ok)) if not ok.all() else STEPS - 1
        low, high = levels[first], levels[first + 1]
        if not np.isposinf(excess[first]).any():
            name = trial.limits.label(trial.limits.worst(excess[first]))
    return caps(np.array([low]))[0], name


def _mixed(trial: Trial, export: WattHours, draw: WattHours) -> tuple[WattHours, WattHours]:
    """Scale both caps down together until the worst mixed corner of every limit passes."""
    slope = trial.linearise(np.zeros_like(export)).excess_per_w
    rising = slope[trial.limits.watched] > 0
    # Both ways round: a current can be largest in either direction.
    up = np.unique(np.concatenate((rising, ~rising, np.ones((1, len(export)), dtype=bool))), axis=0)

    def passes(share: float) -> bool:
        a, b = (np.floor(share * cap) for cap in (export, draw))
        power = trial.p_base_w + np.where(up, a, -b)
        return bool(trial.limits.within(trial.solve(power)).all())

    if passes(1.0):
        return export, draw
    low, high = 0.0, 1.0
    for _ in range(MIXED_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    a, b = (np.floor(low * cap).astype(np.int64) for cap in (export, draw))
    return a, b

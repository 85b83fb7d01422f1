"""What energy costs the feeder where it enters: congestion and losses, or plain electrical distance."""

from dataclasses import dataclass

import numpy as np

from adapters.grid.engine import Engine
from adapters.grid.feeder import FloatArray
from twin.gate.gate import GateDecision, GateProblem, TradeGate
from twin.gate.limits import Limits
from twin.gate.sensitivity import sensitivity
from twin.gate.units import power_of


@dataclass(frozen=True)
class NodalCharges:
    """Charge for one kWh put into the grid at each connection point, in millionths, (n_points,).

    Who draws a kWh there pays the negative of it. ``congestion`` prices the limits that bound the gate's
    programme, ``loss`` the energy lost upstream of the point at the given energy price.
    """

    congestion_micro_per_kwh: FloatArray
    loss_micro_per_kwh: FloatArray

    @property
    def total_micro_per_kwh(self) -> FloatArray:
        """Congestion plus loss."""
        return self.congestion_micro_per_kwh + self.loss_micro_per_kwh


def nodal_charges(
    gate: TradeGate, problem: GateProblem, decision: GateDecision, energy_micro_per_kwh: int
) -> NodalCharges:
    """Charges that follow from a decision: the duals of its limits times what a W at each point does to them.

    This is the congestion and loss part of a distribution locational marginal price (Papavasiliou 2018,
    doi 10.1109/TSG.2017.2673860), at every point, also where nobody traded. Zero congestion where no programme
    decided or nothing bound; all zero where the decision is inconclusive.
    """
    n = len(problem.p_base_w)
    if decision.status == "inconclusive":
        return NodalCharges(np.zeros(n), np.zeros(n))
    p = problem.p_base_w + power_of(
        problem.fills, decision.accepted_wh, problem.point_of, n, problem.interval_s
    )
    energy = (energy_micro_per_kwh, problem.interval_s)
    return charges_at(gate.engine, gate.limits, p, problem.q_base_var, decision.duals, *energy)


def charges_at(
    engine: Engine,
    limits: Limits,
    p_gen_w: FloatArray,
    q_gen_var: FloatArray,
    duals: dict[int, float],
    energy_micro_per_kwh: int,
    interval_s: int,
) -> NodalCharges:
    """Charges at an operating point (n_points,) from the duals of its binding limits (entry of ``Limits.bounds``)."""
    every, step = np.arange(len(p_gen_w)), _step(p_gen_w)
    slopes = sensitivity(engine.solve, engine.feeder, p_gen_w, q_gen_var, every, step, further=limits.further)
    excess_per_w = slopes.excess_per_w
    per_w = np.zeros(len(p_gen_w))
    for entry, dual in duals.items():
        per_w += dual * excess_per_w[entry]
    return NodalCharges(per_w * (1000 * 3600 / interval_s), energy_micro_per_kwh * slopes.loss_per_w)


def electrical_distance_ohm(engine: Engine, p_gen_w: FloatArray, q_gen_var: FloatArray) -> FloatArray:
    """Thevenin impedance between connection points, (n_points, n_points), from voltage sensitivities.

    |Z_ii + Z_jj - Z_ij - Z_ji| with R from dV/dP and X from dV/dQ at the given operating point, referred to
    each point's own nominal voltage; on a radial feeder the impedance of the path between the two.
    """
    feeder = engine.feeder
    n = len(feeder.points)
    bus = np.array([point.bus for point in feeder.points], dtype=np.int64)
    every, step = np.arange(n), _step(p_gen_w)
    r = sensitivity(engine.solve, engine.feeder, p_gen_w, q_gen_var, every, step).v_per_w[bus]
    x = sensitivity(engine.solve, engine.feeder, p_gen_w, q_gen_var, every, step, reactive=True).v_per_w[bus]
    z = (r + 1j * x) * feeder.bus_vn_v[bus][:, None] * feeder.bus_vn_v[bus]
    own = np.diag(z)
    return np.abs(own[:, None] + own - z - z.T)


def distance_to_source_ohm(engine: Engine, p_gen_w: FloatArray, q_gen_var: FloatArray) -> FloatArray:
    """Impedance between each connection point and the upstream grid, (n_points,): for charges of a pool."""
    feeder = engine.feeder
    bus = np.array([point.bus for point in feeder.points], dtype=np.int64)
    every, step = np.arange(len(bus)), _step(p_gen_w)
    r = sensitivity(engine.solve, engine.feeder, p_gen_w, q_gen_var, every, step).v_per_w[bus, every]
    x = sensitivity(engine.solve, engine.feeder, p_gen_w, q_gen_var, every, step, reactive=True).v_per_w[
        bus, every
    ]
    return np.hypot(r, x) * feeder.bus_vn_v[bus] ** 2


def distance_charges(distance_ohm: FloatArray, micro_per_kwh_per_ohm: int) -> FloatArray:
    """Charge per kWh by electrical distance, rounded to whole millionths (half to even)."""
    return np.rint(distance_ohm * micro_per_kwh_per_ohm)


def _step(p_gen_w: FloatArray) -> float:
    return max(100.0, 0.02 * float(np.abs(p_gen_w).max(initial=0.0)))

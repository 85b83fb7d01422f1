"""A plant that answers by itself: inverters that see their voltage, and a tap changer that holds one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from adapters.grid.engine import BoolArray, Engine, GridState
from adapters.grid.feeder import FloatArray
from adapters.grid.inverter_curves import PRESETS, InverterSettings
from adapters.grid.inverter_fleet import InverterFleet, solve_with_inverters
from adapters.grid.oltc import Solved, TapChanger
from twin.devices import DeviceStep
from twin.fleet import Flows
from twin.participants import Participants
from twin.plant import WITH, WITHOUT, Plant, PlantStep
from twin.scenario.grid_section import InverterSection

SMALL_VA = 4600.0
"""VDE-AR-N 4105: plants up to here have the curve of the smaller reactive power."""


def make_fleet(section: InverterSection, people: Participants) -> InverterFleet:
    """One inverter per participant with PV."""
    rows = np.flatnonzero(people.pv_rated_w > 0)
    rated_va = people.pv_rated_w[rows] * (section.rating_percent / 100)
    if section.mode == "fixed_power_factor":
        settings = InverterSettings(power_factor=section.power_factor, excitation=section.excitation)
        return InverterFleet(settings, rows, rated_va)
    if section.curve == "vde_ar_n_4105":
        name = "vde_4105_volt_var" if section.mode == "volt_var" else "vde_4105_cos_phi"
        small = np.flatnonzero(rated_va <= SMALL_VA)
        return InverterFleet(PRESETS[name], rows, rated_va, ((PRESETS[f"{name}_small"], small),))
    whole = section.curve if section.mode == "volt_var_and_volt_watt" else f"{section.curve}_volt_var"
    return InverterFleet(
        PRESETS["ieee_1547_volt_watt" if section.mode == "volt_watt" else whole], rows, rated_va
    )


class AnsweringPlant(Plant):
    """A ``Plant`` whose inverters and tap settle within every step, to a fixed point with the power flow.

    What volt-watt takes off is metered: ledger and tables see the reduced energy. A fixed point that is not found
    within 1e-4 pu is a step without solution. The tap settles on the flows with trades; what would have been without
    them is solved at the same position. Both rows are answered by inverters for themselves.
    """

    def __init__(
        self,
        engine: Engine,
        fleet: InverterFleet | None,
        changer: TapChanger | None,
        step_s: int,
    ) -> None:
        """Bind the plant; ``engine`` solves where there is no ``changer``, which has engines of its own."""
        super().__init__(engine)
        self._fleet = fleet if fleet is not None and len(fleet.point) else None
        self._changer = changer
        self._hours = step_s / 3600.0

    @property
    def tap(self) -> int | None:
        """Position of the tap, where it is under control."""
        return None if self._changer is None else self._changer.position

    def step(self, devices: DeviceStep) -> PlantStep:
        """Solve one step of all devices' powers, with what inverters and tap make of it."""
        rows = (devices.flows, devices.base)
        if self._fleet is None:
            p, q = (np.stack([getattr(flows, name) for flows in rows]) for name in ("p_gen_w", "q_gen_var"))
            return self._finished(
                devices, self._rested(lambda engine: engine.solve(p, q), lambda state: state)
            )
        fleet, at = self._fleet, self._fleet.point
        pv = np.zeros((2, self._p.shape[1]))
        pv[:, at] = [flows.pv_w[at] for flows in rows]
        p = np.stack([flows.p_gen_w for flows in rows]) - pv
        q = np.stack([flows.q_gen_var for flows in rows])
        found = self._rested(
            lambda engine: solve_with_inverters(engine, p, q, fleet, pv[:, at]), lambda solved: solved.state
        )
        answered = [
            _answered(flows, fleet, found.p_w[row], found.q_var[row])
            for row, flows in zip((WITH, WITHOUT), rows, strict=True)
        ]
        less_wh = (answered[WITH].p_gen_w - devices.flows.p_gen_w) * self._hours
        done = replace(
            devices,
            flows=answered[WITH],
            base=answered[WITHOUT],
            metered_wh=devices.metered_wh + less_wh,
        )
        return self._finished(done, _unsolved(found.state, ~found.converged))

    def _rested(self, solve: Callable[[Engine], Solved], state_of: Callable[[Solved], GridState]) -> Solved:
        """A solution, where the tap rests if there is one."""
        if self._changer is None:
            return solve(self._engine)
        self._changer.keeps_ends = self._engine.keeps_ends
        return self._changer.rest(solve, state_of)


def _answered(flows: Flows, fleet: InverterFleet, p_w: FloatArray, q_var: FloatArray) -> Flows:
    """The flows with what the inverters really feed in."""
    pv, q = flows.pv_w.copy(), flows.q_gen_var.copy()
    pv[fleet.point] = p_w
    q[fleet.point] += q_var
    less = pv - flows.pv_w
    return replace(
        flows,
        p_gen_w=flows.p_gen_w + less,
        q_gen_var=q,
        pv_w=pv,
        pv_curtailed_w=flows.pv_curtailed_w - less,
    )


def _unsolved(state: GridState, lost: BoolArray) -> GridState:
    """The state with rows marked as not converged: all of their numbers are NaN."""
    if not lost.any():
        return state
    for name in ("v_pu", "loading_percent", "p_branch_w", "p_slack_w", "q_slack_var", "loss_w"):
        getattr(state, name)[lost] = np.nan
    state.converged[lost] = False
    return state

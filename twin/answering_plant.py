"""A plant that answers by itself: inverters that see their voltage, and tap changers that hold one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from adapters.grid.engine import Engine, GridState
from adapters.grid.feeder import FloatArray
from adapters.grid.inverter_engine import without_rows
from adapters.grid.inverter_fleet import InverterSolution, solve_with_inverters
from adapters.grid.oltc import Positions, Solved, TapChanger
from twin.answers import Answer, AnswerLog, inverter_part
from twin.devices import DeviceStep
from twin.fleet import FleetState, Flows
from twin.inverters import Inverters
from twin.participants import Participants
from twin.plant import WITH, WITHOUT, Plant, PlantStep


class AnsweringPlant(Plant):
    """A ``Plant`` whose inverters and taps settle within every step, to a fixed point with the power flow.

    What volt-watt takes off is metered: ledger and tables see the reduced energy, and a battery keeps what it did not
    give. A fixed point that is not found within 1e-4 of the rated power is a step without solution. Taps settle on the
    flows with trades; what would have been without them is solved at the same positions. Both rows are answered by
    inverters for themselves.
    """

    def __init__(
        self,
        engine: Engine,
        inverters: Inverters | None,
        changer: TapChanger | None,
        step_s: int,
        people: Participants,
    ) -> None:
        """Bind the plant; ``engine`` solves where there is no ``changer``, which has engines of its own."""
        super().__init__(engine, step_s)
        self._inverters = inverters if inverters is not None and inverters.kind else None
        self._changer = changer
        self._people = people
        self._hours = step_s / 3600.0
        taps = () if changer is None else tuple(tap.name for tap in changer.taps)
        self.log = AnswerLog(self._inverters is not None, taps)

    @property
    def answers(self) -> AnswerLog:
        """What inverters and taps did, step by step."""
        return self.log

    @property
    def tap(self) -> Positions | None:
        """Positions of the taps, where they are under control."""
        return None if self._changer is None else self._changer.positions

    def step(self, devices: DeviceStep) -> PlantStep:
        """Solve one step of all devices' powers, with what inverters and taps make of it."""
        before = self.tap
        rows = (devices.flows, devices.base)
        if self._inverters is None:
            p, q = (np.stack([getattr(flows, name) for flows in rows]) for name in ("p_gen_w", "q_gen_var"))
            state = self._rested(lambda engine: engine.solve(p, q), lambda state: state)
            self._note(devices.step, before, state, Answer(devices.step))
            return self._done(devices, state)
        found, available_w = self._answer(self._inverters, rows)
        answered = [
            self._inverters.answered(flows, found.p_w[row], found.q_var[row])
            for row, flows in zip((WITH, WITHOUT), rows, strict=True)
        ]
        less_wh = (answered[WITH].p_gen_w - devices.flows.p_gen_w) * self._hours
        done = replace(
            devices,
            flows=answered[WITH],
            base=answered[WITHOUT],
            metered_wh=devices.metered_wh + less_wh,
            state=self._kept(devices.state, answered[WITH], devices.flows),
        )
        self._note(
            devices.step, before, found.state, Answer(devices.step, **inverter_part(found, available_w))
        )
        return self._done(done, without_rows(found.state, found))

    def _answer(self, inverters: Inverters, rows: tuple[Flows, Flows]) -> tuple[InverterSolution, FloatArray]:
        available_w = np.stack([inverters.available_w(flows) for flows in rows])
        p = np.stack([flows.p_gen_w for flows in rows])
        q = np.stack([flows.q_gen_var for flows in rows])
        for i, point in enumerate(inverters.fleet.point):
            p[:, point] -= available_w[:, i]
        found = self._rested(
            lambda engine: solve_with_inverters(engine, p, q, inverters.fleet, available_w),
            lambda solved: solved.state,
        )
        return found, available_w

    def _kept(self, state: FleetState, answered: Flows, asked: Flows) -> FleetState:
        """The state with what batteries were kept from giving still in them."""
        kept_w = asked.battery_w - answered.battery_w
        if not kept_w.any():
            return state
        people = self._people
        wh = kept_w * self._hours / people.battery_efficiency
        share = np.divide(wh, people.battery_wh, out=np.zeros_like(wh), where=people.battery_wh > 0)
        return replace(state, soc=np.minimum(state.soc + share, 1.0))

    def _rested(self, solve: Callable[[Engine], Solved], state_of: Callable[[Solved], GridState]) -> Solved:
        """A solution, where the taps rest if there are any."""
        if self._changer is None:
            return solve(self._engine)
        self._changer.keeps_ends = self._engine.keeps_ends
        return self._changer.rest(solve, state_of)

    def _note(self, step: int, before: Positions | None, state: GridState, answer: Answer) -> None:
        now = self.tap
        if self._changer is not None and now is not None and before is not None:
            moves = sum(abs(a - b) for a, b in zip(now, before, strict=True))
            answer = replace(answer, positions=now, moves=moves, at_end=self._changer.stuck(state))
        self.log.answers.append(answer)

    def _done(self, devices: DeviceStep, state: GridState) -> PlantStep:
        solved = self._finished(devices, state)
        return solved if self._changer is None else replace(solved, engine=self._changer.engine())

"""All devices of the run: the native fleet, with any role served by a bench instead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from adapters.grid.feeder import FloatArray, IntArray
from rigs.device import (
    NO_CAR,
    Ambient,
    Bench,
    Car,
    Command,
    Quality,
    RoleSpec,
    Sample,
    least_charge_w,
)
from twin.fleet import FleetState, Flows, Garage, advance, dispatch
from twin.heat_log import HeatLog, HeatStep
from twin.heat_pumps import HeatDemand, store
from twin.heat_roles import heat_orders, heat_specs
from twin.heated_fleet import dispatch_heated
from twin.operator import Decided
from twin.participants import BoolArray, Participants
from twin.profiles import Profiles


@dataclass(frozen=True)
class DeviceStep:
    """One step of all devices: what flows, what would flow without trades from the same state, and the meters.

    ``metered_wh`` (n,) is net energy of the step as the meters say, positive into the grid; ``wire`` marks the
    participants of whom a number came over a socket, ``bad`` those whose reading could not be trusted.
    ``decided`` is the operator's decision that the step carries out.
    """

    step: int
    decided: Decided
    flows: Flows
    base: Flows
    metered_wh: FloatArray
    wire: BoolArray
    bad: BoolArray
    state: FleetState
    heat: HeatStep | None = None  # None where nobody has a heat pump


_METERS = ("meter", "analyser", "heat_meter")
"""The first two stand at the connection point and show what devices do not; the meter's counters are what is billed.
The third shows what a heat pump draws, whose own interface tells no power."""


def role_specs(people: Participants) -> list[RoleSpec]:
    """Nameplates of every role that a bench may serve: '<participant>.battery', '.pv', '.ev' (its wallbox),
    '.heat_pump' with its '.heat_meter', '.meter', '.analyser'.
    """
    specs: list[RoleSpec] = []
    for row, name in enumerate(people.names):
        if people.battery_wh[row] > 0:
            specs.append(
                RoleSpec(
                    f"{name}.battery",
                    "battery",
                    float(people.battery_p_w[row]),
                    float(people.battery_wh[row]),
                    float(people.soc_initial[row]),
                    float(people.battery_efficiency[row]),
                )
            )
        if people.pv_rated_w[row] > 0:
            specs.append(RoleSpec(f"{name}.pv", "pv_inverter", float(people.pv_rated_w[row])))
        if people.ev_p_w[row] > 0:  # which car comes, and what it needs, is told when it comes
            p_w, eta = float(people.ev_p_w[row]), float(people.ev_efficiency[row])
            specs.append(RoleSpec(f"{name}.ev", "ev_charger", p_w, efficiency=eta))
        specs += heat_specs(people, row)
        most_w = people.load_p_rated_w[row] + people.ev_p_w[row] + people.battery_p_w[row]
        most_w += people.heat_pump_p_w[row]
        most_w = float(max(most_w, people.pv_rated_w[row], 1000.0))
        specs += [RoleSpec(f"{name}.{kind}", "meter", most_w) for kind in _METERS[:2]]
    return specs


class Devices:
    """Steps all devices. Roles of the bench are commanded and read over it; all others are native."""

    def __init__(
        self,
        people: Participants,
        profiles: Profiles,
        step_s: int,
        bus_of: IntArray,
        bench: Bench | None = None,
        on_sample: Callable[[int, str, Sample], None] | None = None,
    ) -> None:
        """Bind the devices.

        Args:
            people: the participant table.
            profiles: the actual load and PV.
            step_s: length of a step.
            bus_of: (n,) bus row of each participant.
            bench: an open bench, or None.
            on_sample: called with (step, role, sample) for every reading of a bench device.
        """
        self._people = people
        self.n = people.n
        self._profiles = profiles
        self._step_s = step_s
        self._bus_of = bus_of
        self._bench = bench
        self._on_sample = on_sample
        self.garage = Garage(people)
        self.state = self.garage.update(self.garage.initial(people))
        self._roles = self._role_rows(bench.roles if bench else ())
        self._zero_wh: dict[str, float] = {}  # per role: where its counter stood at the start
        self._booked_wh: dict[str, float] = {}  # per role: net energy that was booked so far
        self._never = np.zeros(people.n, dtype=np.bool_)
        self._last_commands: dict[str, Command] = {}
        self._cars: dict[int, Car] = {}
        self._heat = None if people.heat is None else profiles.heat
        self.heat_log = None if people.heat is None else HeatLog(people.heat, step_s)
        self.bad_by_fault = 0  # participant-steps whose bad reading a scheduled fault explains

    def _role_rows(self, roles: tuple[str, ...]) -> list[tuple[str, str, int]]:
        rows = {name: row for row, name in enumerate(self._people.names)}
        parts = [(role, *role.rpartition(".")[::2]) for role in roles]
        return [(role, kind, rows[name]) for role, name, kind in parts]

    def step(
        self, step: int, decided: Decided, v_pu: FloatArray | None = None, hold: bool = False
    ) -> DeviceStep:
        """Advance all devices by one step under the decision's set points.

        ``v_pu`` (n_bus,) are the plant's voltages of the step before, for a bench that is coupled to them.
        ``hold`` leaves the bench's devices at their last set points: the step began too late to act on.
        """
        load_w, load_var, pv_w = self._profiles.at(step)
        state, points = self.state, decided.accepted.set_points
        demand = None if self._heat is None else self._heat.at(step)
        given = (self._people, state, points, load_w, load_var, pv_w, self._step_s)
        flows, base = dispatch(*given) if demand is None else dispatch_heated(*given, demand)
        metered = flows.p_gen_w * (self._step_s / 3600.0)
        wire = bad = self._never
        soc = None
        if self._bench is not None:
            native_var = flows.q_gen_var
            flows, metered, soc, wire, bad = self._over_bench(step, flows, pv_w, v_pu, hold, demand)
            # what devices would answer without trades nobody can read: as they did, so no trade is blamed for it
            base = replace(base, q_gen_var=base.q_gen_var + (flows.q_gen_var - native_var))
        after = advance(self._people, state, flows, self._step_s)
        if soc is not None:
            after = replace(after, soc=np.where(np.isnan(soc), after.soc, soc))
        heat = None if demand is None else self._heated(flows, demand)
        if heat is not None:
            after = replace(after, heat=heat.after)
        self.state = self.garage.update(after)
        return DeviceStep(step, decided, flows, base, metered, wire, bad, self.state, heat)

    def _heated(self, flows: Flows, demand: HeatDemand) -> HeatStep:
        """What became of the heat in a step."""
        pumps, state, p_w, sg_state = self._people.heat, self.state.heat, flows.heat_pump_w, flows.sg_state
        assert pumps is not None and state is not None and p_w is not None and sg_state is not None
        after, heat = store(pumps, state, demand, p_w, sg_state, self._step_s)
        step = HeatStep(demand, heat, after, sg_state, p_w)
        if self.heat_log is not None:
            self.heat_log.add(step)
        return step

    def _over_bench(
        self, step: int, flows: Flows, sun_w: FloatArray, v_pu: FloatArray | None, hold: bool,
        demand: HeatDemand | None,
    ) -> tuple[Flows, FloatArray, FloatArray, BoolArray, BoolArray]:  # fmt: skip
        """Replace the bench's devices by what they did: command, advance, read."""
        assert self._bench is not None
        commands, ambient = self._commands(flows, sun_w, v_pu, demand)
        if hold and self._last_commands:
            commands = self._last_commands
        self._last_commands = commands
        samples = self._bench.step(step * self._step_s, self._step_s, commands, ambient)
        q_var = flows.q_gen_var.copy()
        into = {kind: power.copy() for kind, power in _into(flows).items()}
        sg_state = None if flows.sg_state is None else flows.sg_state.copy()
        wire, bad = self._never.copy(), self._never.copy()
        soc = np.full(self._people.n, np.nan)
        counted = np.zeros(self._people.n)  # energy by register, of the devices that have one
        explained: dict[int, bool] = {}
        for role, kind, row in self._roles:
            sample = samples[role]
            if self._on_sample is not None:
                self._on_sample(step, role, sample)
            wire[row] |= sample.wire
            if sample.quality is not Quality.GOOD:
                explained[row] = explained.get(row, True) and sample.scheduled
            if kind in _METERS:
                bad[row] |= sample.quality is not Quality.GOOD
                continue
            column = into[kind]
            if sample.quality is not Quality.GOOD:
                bad[row] = True
                # what is assumed now is not counted again by the next good reading
                self._booked_wh[role] = self._booked_wh.get(role, 0.0) + self._energy_wh(column[row])
                continue
            column[row] = sample.p_gen_w
            q_var[row] += sample.q_gen_var if isfinite(sample.q_gen_var) else 0.0  # NaN: it does not say
            if kind == "battery":
                soc[row] = sample.soc
            elif kind == "heat_pump" and sg_state is not None and sample.sg_state:
                sg_state[row] = sample.sg_state
            assumed_wh = self._energy_wh(column[row])
            counted[row] += self._counted_wh(role, sample, assumed_wh) - assumed_wh
        self.bad_by_fault += sum(explained.values())
        done = replace(_done(flows, into, sun_w), q_gen_var=q_var, sg_state=sg_state)
        metered = done.p_gen_w * (self._step_s / 3600.0) + counted
        self._metered(samples, done.p_gen_w, metered)
        return done, metered, soc, wire, bad

    def _metered(self, samples: Mapping[str, Sample], p_w: FloatArray, metered_wh: FloatArray) -> None:
        """Let the meter at the connection point decide where a bench has one."""
        for role, kind, row in self._roles:
            if kind != "meter":
                continue
            if samples[role].quality is Quality.GOOD:
                metered_wh[row] = self._counted_wh(role, samples[role], self._energy_wh(p_w[row]))
            else:
                self._booked_wh[role] = self._booked_wh.get(role, 0.0) + metered_wh[row]

    def _energy_wh(self, p_w: float) -> float:
        return p_w * (self._step_s / 3600.0)

    def _mean_w(self, energy_wh: float) -> float:
        return energy_wh / (self._step_s / 3600.0)

    def _counted_wh(self, role: str, sample: Sample, assumed_wh: float) -> float:
        """Net energy since the last booking by the device's own counters.

        The first reading of a role only says where its counters stand (those of a real device have counted for
        years), so that step's energy is ``assumed_wh``, from the power.
        """
        now_wh = sample.energy_export_wh - sample.energy_import_wh
        if role not in self._zero_wh:
            self._zero_wh[role] = now_wh - self._booked_wh.get(role, 0.0) - assumed_wh
        counted_wh = now_wh - self._zero_wh[role]
        step_wh = counted_wh - self._booked_wh.get(role, 0.0)
        self._booked_wh[role] = counted_wh
        return step_wh

    def _rest_w(self, flows: Flows, row: int) -> float:
        """What flows at a connection point apart from devices of the bench, in W into the grid."""
        native_w = float(flows.p_gen_w[row])
        for _, kind, where in self._roles:
            if where == row and kind not in _METERS:
                native_w -= float(_into(flows)[kind][row])
        return native_w

    def _charging(self, flows: Flows, row: int) -> tuple[Command, Car]:
        """What a wallbox is told, and who is plugged in.

        Its limit bounds power, not energy: a car that needs less than the least current gives in a step stops by
        itself, so it is given that current rather than none.
        """
        state, people = self.state, self._people
        if not state.ev_plugged[row]:
            self._cars.pop(row, None)
            return Command(0.0), NO_CAR
        session = int(state.ev_departure_s[row])
        if row not in self._cars or self._cars[row].session != session:
            self._cars[row] = Car(session, float(state.ev_need_wh[row]))
        limit_w, p_max_w = float(flows.ev_w[row]), float(people.ev_p_w[row])
        taken_w = self._mean_w(float(state.ev_need_wh[row]) / float(people.ev_efficiency[row]))
        if limit_w > 0 and not limit_w < taken_w - 1e-6:
            limit_w = max(limit_w, min(least_charge_w(p_max_w), p_max_w))
        return Command(-limit_w), self._cars[row]

    def _commands(
        self, flows: Flows, sun_w: FloatArray, v_pu: FloatArray | None, demand: HeatDemand | None
    ) -> tuple[dict[str, Command], dict[str, Ambient]]:
        commands: dict[str, Command] = {}
        ambient: dict[str, Ambient] = {}
        if demand is not None:
            commands, ambient = heat_orders(
                self._people, self._roles, flows, self.state.heat, demand, self._step_s
            )
        for role, kind, row in self._roles:
            v = 1.0 if v_pu is None else float(v_pu[self._bus_of[row]])
            if kind in ("heat_pump", "heat_meter"):
                continue
            if kind in _METERS:  # the bench adds what its own devices do
                ambient[role] = Ambient(p_available_w=self._rest_w(flows, row), v_pu=v)
                continue
            ambient[role] = Ambient(p_available_w=float(sun_w[row]), v_pu=v)
            if kind == "battery":
                commands[role] = Command(float(flows.battery_w[row]))
                continue
            if kind == "ev":
                commands[role], car = self._charging(flows, row)
                ambient[role] = Ambient(v_pu=v, car=car)
                continue
            # an inverter that is not curtailed gets its rating as limit, as a lab would leave it
            limited = flows.pv_curtailed_w[row] > 0
            commands[role] = Command(float(flows.pv_w[row] if limited else self._people.pv_rated_w[row]))
        return commands, ambient


def _into(flows: Flows) -> dict[str, FloatArray]:
    """What each sort of device feeds in, by the last part of its role; (n,) each. Wallbox and heat pump draw."""
    into = {"battery": flows.battery_w, "pv": flows.pv_w, "ev": -flows.ev_w}
    return into if flows.heat_pump_w is None else into | {"heat_pump": -flows.heat_pump_w}


def _done(flows: Flows, into: Mapping[str, FloatArray], sun_w: FloatArray) -> Flows:
    """The flows with what the bench's devices fed in."""
    battery, pv, ev = into["battery"], into["pv"], -into["ev"]
    p = pv - flows.load_w - ev + battery
    done = replace(flows, pv_w=pv, battery_w=battery, ev_w=ev, pv_curtailed_w=np.maximum(sun_w - pv, 0.0))
    if "heat_pump" not in into:
        return replace(done, p_gen_w=p)
    return replace(done, p_gen_w=p + into["heat_pump"], heat_pump_w=-into["heat_pump"])

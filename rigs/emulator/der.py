"""What an emulated PV inverter and battery share: the functions of IEEE 1547-2018 behind SunSpec models 701 to
712 and 715.
"""

import math
from abc import abstractmethod
from collections.abc import Generator, Mapping
from typing import Any

import simpy

from rigs.emulator import grid_code
from rigs.emulator.ac_control import AcControl
from rigs.emulator.config import EmulatorConfig, integer_sf
from rigs.emulator.device import EmulatedDevice
from rigs.emulator.freq_droop import FreqDroop
from rigs.emulator.heartbeat import Heartbeat
from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.lag import LN10, Lag
from rigs.emulator.process import PowerProcess
from rigs.emulator.ride_through import RideThrough
from rigs.emulator.stored_curve import StoredCurves
from rigs.emulator.trip_curves import describe_trips, trip_groups

SUPPORT_MODELS: tuple[tuple[int, Mapping[str, Any] | None], ...] = (
    (701, None), (702, None), (703, None), (704, None), (705, StoredCurves.groups()),
    (706, StoredCurves.groups()), *((m, trip_groups()) for m in (707, 708, 709, 710)),
    (711, FreqDroop.groups()), (712, StoredCurves.groups()), (715, None),
)  # fmt: skip
PROTECTION = frozenset({703, 707, 708, 709, 710})
"""Settings of grid protection: shown, never taken over the wire."""
_W_MAX, _VAR_MAX, _VAR_AVAILABLE, _VA_MAX = 0, 1, 2, 3  # DeptRef of model 705
_CTRL_MODES = sum(1 << bit for bit in (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13))
_FEW, _MANY = 4, 20  # pieces of a time constant in which a moving limit is followed


class Der(EmulatedDevice):
    """A generator or store with grid support. A kind adds what it wants to do and its own models."""

    image: SunSpecImage

    def __init__(
        self, config: EmulatorConfig, image: SunSpecImage, process: PowerProcess, *, may_absorb: bool
    ) -> None:
        image.read_only = PROTECTION
        super().__init__(config, image, process)
        self.reactive = Lag()
        self.inductive_varh = self.capacitive_varh = 0.0
        self._varh_before = self.mean_var = 0.0
        self.control = AcControl(self.env, image, self.settle, self.retarget, may_absorb=may_absorb)
        self.volt_var = StoredCurves(self.env, image, 705, "Var", (_W_MAX, _VAR_MAX, _VAR_AVAILABLE, _VA_MAX))
        self.volt_watt = StoredCurves(self.env, image, 706, "W", (_W_MAX,))
        self.watt_var = StoredCurves(
            self.env, image, 712, "Var", (_W_MAX, _VAR_MAX, _VAR_AVAILABLE, _VA_MAX), "W",
            grid_code.WATT_VAR[config.performance][1],
        )  # fmt: skip
        self.freq_droop = FreqDroop(self.env, image, config.f_nominal_hz)
        self._functions: dict[int, StoredCurves | FreqDroop] = {
            705: self.volt_var,
            706: self.volt_watt,
            711: self.freq_droop,
            712: self.watt_var,
        }
        for function in self._functions.values():
            function.changed = self._changed
        self.ride_through = RideThrough(
            self.env, config.category, config.f_nominal_hz, config.enter_service_s, self._changed,
            config.enter_ramp_s,
        )  # fmt: skip
        self.heartbeat = Heartbeat(self.env, image, config.heartbeat_s, self._heartbeat_lost)
        self._limit = Lag(config.p_max_w)  # of volt-watt, as it moves
        self._follows = False
        self._least_percent = -100 if may_absorb else 0
        self._describe_support()

    @abstractmethod
    def wanted_w(self) -> float:
        """Return the power that the kind's own rules ask for, before grid support."""

    def ceiling_w(self) -> float:
        """Return the most that the device could give now, beyond what is wanted of it."""
        return self.wanted_w()

    def _describe_support(self) -> None:
        image, config = self.image, self.config
        p_max_w, sf = config.p_max_w, integer_sf(config.p_max_w)
        inject, absorb = (share * p_max_w for share in grid_code.VAR_SHARE[config.performance])
        image.put_all(
            701,
            {
                "ACType": 2 if config.phases == 3 else 0, "St": 1, "InvSt": 3, "ConnSt": 1, "Alrm": 0, "A_SF": -2,
                "V_SF": -1, "Hz_SF": -2, "W_SF": sf, "PF_SF": -3, "VA_SF": sf, "Var_SF": sf, "TotWh_SF": 0,
                "TotVarh_SF": 0, "Tmp_SF": 0,
            },
        )  # fmt: skip
        image.put_all(702, {"W_SF": sf, "PF_SF": -3, "VA_SF": sf, "Var_SF": sf, "V_SF": -1, "A_SF": -1})
        rated = {"WMaxRtg": p_max_w, "VAMaxRtg": p_max_w, "VarMaxInjRtg": inject, "VarMaxAbsRtg": absorb}
        set_to = {"WMax": p_max_w, "VAMax": p_max_w, "VarMaxInj": inject, "VarMaxAbs": absorb}
        image.put_all(702, {**rated, **set_to, "VNomRtg": config.v_nominal_v, "VNom": config.v_nominal_v})
        image.put_all(702, {"NorOpCatRtg": "AB".index(config.performance), "CtrlModes": _CTRL_MODES})
        if config.category != "none":
            image.put(702, "AbnOpCatRtg", ("I", "II", "III").index(config.category))
        describe_trips(image, config)
        self.control.describe()
        self._describe_functions()
        self.heartbeat.describe()

    def _describe_functions(self) -> None:
        performance = self.config.performance
        self.volt_var.describe(*grid_code.VOLT_VAR[performance], _VA_MAX)
        self.volt_watt.describe(*grid_code.VOLT_WATT, _W_MAX)
        self.watt_var.describe(*grid_code.WATT_VAR[performance], _VA_MAX)
        self.freq_droop.describe(self._least_percent)

    def power_on(self) -> None:
        """Idle, without a set point, a limit or a timer; curves as delivered, and off."""
        self.control.power_on()
        self._describe_functions()
        for function in self._functions.values():
            function.timer.start(0)
        self.heartbeat.power_on()

    def allows(self, key: Key, value: float) -> bool:
        """Refuse what the nameplate does not allow."""
        model_id, name = key
        if model_id == 704:
            return self.control.allows(name, value)
        if model_id in self._functions:
            return self._functions[model_id].allows(name, value)
        if model_id == 702:
            rated = f"{name}Rtg" in self.image.layouts[702].points
            return 0 < value <= self.image.get(702, f"{name}Rtg") if rated else False
        return model_id != 715 or name != "AlarmReset" or value in (0, 1)

    def written(self, points: frozenset[Key]) -> None:
        """Restart timers, adopt curves, hear the heartbeat."""
        self.control.written(points)
        for function in self._functions.values():
            function.written(points)
        self.heartbeat.written(points)

    def mains(self, v_pu: float, f_hz: float) -> None:
        """Ride through, or begin to count."""
        self.ride_through.see(v_pu, f_hz)

    def retarget(self) -> None:
        """Follow the wishes of the kind within what grid support and the mains allow."""
        process, ride_through = self.process, self.ride_through
        if ride_through.forbids:
            process.target_w = 0.0
            process.trip()
            self.reactive.jump(0.0)
            return
        process.ramp_w_per_s = self._ramp_w_per_s()
        wanted_w = 0.0 if self.heartbeat.stopped else self.control.limited(self.wanted_w())
        p_w = self._volt_watt_w(self._droop_w(wanted_w))
        q_var, response_s, reactive_first = self._wanted_var(p_w)
        s_va = self.image.get(702, "VAMax")
        q_var = min(max(q_var, -self.image.get(702, "VarMaxAbs")), self.image.get(702, "VarMaxInj"))
        if reactive_first:
            room_w = math.sqrt(max(0.0, s_va * s_va - q_var * q_var))
            p_w = min(max(p_w, -room_w), room_w)
        else:
            room_var = math.sqrt(max(0.0, s_va * s_va - p_w * p_w))
            q_var = min(max(q_var, -room_var), room_var)
        process.target_w = p_w
        self.reactive.aim(q_var, response_s / LN10)

    def _wanted_var(self, p_w: float) -> tuple[float, float, bool]:
        """Return reactive power, open-loop response time and whether it comes first."""
        if (asked := self.control.q_var(p_w)) is not None:
            return asked[0], self.config.response_s * LN10, asked[1]
        image, curve, at = self.image, self.volt_var, self.v_pu
        if not curve.enabled:
            curve, at = self.watt_var, p_w / max(image.get(702, "WMax"), 1.0)
        if not curve.enabled:
            return 0.0, self.config.response_s * LN10, True
        share = curve.percent(at) / 100
        most = image.get(702, "VarMaxInj" if share >= 0 else "VarMaxAbs")
        s_va = image.get(702, "VAMax")
        base = {
            _W_MAX: image.get(702, "WMax"),
            _VAR_MAX: most,
            _VAR_AVAILABLE: min(most, math.sqrt(max(0.0, s_va * s_va - p_w * p_w))),
        }.get(curve.reference, s_va)
        return share * base, curve.response_s, not curve.active_power_first

    def _droop_w(self, wanted_w: float) -> float:
        """Return the power that frequency droop leaves; while it moves, it is looked at again."""
        droop = self.freq_droop
        if not droop.enabled:
            return wanted_w
        piece_s = max(droop.lag.tau_s / _MANY, 1e-3)
        ceiling_w = max(wanted_w, self.control.limited(self.ceiling_w()))
        p_w = droop.within(
            wanted_w, self.process.power_w, self.f_hz, self.image.get(702, "WMax"), ceiling_w, piece_s
        )
        if droop.lag.value != droop.lag.goal and not self._follows:
            self._follows = True
            self.env.process(self._follow(piece_s))
        return p_w

    def _volt_watt_w(self, wanted_w: float) -> float:
        """Return the power within the volt-watt limit, which moves with its own open-loop response time."""
        limit, w_max = self._limit, self.image.get(702, "WMax")
        if not self.volt_watt.enabled:
            limit.jump(w_max)
            return wanted_w
        limit.aim(w_max * self.volt_watt.percent(self.v_pu) / 100, self.volt_watt.response_s / LN10)
        if abs(limit.value - limit.goal) <= 1e-4 * w_max:
            limit.jump(limit.goal)
        if limit.value == limit.goal or wanted_w <= min(limit.value, limit.goal):
            return min(wanted_w, limit.value)
        if not self._follows:
            self._follows = True
            self.env.process(self._follow(self._piece_s()))
        return min(wanted_w, limit.mean_ahead(self._piece_s()))

    def _piece_s(self) -> float:
        moves = abs(self._limit.value - self._limit.goal) > 0.05 * self.config.p_max_w
        return max(self._limit.tau_s / (_MANY if moves else _FEW), 1e-3)

    def _follow(self, piece_s: float) -> Generator[simpy.Event, Any, None]:
        """Look again after one piece; ``retarget`` begins the next one, as long as the limit moves and binds."""
        yield self.env.timeout(piece_s)
        self._follows = False
        self._changed()

    def _ramp_w_per_s(self) -> float:
        own = self.config.ramp_w_per_s
        if not self.ride_through.ramping:
            return own
        entering = self.config.p_max_w / self.ride_through.ramp_s
        return min(own, entering) if own else entering

    def _changed(self) -> None:
        self.settle()
        self.retarget()

    def _heartbeat_lost(self) -> None:
        self.settle()
        self.control.fall_back()
        for function in self._functions.values():
            function.fall_back()
        self.retarget()

    def passed(self, seconds: float) -> None:
        """Let reactive power and the moving limit follow."""
        if self.reactive.value or self.reactive.goal:
            injected, absorbed = self.reactive.run(seconds)
            self.capacitive_varh += injected / 3600
            self.inductive_varh -= absorbed / 3600
        if self._limit.value != self._limit.goal:
            self._limit.run(seconds)
        if self.freq_droop.lag.value != self.freq_droop.lag.goal:
            self.freq_droop.lag.run(seconds)

    def close_step(self, duration_s: float) -> None:
        """Take the mean reactive power of the step."""
        total = self.capacitive_varh - self.inductive_varh
        self.mean_var = (total - self._varh_before) * 3600 / duration_s if duration_s else self.reactive.value
        self._varh_before = total

    def publish(self) -> None:
        """Put models 701, 703, 715 and the timers of all functions."""
        power_w, var = self.meter.mean_w, self.mean_var
        va = math.hypot(power_w, var)
        v, phases = self.config.v_nominal_v * self.v_pu, self.config.phases
        self.image.put_all(
            701,
            {
                "W": power_w, "VA": va, "Var": var, "PF": power_w / va if va else 1, "Hz": self.f_hz, "LNV": v,
                "LLV": v * math.sqrt(3), "A": va / (v * phases) if v > 0 else 0,
                "TotWhInj": math.floor(self.meter.export_wh), "TotWhAbs": math.floor(self.meter.import_wh),
                "TotVarhInj": math.floor(self.capacitive_varh), "TotVarhAbs": math.floor(self.inductive_varh),
                "InvSt": self.state(), "ConnSt": int(not self.ride_through.tripped), "Alrm": self.alarms(),
            },
        )  # fmt: skip
        self.image.put(703, "ESDlyRemTms", self.ride_through.remaining_s)
        self.control.publish()
        for function in self._functions.values():
            function.publish()
        self.heartbeat.publish()

    def state(self) -> int:
        """Return ``InvSt`` of model 701."""
        if self.ride_through.forbids or self.heartbeat.stopped:
            return 7  # standby
        return 2 if self.ride_through.ramping else 4 if self.throttled() else 3

    def throttled(self) -> bool:
        """Whether output is below what the kind wants."""
        return self.process.target_w < self.wanted_w()

    def alarms(self) -> int:
        """Return the alarm bits of models 701 and 103."""
        return self.ride_through.alarms | (1 << 16 if self.heartbeat.missing else 0)

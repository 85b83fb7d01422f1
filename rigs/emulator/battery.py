"""A battery inverter by SunSpec models 1, 701, 702, 704 (signed set point with reversion) and 713."""

import math

from rigs.emulator.config import EmulatorConfig, integer_sf
from rigs.emulator.device import EmulatedDevice, ReversionTimer
from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.process import PowerProcess, Storage

_HZ = 50.0
_SET_IN_WATTS = 1  # model 704, WSetMod
_RUNNING, _CONNECTED = 1, 1  # model 701, St and ConnSt
_MODES = 0  # model 702, CtrlModes


class Battery(EmulatedDevice):
    """Runs at its set point (positive discharges) while enabled, else idles; keeps its own state of
    charge."""

    def __init__(self, config: EmulatorConfig) -> None:
        image = SunSpecImage([(1, None), (701, None), (702, None), (704, None), (713, None)])
        storage = Storage(config.capacity_wh, config.capacity_wh * config.soc_initial, config.efficiency)
        process = PowerProcess(
            response_s=config.response_s, ramp_w_per_s=config.ramp_w_per_s, storage=storage
        )
        super().__init__(config, image, process)
        self.storage = storage
        self._set_timer = ReversionTimer(self.env, self._revert_set)
        self._limit_timer = ReversionTimer(self.env, self._revert_limit)
        self._describe()
        self.advance(0)

    def _describe(self) -> None:
        image, p_max_w, config = self.image, self.config.p_max_w, self.config
        sf = integer_sf(p_max_w)
        rated = dict.fromkeys(("WMaxRtg", "WChaRteMaxRtg", "WDisChaRteMaxRtg", "VAMaxRtg"), p_max_w)
        rated |= dict.fromkeys(("WMax", "WChaRteMax", "WDisChaRteMax", "VAMax"), p_max_w)
        image.put_all(
            701,
            {
                "ACType": 2 if config.phases == 3 else 0, "St": _RUNNING, "InvSt": 3, "ConnSt": _CONNECTED,
                "Alrm": 0, "A_SF": -2, "V_SF": -1, "Hz_SF": -2, "W_SF": sf, "PF_SF": -3, "VA_SF": sf,
                "Var_SF": sf, "TotWh_SF": 0, "TotVarh_SF": 0, "Tmp_SF": 0,
            },
        )  # fmt: skip
        image.put_all(702, {"W_SF": sf, "PF_SF": -3, "VA_SF": sf, "Var_SF": sf, "V_SF": -1, "A_SF": -1})
        image.put_all(702, {**rated, "VNomRtg": config.v_nominal_v, "VNom": config.v_nominal_v})
        image.put_all(
            704,
            {
                "WSet_SF": -1, "WSetPct_SF": -1, "VarSet_SF": 0, "VarSetPct_SF": -1, "WMaxLimPct_SF": -2,
                "PF_SF": -3, "WSetEna": 0, "WSetMod": _SET_IN_WATTS, "WSet": 0, "WSetRvrt": 0, "WSetPct": 0,
                "WSetPctRvrt": 0, "WSetEnaRvrt": 0, "WSetRvrtTms": 0, "WSetRvrtRem": 0, "WMaxLimPctEna": 0,
                "WMaxLimPct": 100, "WMaxLimPctRvrt": 100, "WMaxLimPctEnaRvrt": 0, "WMaxLimPctRvrtTms": 0,
                "WMaxLimPctRvrtRem": 0, "PFWInjEna": 0, "PFWAbsEna": 0, "VarSetEna": 0, "AntiIslEna": 1,
            },
        )  # fmt: skip
        image.put_all(713, {"WH_SF": integer_sf(config.capacity_wh, 65535), "Pct_SF": -2})
        image.put_all(713, {"WHRtg": config.capacity_wh, "SoH": 100, "Sta": 0})

    def power_on(self) -> None:
        """Idle, without a set point, a limit or a timer."""
        self.image.put_all(704, {"WSetEna": 0, "WSet": 0, "WSetRvrtTms": 0, "WMaxLimPctEna": 0})
        self._set_timer.start(0)
        self._limit_timer.start(0)

    def allows(self, key: Key, value: float) -> bool:
        """Refuse set points beyond the nameplate."""
        if key in ((704, "WSet"), (704, "WSetRvrt")):
            return abs(value) <= self.config.p_max_w
        if key in ((704, "WMaxLimPct"), (704, "WMaxLimPctRvrt")):
            return 0 <= value <= 100
        if key in ((704, "WSetPct"), (704, "WSetPctRvrt")):
            return abs(value) <= 100
        if key[0] == 702 and key[1].startswith(("W", "VA")):
            return 0 < value <= self.config.p_max_w
        return True

    def written(self, points: frozenset[Key]) -> None:
        """Restart a function's timer with every write to it (it is inert while disabled)."""
        image = self.image
        names = {name for model, name in points if model == 704}
        if any(name.startswith("WSet") for name in names):
            self._set_timer.start(image.get(704, "WSetRvrtTms") if image.get(704, "WSetEna") else 0)
        if any(name.startswith("WMaxLim") for name in names):
            enabled = image.get(704, "WMaxLimPctEna")
            self._limit_timer.start(image.get(704, "WMaxLimPctRvrtTms") if enabled else 0)
        self._publish_timers()

    def _revert_set(self) -> None:
        self.settle()
        image = self.image
        for name in ("WSet", "WSetPct", "WSetEna"):
            image.put(704, name, image.get(704, f"{name}Rvrt"))
        self.retarget()

    def _revert_limit(self) -> None:
        self.settle()
        image = self.image
        image.put(704, "WMaxLimPct", image.get(704, "WMaxLimPctRvrt"))
        image.put(704, "WMaxLimPctEna", image.get(704, "WMaxLimPctEnaRvrt"))
        self.retarget()

    def retarget(self) -> None:
        """Follow the set point within the limits."""
        image, p_max_w = self.image, self.config.p_max_w
        most_w = least_w = min(image.get(702, "WMax"), p_max_w)
        if image.get(704, "WMaxLimPctEna"):
            most_w *= image.get(704, "WMaxLimPct") / 100
        most_w = min(most_w, image.get(702, "WDisChaRteMax"))
        least_w = min(least_w, image.get(702, "WChaRteMax"))
        target_w = 0.0
        if image.get(704, "WSetEna"):
            in_watts = image.get(704, "WSetMod") == _SET_IN_WATTS
            target_w = image.get(704, "WSet") if in_watts else image.get(704, "WSetPct") / 100 * p_max_w
        self.process.target_w = min(max(target_w, -least_w), most_w)

    def publish(self) -> None:
        """Put models 701 and 713."""
        put, power_w = self.image.put, self.meter.mean_w
        v = self.config.v_nominal_v * self.v_pu
        put(701, "W", power_w)
        put(701, "VA", abs(power_w))
        put(701, "Var", 0)
        put(701, "PF", 1)
        put(701, "Hz", _HZ)
        put(701, "LNV", v)
        put(701, "LLV", v * math.sqrt(3))
        put(701, "A", abs(power_w) / v if v > 0 else 0)
        put(701, "TotWhInj", math.floor(self.meter.export_wh))
        put(701, "TotWhAbs", math.floor(self.meter.import_wh))
        put(713, "WHAvail", self.storage.energy_wh)
        put(713, "SoC", 100 * self.storage.soc)
        self._publish_timers()

    def _publish_timers(self) -> None:
        self.image.put(704, "WSetRvrtRem", self._set_timer.remaining_s)
        self.image.put(704, "WMaxLimPctRvrtRem", self._limit_timer.remaining_s)

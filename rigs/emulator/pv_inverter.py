"""A three-phase PV inverter by SunSpec models 1, 103, 120, 121, 123 (what inverters in the field speak) and 701
to 712, 715 (IEEE 1547-2018).
"""

import math

from rigs.emulator.config import EmulatorConfig, integer_sf
from rigs.emulator.der import SUPPORT_MODELS, Der
from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.process import PowerProcess
from rigs.emulator.timer import ReversionTimer

_OFF, _MPPT, _THROTTLED, _STANDBY = 1, 4, 5, 8  # model 103, St
_STARTING = 3
_PV = 4  # model 120, DERTyp
_EVT1_BITS = 0xFFFF


class PvInverter(Der):
    """Generates what the sun allows, up to its limits (model 123 or 704) and set point (704)."""

    def __init__(self, config: EmulatorConfig) -> None:
        legacy = [(1, None), (103, None), (120, None), (121, None), (123, None)]
        image = SunSpecImage([*legacy, *SUPPORT_MODELS])
        process = PowerProcess(response_s=config.response_s, ramp_w_per_s=config.ramp_w_per_s)
        super().__init__(config, image, process, may_absorb=False)
        self._timer = ReversionTimer(self.env, self._revert)
        self._connect_timer = ReversionTimer(self.env, self._reconnect)
        self._describe()
        self.retarget()
        self.advance(0)

    def _describe(self) -> None:
        image, p_max_w = self.image, self.config.p_max_w
        sf = integer_sf(p_max_w)
        a_max = p_max_w / (self.config.v_nominal_v * self.config.phases)
        image.put_all(103, {"A_SF": -2, "V_SF": -1, "W_SF": sf, "Hz_SF": -2, "VA_SF": sf, "VAr_SF": sf})
        image.put_all(103, {"PF_SF": -2, "WH_SF": 0, "Tmp_SF": 0, "TmpCab": 35, "Evt1": 0, "Evt2": 0})
        image.put_all(
            120,
            {
                "DERTyp": _PV, "WRtg_SF": sf, "WRtg": p_max_w, "VARtg_SF": sf, "VARtg": p_max_w, "VArRtg_SF":
                sf, "VArRtgQ1": image.get(702, "VarMaxInjRtg"), "VArRtgQ2": 0, "VArRtgQ3": 0,
                "VArRtgQ4": -image.get(702, "VarMaxAbsRtg"), "ARtg_SF": -1, "ARtg": a_max, "PFRtg_SF": -2,
                "PFRtgQ1": 0.9, "PFRtgQ2": -1, "PFRtgQ3": -1, "PFRtgQ4": -0.9,
            },
        )  # fmt: skip
        image.put_all(121, {"WMax_SF": sf, "VRef_SF": -1, "VRefOfs_SF": -1})
        image.put_all(121, {"WMax": p_max_w, "VRef": self.config.v_nominal_v, "VRefOfs": 0})
        image.put_all(
            123,
            {
                "WMaxLimPct_SF": -2, "OutPFSet_SF": -2, "VArPct_SF": -1, "Conn": 1, "Conn_RvrtTms": 0,
                "WMaxLimPct": 100, "WMaxLimPct_RvrtTms": 0, "WMaxLim_Ena": 0, "OutPFSet": 1, "OutPFSet_Ena":
                0, "VArPct_Ena": 0,
            },
        )  # fmt: skip

    def power_on(self) -> None:
        """Connected and without a limit."""
        super().power_on()
        self.image.put_all(123, {"WMaxLim_Ena": 0, "WMaxLimPct": 100, "WMaxLimPct_RvrtTms": 0, "Conn": 1})
        self._timer.start(0)

    @property
    def limit_w(self) -> float:
        """Most the inverter may generate now by models 121 and 123."""
        image = self.image
        w_max = min(image.get(121, "WMax"), self.config.p_max_w)
        if not image.get(123, "Conn"):
            return 0.0
        if image.get(123, "WMaxLim_Ena"):
            w_max *= image.get(123, "WMaxLimPct") / 100
        return w_max

    def allows(self, key: Key, value: float) -> bool:
        """Refuse what the nameplate does not allow, and what only models 701 to 710 do here."""
        if key == (123, "WMaxLimPct"):
            return 0 <= value <= 100
        if key == (121, "WMax"):
            return 0 < value <= self.config.p_max_w
        if key in ((123, "OutPFSet_Ena"), (123, "VArPct_Ena")):
            return value == 0
        return super().allows(key, value)

    def written(self, points: frozenset[Key]) -> None:
        """Restart the function's timer with every write to the function (it is inert while disabled)."""
        super().written(points)
        names = {name for model, name in points if model == 123}
        if any(name.startswith("WMaxLim") for name in names):
            enabled = self.image.get(123, "WMaxLim_Ena")
            self._timer.start(self.image.get(123, "WMaxLimPct_RvrtTms") if enabled else 0)
        if any(name.startswith("Conn") for name in names):
            connected = self.image.get(123, "Conn")
            self._connect_timer.start(0 if connected else self.image.get(123, "Conn_RvrtTms"))

    def _revert(self) -> None:
        self.settle()
        self.image.put(123, "WMaxLim_Ena", 0)
        self.retarget()

    def _reconnect(self) -> None:
        self.settle()
        self.image.put(123, "Conn", 1)
        self.retarget()

    def wanted_w(self) -> float:
        """Follow the sun, the limits of models 121 and 123, and the set point of 704."""
        wanted_w = max(0.0, min(self.p_available_w, self.limit_w, self.image.get(702, "WMax")))
        set_w = self.control.set_w()
        return wanted_w if set_w is None else min(wanted_w, max(0.0, set_w))

    def throttled(self) -> bool:
        """Whether the sun would allow more."""
        return self.process.target_w < self.p_available_w

    def publish(self) -> None:
        """Put model 103 beside those of grid support."""
        super().publish()
        power_w, var = self.meter.mean_w, self.mean_var
        va, v = math.hypot(power_w, var), self.config.v_nominal_v * self.v_pu
        a = va / (v * self.config.phases) if v > 0 else 0.0
        values: dict[str, float | str] = {
            "W": power_w, "VA": va, "VAr": var, "PF": power_w / va if va else 1, "Hz": self.f_hz,
            "A": a * self.config.phases, "WH": math.floor(self.meter.export_wh) % (1 << 32),
            "St": self._legacy_state(power_w), "Evt1": self.alarms() & _EVT1_BITS,
        }  # fmt: skip
        for phase in "ABC":
            values |= {f"Aph{phase}": a, f"PhVph{phase}": v}
        self.image.put_all(103, values)

    def _legacy_state(self, power_w: float) -> int:
        if self.ride_through.forbids or self.heartbeat.stopped:
            return _STANDBY
        if power_w == 0:
            return _OFF
        if self.ride_through.ramping:
            return _STARTING
        return _THROTTLED if self.throttled() else _MPPT

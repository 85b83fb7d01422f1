"""A three-phase PV inverter by SunSpec models 1, 103, 120, 121 and 123 (watt limit with reversion timer)."""

import math

from rigs.emulator.config import EmulatorConfig, integer_sf
from rigs.emulator.device import EmulatedDevice, ReversionTimer
from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.process import PowerProcess

_MPPT, _OFF, _THROTTLED = 4, 1, 5  # model 103, St
_PV = 4  # model 120, DERTyp
_HZ = 50.0


class PvInverter(EmulatedDevice):
    """Generates what the sun allows, up to its limit (``WMaxLimPct`` of ``WMax`` while enabled)."""

    def __init__(self, config: EmulatorConfig) -> None:
        image = SunSpecImage([(1, None), (103, None), (120, None), (121, None), (123, None)])
        process = PowerProcess(response_s=config.response_s, ramp_w_per_s=config.ramp_w_per_s)
        super().__init__(config, image, process)
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
                sf, "VArRtgQ1": 0, "VArRtgQ2": 0, "VArRtgQ3": 0, "VArRtgQ4": 0, "ARtg_SF": -1, "ARtg": a_max,
                "PFRtg_SF": -2, "PFRtgQ1": 1, "PFRtgQ2": -1, "PFRtgQ3": -1, "PFRtgQ4": 1,
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
        self.image.put_all(123, {"WMaxLim_Ena": 0, "WMaxLimPct": 100, "WMaxLimPct_RvrtTms": 0, "Conn": 1})
        self._timer.start(0)

    @property
    def limit_w(self) -> float:
        """Most the inverter may generate now."""
        image = self.image
        w_max: float = min(image.get(121, "WMax"), self.config.p_max_w)
        if not image.get(123, "Conn"):
            return 0.0
        if image.get(123, "WMaxLim_Ena"):
            w_max *= image.get(123, "WMaxLimPct") / 100
        return w_max

    def allows(self, key: Key, value: float) -> bool:
        """Refuse what the nameplate does not allow."""
        if key == (123, "WMaxLimPct"):
            return 0 <= value <= 100
        if key == (121, "WMax"):
            return 0 < value <= self.config.p_max_w
        return True

    def written(self, points: frozenset[Key]) -> None:
        """Restart the function's timer with every write to the function (it is inert while disabled)."""
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

    def retarget(self) -> None:
        """Follow sun and limit."""
        self.process.target_w = max(0.0, min(self.p_available_w, self.limit_w))

    def publish(self) -> None:
        """Put model 103."""
        image, power_w = self.image, self.meter.mean_w
        v = self.config.v_nominal_v * self.v_pu
        a = abs(power_w) / (v * self.config.phases) if v > 0 else 0.0
        throttled = self.limit_w < self.p_available_w
        state = _OFF if power_w == 0 else _THROTTLED if throttled else _MPPT
        put = image.put
        put(103, "W", power_w)
        put(103, "VA", abs(power_w))
        put(103, "VAr", 0)
        put(103, "PF", 1)
        put(103, "Hz", _HZ)
        put(103, "A", a * self.config.phases)
        for phase in "ABC":
            put(103, f"Aph{phase}", a)
            put(103, f"PhVph{phase}", v)
        put(103, "WH", math.floor(self.meter.export_wh) % (1 << 32))
        put(103, "St", state)

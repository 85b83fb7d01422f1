"""A three-phase smart meter by SunSpec models 1 and 203; it sees whatever flow it is told of."""

import math

from rigs.emulator.config import EmulatorConfig, integer_sf
from rigs.emulator.device import EmulatedDevice
from rigs.emulator.image import Key, SunSpecImage
from rigs.emulator.process import PowerProcess

_ACC32 = 1 << 32


class SmartMeter(EmulatedDevice):
    """Registers ``p_available_w`` (signed, positive into the grid). Its W register is positive for import."""

    def __init__(self, config: EmulatorConfig) -> None:
        image = SunSpecImage([(1, None), (203, None)])
        super().__init__(config, image, PowerProcess(response_s=0.0))
        sf = integer_sf(config.p_max_w)
        image.put_all(203, {"A_SF": -2, "V_SF": -1, "Hz_SF": -2, "W_SF": sf, "VA_SF": sf, "VAR_SF": sf})
        image.put_all(203, {"PF_SF": -2, "TotWh_SF": 0, "TotVAh_SF": 0, "TotVArh_SF": 0, "Evt": 0, "Hz": 50})
        self.retarget()
        self.advance(0)

    def written(self, points: frozenset[Key]) -> None:
        """A meter has nothing to write."""

    def retarget(self) -> None:
        """Follow the flow."""
        self.process.target_w = self.p_available_w

    def publish(self) -> None:
        """Put model 203."""
        put, power_w = self.image.put, self.meter.mean_w
        v = self.config.v_nominal_v * self.v_pu
        put(203, "W", -power_w)
        put(203, "VAR", -self.q_var)
        put(203, "PhV", v)
        put(203, "A", abs(power_w) / v if v > 0 else 0)
        put(203, "TotWhExp", math.floor(self.meter.export_wh) % _ACC32)
        put(203, "TotWhImp", math.floor(self.meter.import_wh) % _ACC32)

"""A battery inverter by SunSpec models 1, 701 to 713 and 715: signed set point by 704, with reversion."""

from rigs.emulator.config import EmulatorConfig, integer_sf
from rigs.emulator.der import SUPPORT_MODELS, Der
from rigs.emulator.image import SunSpecImage
from rigs.emulator.process import PowerProcess, Storage


class Battery(Der):
    """Runs at its set point (positive discharges) while enabled, else idles; keeps its own state of
    charge."""

    def __init__(self, config: EmulatorConfig) -> None:
        *support, last = SUPPORT_MODELS
        image = SunSpecImage([(1, None), *support, (713, None), last])
        storage = Storage(config.capacity_wh, config.capacity_wh * config.soc_initial, config.efficiency)
        process = PowerProcess(
            response_s=config.response_s, ramp_w_per_s=config.ramp_w_per_s, storage=storage
        )
        super().__init__(config, image, process, may_absorb=True)
        self.storage = storage
        self._describe()
        self.advance(0)

    def _describe(self) -> None:
        image, p_max_w, capacity_wh = self.image, self.config.p_max_w, self.config.capacity_wh
        image.put_all(702, dict.fromkeys(("WChaRteMaxRtg", "WDisChaRteMaxRtg"), p_max_w))
        image.put_all(702, dict.fromkeys(("WChaRteMax", "WDisChaRteMax"), p_max_w))
        image.put_all(713, {"WH_SF": integer_sf(capacity_wh, 65535), "Pct_SF": -2})
        image.put_all(713, {"WHRtg": capacity_wh, "SoH": 100, "Sta": 0})

    def wanted_w(self) -> float:
        """Follow the set point within the limits of charging and discharging."""
        target_w = self.control.set_w() or 0.0
        return min(max(target_w, -self._most_w("WChaRteMax")), self.ceiling_w())

    def ceiling_w(self) -> float:
        """Discharge at most."""
        return self._most_w("WDisChaRteMax")

    def _most_w(self, rate: str) -> float:
        return min(self.image.get(702, "WMax"), self.config.p_max_w, self.image.get(702, rate))

    def throttled(self) -> bool:
        """Whether the set point asks for more output."""
        return self.process.target_w < (self.control.set_w() or 0.0)

    def publish(self) -> None:
        """Put model 713 beside those of grid support."""
        super().publish()
        self.image.put(713, "WHAvail", self.storage.energy_wh)
        self.image.put(713, "SoC", 100 * self.storage.soc)

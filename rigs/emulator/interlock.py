"""An input module with one bit: the interlock of an emulated rig, closed until it is told otherwise."""

from adapters.modbus.register_map import MapPoint, RegisterMap
from adapters.modbus.sunspec_model import PointDef
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.device import EmulatedDevice
from rigs.emulator.image import Key
from rigs.emulator.map_image import MapImage
from rigs.emulator.process import PowerProcess

_CODEC = PointDef("Closed", "uint16", 0, 1, None, False, "", frozenset())
_POINT = MapPoint(0, "Closed", _CODEC, 1.0, "", True, False, "input", None, "volatile", "", "emulated")


class Interlock(EmulatedDevice):
    """Register 0 is 1 while the interlock is closed. Negative ``p_available_w`` opens it: somebody pressed the stop."""

    def __init__(self, config: EmulatorConfig) -> None:
        super().__init__(config, MapImage(RegisterMap("interlock", {"Closed": _POINT})), PowerProcess())
        self.retarget()

    def written(self, points: frozenset[Key]) -> None:
        """An input has nothing to write."""

    def retarget(self) -> None:
        """Follow the wiring."""
        self.image.put(0, "Closed", 0 if self.p_available_w < 0 else 1)

    def publish(self) -> None:
        """Nothing is measured."""

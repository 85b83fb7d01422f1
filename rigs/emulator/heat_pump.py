"""A heat pump with an SG Ready interface by the register map of a Stiebel Eltron ISG."""

from adapters.modbus.register_map import load_map, shipped_maps
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.device import EmulatedDevice
from rigs.emulator.image import Key
from rigs.emulator.map_image import MapImage
from rigs.emulator.process import PowerProcess

_STATES = {(0, 1): 1, (0, 0): 2, (1, 0): 3, (1, 1): 4}  # inputs 1 and 2 to the operating state of the manual
_BOOST_SHARE = 0.6  # of rated power, at least, in state 3


class HeatPump(EmulatedDevice):
    """Draws what the house needs (``p_available_w``, given as a positive number) as its SG Ready state
    allows.

    State 1 blocks, 2 follows the need, 3 runs at 60 % or more, 4 at full power. Drawing is negative power.
    """

    def __init__(self, config: EmulatorConfig) -> None:
        image = MapImage(load_map(shipped_maps()["stiebel_isg"]))
        process = PowerProcess(response_s=config.response_s, ramp_w_per_s=config.ramp_w_per_s)
        super().__init__(config, image, process)
        image.put_all(0, {"SgReadyOn": 1, "Controller": 449})
        self.retarget()
        self.advance(0)

    @property
    def state(self) -> int:
        """SG Ready operating state, 1..4; 2 while the interface is off."""
        get = self.image.get
        if not get(0, "SgReadyOn"):
            return 2
        return _STATES[int(get(0, "SgReadyInput1")), int(get(0, "SgReadyInput2"))]

    def allows(self, key: Key, value: float) -> bool:
        """Refuse anything but on and off."""
        return value in (0, 1)

    def written(self, points: frozenset[Key]) -> None:
        """Nothing beyond the new state."""

    def retarget(self) -> None:
        """Follow need and state."""
        need_w, most_w, state = max(0.0, self.p_available_w), self.config.p_max_w, self.state
        draws_w = {1: 0.0, 2: need_w, 3: max(need_w, _BOOST_SHARE * most_w), 4: most_w}[state]
        self.process.target_w = -min(draws_w, most_w)
        self.image.put(0, "SgReadyState", state)

    def publish(self) -> None:
        """Put the operating state; this interface has no power measurement."""
        self.image.put(0, "SgReadyState", self.state)

"""A heat pump with an SG Ready interface by the register map of a Stiebel Eltron ISG."""

from adapters.modbus.register_map import load_map, shipped_maps
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.device import EmulatedDevice
from rigs.emulator.image import Key
from rigs.emulator.map_image import MapImage
from rigs.emulator.process import PowerProcess
from rigs.sg_ready import INPUTS, NORMAL, HeatNeed, draws_w

_STATES = {inputs: state for state, inputs in INPUTS.items()}


class HeatPump(EmulatedDevice):
    """Draws what the house needs (``p_available_w``, given as a positive number) as its SG Ready state allows, and no
    more than its store takes (``ask``); see ``rigs.sg_ready``. Drawing is negative power.
    """

    def __init__(self, config: EmulatorConfig) -> None:
        image = MapImage(load_map(shipped_maps()["stiebel_isg"]))
        process = PowerProcess(response_s=config.response_s, ramp_w_per_s=config.ramp_w_per_s)
        self._most_w = config.p_max_w
        super().__init__(config, image, process)
        image.put_all(0, {"SgReadyOn": 1, "Controller": 449})
        self.retarget()
        self.advance(0)

    @property
    def state(self) -> int:
        """SG Ready operating state, 1..4; 2 while the interface is off."""
        get = self.image.get
        if not get(0, "SgReadyOn"):
            return NORMAL
        return _STATES[int(get(0, "SgReadyInput1")), int(get(0, "SgReadyInput2"))]

    def allows(self, key: Key, value: float) -> bool:
        """Refuse anything but on and off."""
        return value in (0, 1)

    def written(self, points: frozenset[Key]) -> None:
        """Nothing beyond the new state."""

    def ask(self, most_w: float) -> None:
        """Draw no more than the heat store takes from now on."""
        self._most_w = most_w

    def retarget(self) -> None:
        """Follow need and state."""
        need = HeatNeed(max(0.0, self.p_available_w), self._most_w)
        self.process.target_w = -draws_w(self.state, need, self.config.p_max_w)
        self.image.put(0, "SgReadyState", self.state)

    def publish(self) -> None:
        """Put the operating state; this interface has no power measurement."""
        self.image.put(0, "SgReadyState", self.state)

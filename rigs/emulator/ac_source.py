"""An AC source (grid simulator): sets the voltage at the terminals of emulated devices, by SCPI."""

from adapters.modbus.register_map import RegisterMap
from rigs.emulator.config import EmulatorConfig
from rigs.emulator.device import EmulatedDevice
from rigs.emulator.image import Key
from rigs.emulator.map_image import MapImage
from rigs.emulator.process import PowerProcess
from rigs.emulator.scpi_server import Interpreter, boolean, number
from rigs.emulator.terminals import Mains, Terminals

_MOST_V, _LEAST_HZ, _MOST_HZ = 300.0, 40.0, 70.0


class AcSource(EmulatedDevice):
    """Ideal: the voltage at its terminals is what was set, while its output is on. It starts at nominal
    voltage with its output on, as mains.
    """

    def __init__(self, config: EmulatorConfig) -> None:
        super().__init__(config, MapImage(RegisterMap("ac_source", {})), PowerProcess())
        self._terminals = Terminals(config.terminals_fd) if config.terminals_fd >= 0 else None
        self.voltage_v, self.frequency_hz, self.on = config.v_nominal_v, config.f_nominal_hz, True
        self.interpreter = Interpreter(
            {
                "*IDN?": lambda _: f"{config.maker},{config.model},{config.serial},1",
                "*RST": self._reset,
                "*CLS": self._clear,
                "*OPC?": lambda _: "1",
                "SYSTem:ERRor[:NEXT]?": lambda _: self.interpreter.next_error(),
                "[SOURce:]VOLTage[:LEVel][:IMMediate][:AMPLitude]": self._set_voltage,
                "[SOURce:]VOLTage[:LEVel][:IMMediate][:AMPLitude]?": lambda _: f"{self.voltage_v:.4f}",
                "[SOURce:]FREQuency[:CW]": self._set_frequency,
                "[SOURce:]FREQuency[:CW]?": lambda _: f"{self.frequency_hz:.4f}",
                "OUTPut[:STATe]": self._switch,
                "OUTPut[:STATe]?": lambda _: str(int(self.on)),
                "MEASure[:SCALar]:VOLTage[:AC]?": lambda _: f"{self._mains().voltage_v:.4f}",
                "MEASure[:SCALar]:FREQuency?": lambda _: f"{self.frequency_hz:.4f}",
            }
        )
        self._apply()

    def _mains(self) -> Mains:
        return Mains(self.voltage_v if self.on else 0.0, self.frequency_hz, self.config.v_nominal_v)

    def _apply(self) -> None:
        if self._terminals is not None:
            self._terminals.set(self._mains())

    def _set_voltage(self, parameter: str) -> None:
        self.voltage_v = number(parameter, 0.0, _MOST_V)
        self._apply()

    def _set_frequency(self, parameter: str) -> None:
        self.frequency_hz = number(parameter, _LEAST_HZ, _MOST_HZ)
        self._apply()

    def _switch(self, parameter: str) -> None:
        self.on = boolean(parameter)
        self._apply()

    def _reset(self, _: str) -> None:
        self.voltage_v, self.frequency_hz, self.on = 0.0, self.config.f_nominal_hz, False  # as instruments do
        self._apply()

    def _clear(self, _: str) -> None:
        self.interpreter.clear()

    def written(self, points: frozenset[Key]) -> None:
        """It has no registers."""

    def retarget(self) -> None:
        """It follows nobody."""

    def publish(self) -> None:
        """It has no registers."""

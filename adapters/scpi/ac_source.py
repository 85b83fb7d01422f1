"""An AC source (grid simulator): voltage, frequency and output of a mains that one can set."""

import math
from dataclasses import dataclass

from adapters.scpi.errors import ScpiError
from adapters.scpi.link import ScpiLink


@dataclass(frozen=True)
class SourceReading:
    """What the source measures at its own terminals."""

    voltage_v: float
    frequency_hz: float


class AcSource:
    """Sets all phases alike, line to neutral, RMS. Every method raises ``ScpiError``."""

    def __init__(self, link: ScpiLink) -> None:
        self.link = link

    async def identity(self) -> str:
        """Return maker, model, serial and firmware as the instrument says them."""
        return await self.link.ask("*IDN?")

    async def set_voltage(self, voltage_v: float) -> None:
        """Set the voltage and read the setting back."""
        await self._set("VOLT", voltage_v, 4)

    async def set_frequency(self, frequency_hz: float) -> None:
        """Set the frequency and read the setting back."""
        await self._set("FREQ", frequency_hz, 4)

    async def switch(self, on: bool) -> None:
        """Close or open the output and see that it did."""
        await self.link.tell(f"OUTP {'ON' if on else 'OFF'}")
        answer = await self.link.ask("OUTP?")
        if answer.upper() not in (("1", "ON") if on else ("0", "OFF")):
            raise ScpiError(f"{self.link.name}: OUTP reads {answer!r} after it was set to {on}")

    async def measure(self) -> SourceReading:
        """Measure voltage and frequency."""
        voltage_v = self._number("MEAS:VOLT?", await self.link.ask("MEAS:VOLT?"))
        return SourceReading(voltage_v, self._number("MEAS:FREQ?", await self.link.ask("MEAS:FREQ?")))

    async def _set(self, header: str, value: float, digits: int) -> None:
        if not math.isfinite(value):
            raise ScpiError(f"{self.link.name}: {header} {value} is no number")
        await self.link.tell(f"{header} {value:.{digits}f}")
        held = self._number(f"{header}?", await self.link.ask(f"{header}?"))
        if not abs(held - value) <= 0.01 + 1e-4 * abs(value):
            raise ScpiError(f"{self.link.name}: {header} reads {held} after {value} was set")

    def _number(self, query: str, answer: str) -> float:
        try:
            number = float(answer)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or abs(number) > 9e37:  # SCPI's own "not a number" is 9.91e37
            raise ScpiError(f"{self.link.name}: {query} was answered with {answer!r}")
        return number

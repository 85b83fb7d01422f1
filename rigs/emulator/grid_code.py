"""The figures of IEEE 1547-2018 that an emulated inverter follows by default.

Frequencies of the standard are for 60 Hz; they are kept here as distances from nominal, so that a device on a
50 Hz grid trips at the same distances.
"""

from dataclasses import dataclass

OVER_FREQUENCY, UNDER_FREQUENCY, OVER_VOLTAGE, UNDER_VOLTAGE = 8, 9, 10, 11
"""Alarm bits of models 701 (Alrm) and 103 (Evt1)."""


@dataclass(frozen=True)
class Trip:
    """A mandatory trip: at or beyond ``limit`` for ``after_s`` the device ceases to energise and trips.

    ``limit`` in pu of nominal voltage, or in Hz from nominal frequency.
    """

    model_id: int  # that shows it: 707 low voltage, 708 high voltage, 709 low and 710 high frequency
    limit: float
    after_s: float

    @property
    def low(self) -> bool:
        """Whether it trips below the limit."""
        return self.model_id in (707, 709)

    @property
    def of_voltage(self) -> bool:
        """Whether it watches voltage, not frequency."""
        return self.model_id in (707, 708)

    @property
    def alarm_bit(self) -> int:
        """Bit of the alarm it raises."""
        return {707: UNDER_VOLTAGE, 708: OVER_VOLTAGE, 709: UNDER_FREQUENCY, 710: OVER_FREQUENCY}[
            self.model_id
        ]


_OVER_VOLTAGE_2 = Trip(708, 1.20, 0.16)
_FREQUENCY = (Trip(710, 2.0, 0.16), Trip(710, 1.2, 300), Trip(709, -1.5, 300), Trip(709, -3.5, 0.16))
TRIPS: dict[str, tuple[Trip, ...]] = {
    "I": (_OVER_VOLTAGE_2, Trip(708, 1.10, 2.0), Trip(707, 0.70, 2.0), Trip(707, 0.45, 0.16), *_FREQUENCY),
    "II": (_OVER_VOLTAGE_2, Trip(708, 1.10, 2.0), Trip(707, 0.70, 10.0), Trip(707, 0.45, 0.16), *_FREQUENCY),
    "III": (_OVER_VOLTAGE_2, Trip(708, 1.10, 13.0), Trip(707, 0.88, 21.0), Trip(707, 0.50, 2.0), *_FREQUENCY),
    "none": (),
}
"""Default settings by abnormal operating performance category: tables 11 to 13 (voltage) and 18 (frequency)."""

CESSATION_PU: dict[str, tuple[float, float]] = {"III": (0.50, 1.10)}
"""Below and above which output ceases momentarily and returns by itself: table 16."""

ENTER_V_PU, ENTER_HZ = (0.917, 1.05), (-0.5, 0.1)
"""Window of entering service, in pu and in Hz from nominal: table 4."""
ENTER_RAMP_S = 300.0

Points = tuple[tuple[float, float], ...]
VOLT_VAR: dict[str, tuple[Points, float]] = {
    "A": (((90, 25), (100, 0), (100, 0), (110, -25)), 10.0),
    "B": (((92, 44), (98, 0), (102, 0), (108, -44)), 5.0),
}
"""Default volt-var curve in % of nominal voltage and % of rated apparent power, and open-loop response time in
s, by normal operating performance category: table 8. It is off until it is enabled."""
VOLT_WATT: tuple[Points, float] = (((106, 100), (110, 0)), 10.0)
"""Default volt-watt curve in % of nominal voltage and % of rated power, and open-loop response time in s: table
10."""
WATT_VAR: dict[str, tuple[Points, float]] = {
    "A": (((-100, 44), (-50, 0), (50, 0), (100, -25)), 10.0),
    "B": (((-100, 44), (-50, 0), (50, 0), (100, -44)), 10.0),
}
"""Default watt-var curve in % of rated active and of rated apparent power (absorbing active power is negative), by
normal operating performance category: table 9; it answers within 10 s. Its points at 20 % lie on its straight line."""
FREQ_DROOP = (0.036, 0.05, 5.0)
"""Dead band in Hz, droop in pu of frequency per pu of power, and open-loop response time in s: table 24."""
VAR_SHARE: dict[str, tuple[float, float]] = {"A": (0.44, 0.25), "B": (0.44, 0.44)}
"""Least reactive power capability, injecting and absorbing, as a share of rated apparent power: table 7."""

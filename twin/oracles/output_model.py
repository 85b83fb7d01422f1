"""The second source: what the weather and the nameplates allow, without a look at any inverter or meter.

The profile's generation per unit of rated power stands in for a pyranometer: it is turned into irradiance with the
day's true temperature, read with noise, and turned back into power with the temperature that the model believes (a
yearly and a daily wave). Load and storage are not predicted: they widen the estimate to a band. Where the band is
narrower than the tolerance (a PV plant without a house), the estimate is a value and takes part in the median.
"""

from dataclasses import dataclass
from math import cos, pi

import numpy as np
from numba import njit

from adapters.grid.feeder import FloatArray, IntArray
from twin.participants import BoolArray, Participants

LOSS_PER_K = 0.004  # of a crystalline module's power per kelvin above 25 degrees (data sheets: 0.3 to 0.5 %)
HEATING_K = 30.0  # a module in full sun above the air (nominal operating cell temperature 45 to 50 degrees)
DAY_S, YEAR_S = 86_400, 31_557_600
ANOMALY_K = 4.0  # standard deviation of a day's temperature from what the model believes
SPREAD = 4.0  # standard deviations of the estimate that the band covers
LOAD_HEADROOM = (
    1.25  # above the highest load of the profile's year, which stands in for the operator's history
)


def believed_temperature_c(day_of_year: float, second_of_day: int) -> float:
    """Air temperature in central Europe: a yearly wave with its lowest point in mid-January, a daily one at 4 am."""
    year = 9.5 - 10.0 * cos(2 * pi * (day_of_year - 15) / 365.25)
    return year - 4.0 * cos(2 * pi * (second_of_day - 4 * 3600) / DAY_S)


@dataclass(frozen=True)
class Band:
    """What is admissible for each participant in an interval, whole Wh, + into the grid; (n,) each.

    ``value_wh`` is an estimate where ``has_value``. ``least_wh`` and ``most_wh`` are what the nameplates allow at all.
    """

    low_wh: IntArray
    high_wh: IntArray
    value_wh: IntArray
    has_value: BoolArray
    least_wh: IntArray
    most_wh: IntArray


@njit(cache=True)
def derating(sun_pu, air_c):  # type: ignore[no-untyped-def]
    """Output of modules per irradiance (per unit), relative to that at 25 degrees."""
    return 1.0 - LOSS_PER_K * (air_c + HEATING_K * sun_pu - 25.0)


@njit(cache=True)
def _bounds(  # type: ignore[no-untyped-def]
    sun_w, reading, true_c, believed_c, hours, spread, rated, down, up, export_wh, tolerance_wh
):
    """Lowest and highest admissible energy, the estimate, and whether it is narrow enough to be a value; (n,) each."""
    n = sun_w.size
    low, high, value = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    narrow = np.empty(n, np.bool_)
    for i in range(n):
        estimate = 0.0
        if rated[i] > 0:
            power_pu = sun_w[i] / rated[i]
            irradiance = reading * power_pu / derating(power_pu, true_c)
            estimate = irradiance * derating(power_pu, believed_c) * rated[i] * hours
        width = spread * estimate
        least, most = estimate - width - down[i], estimate + width + up[i]
        if rated[i] > 0:  # PV is curtailed to what may be exported, never below it
            least = min(least, export_wh - down[i])
        low[i], high[i], value[i] = np.floor(least), np.ceil(most), np.rint(estimate)
        narrow[i] = rated[i] > 0 and most - least <= 2 * tolerance_wh
    return low, high, value, narrow


class OutputModel:
    """Makes a band per participant and interval."""

    def __init__(
        self,
        people: Participants,
        peak_load_w: FloatArray,
        hours: float,
        rng: np.random.Generator,
        error_percent: float,
        tolerance_wh: int,
    ) -> None:
        """Bind the model.

        Args:
            people: nameplates.
            peak_load_w: highest load of each participant in its history, heat pump and car left out; (n,).
            hours: length of an interval.
            rng: where the noise of the irradiance and the temperatures come from.
            error_percent: standard deviation of the irradiance.
            tolerance_wh: a band at most twice this wide counts as a value.
        """
        self._rated = people.pv_rated_w
        self._hours, self._rng, self._error = hours, rng, error_percent / 100
        self._tolerance_wh = tolerance_wh
        self.spread = SPREAD * (self._error + LOSS_PER_K * ANOMALY_K)
        self._anomaly_k, self._day = 0.0, -1
        load = LOAD_HEADROOM * np.maximum(peak_load_w, 0.0)
        most = load + people.ev_p_w + people.heat_pump_p_w
        self.most_load_wh = most * hours
        self._down = (most + people.battery_p_w) * hours
        self._up = people.battery_p_w * hours
        self._export_wh = people.exportable_w * hours
        least, most = -self._down, (1.25 * self._rated + people.battery_p_w) * hours
        self._least, self._most = np.floor(least).astype(np.int64), np.ceil(most).astype(np.int64)

    def band(self, sun_w: FloatArray, day: int, day_of_year: float, second_of_day: int) -> Band:
        """The band of an interval.

        Args:
            sun_w: (n,) what the sun allows (mean of the interval), from the profile alone.
            day: number of the day in the run.
            day_of_year: from 1.
            second_of_day: at the middle of the interval.
        """
        while self._day < day:
            self._day += 1
            self._anomaly_k = ANOMALY_K * float(self._rng.standard_normal())
        reading = max(0.0, 1.0 + self._error * float(self._rng.standard_normal()))  # clouds are everybody's
        believed_c = believed_temperature_c(day_of_year, second_of_day)
        made = _bounds(
            sun_w, reading, believed_c + self._anomaly_k, believed_c, self._hours, self.spread, self._rated,
            self._down, self._up, self._export_wh, self._tolerance_wh,
        )  # fmt: skip
        low, high, value, narrow = made
        return Band(low, high, value, narrow, self._least, self._most)

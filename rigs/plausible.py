"""Do the power and the counters of one device say the same about a step?"""

import math
from dataclasses import dataclass, replace

from rigs.device import Quality, Sample

_COUNTER_WH, _COUNTER_SHARE = 3.0, 0.02  # two whole-Wh counters, and the rounding of the power register


@dataclass
class Plausibility:
    """Compares every sample with the one before."""

    _before: Sample | None = None

    def judged(self, sample: Sample, step_s: float) -> Sample:
        """Return the sample, as bad where its power (the mean over the step) and its counters contradict each other."""
        before, self._before = self._before, sample
        if before is None or Quality.BAD in (before.quality, sample.quality) or math.isnan(sample.p_gen_w):
            return sample
        counted_wh = sample.energy_export_wh - before.energy_export_wh
        counted_wh -= sample.energy_import_wh - before.energy_import_wh
        expected_wh = sample.p_gen_w * step_s / 3600
        if abs(counted_wh - expected_wh) <= _COUNTER_WH + _COUNTER_SHARE * abs(expected_wh):
            return sample
        note = f"power says {expected_wh:.0f} Wh, the counters {counted_wh:.0f} Wh"
        return replace(sample, quality=Quality.BAD, note=note)

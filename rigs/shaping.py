"""Shaping of an accepted order: ramp, deadband and least interval, by the rules of a role."""

import math
from dataclasses import dataclass, field

from rigs.gate_rules import GateRules


@dataclass
class Shaping:
    """What becomes of an order between what the device does and what is asked.

    The ramp has a place of its own: how far the set point may have come by now. It begins at what is measured, and time
    in which nothing else was asked gives no credit: a set point that stood still for an hour leaves no faster than any.
    """

    _at_w: float = field(default=math.nan, repr=False)  # NaN: not known, begins at what is measured
    _looked_s: float = field(default=math.nan, repr=False)

    def shaped(
        self, rules: GateRules, p_w: float, time_s: float, last_w: float, last_s: float, measured_w: float
    ) -> tuple[float, str]:
        """Return what would be sent for ``p_w``, and by which rule, empty where it stays itself; NaN where nothing can.

        Args:
            rules: of the role.
            p_w: what is asked.
            time_s: when, in the gate's time.
            last_w: what was sent last; NaN where the device's set point is not known.
            last_s: when that was sent.
            measured_w: what the device does; NaN where it is not known.
        """
        ramped_w = self.on_the_way(rules, p_w, time_s, measured_w)
        if math.isnan(ramped_w):
            return math.nan, "its present power is not known, so a ramp has nothing to begin at"
        ramp = "" if ramped_w == p_w else f"ramp of {rules.ramp_w_per_s} W/s"
        if math.isnan(last_w):
            return ramped_w, ramp
        if p_w == last_w:
            return p_w, ""
        if time_s - last_s < rules.min_interval_s:
            return last_w, f"least interval of {rules.min_interval_s} s"
        if abs(ramped_w - last_w) <= rules.deadband_w:
            return last_w, f"deadband of {rules.deadband_w} W"
        return ramped_w, ramp

    def on_the_way(self, rules: GateRules, p_w: float, time_s: float, measured_w: float) -> float:
        """Return how far a set point may be on its way to ``p_w``; NaN where there is nothing to begin at."""
        rate, (least_w, most_w) = rules.ramp_w_per_s, rules.p_gen_w
        if rate is None:
            return p_w
        if math.isnan(self._at_w):
            start_w, passed_s = min(max(measured_w, least_w), most_w), 0.0
        else:
            start_w, passed_s = self._at_w, max(time_s - self._looked_s, 0.0)
        if math.isnan(measured_w) and math.isnan(self._at_w):
            return math.nan
        far_w = rate * passed_s
        return p_w if abs(p_w - start_w) <= far_w else start_w + math.copysign(far_w, p_w - start_w)

    def stands(self, at_w: float, time_s: float) -> None:
        """Note how far the ramp is; NaN: it begins anew at what is measured then."""
        self._at_w, self._looked_s = at_w, time_s

    def stood_still(self, time_s: float) -> None:
        """Nothing was followed until now: that time is no credit."""
        self._looked_s = time_s

"""A first-order lag in closed form: what approaches a goal by a fixed share per time."""

import math

LN10 = math.log(10)
"""A lag with the time constant T / ln 10 has done 90 % of a step after T, its open-loop response time."""


class Lag:
    """A value that follows its goal with the time constant ``tau_s``; 0 follows at once."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = self.goal = value
        self.tau_s = 0.0

    def aim(self, goal: float, tau_s: float) -> None:
        """Set the goal from now on."""
        self.goal, self.tau_s = goal, tau_s
        if not tau_s > 0:
            self.value = goal

    def jump(self, value: float) -> None:
        """Be there at once."""
        self.value = self.goal = value

    def run(self, duration_s: float) -> tuple[float, float]:
        """Let time pass; returns the integrals of the positive and of the negative part, in units times
        s."""
        lag = self.value - self.goal
        if lag == 0.0:
            area = self.goal * duration_s
            return max(area, 0.0), min(area, 0.0)
        crossing_s = self._crossing_s(lag)
        parts = [self._area(lag, 0.0, min(crossing_s, duration_s))]
        if crossing_s < duration_s:
            parts.append(self._area(lag, crossing_s, duration_s))
        lag *= math.exp(-duration_s / self.tau_s)
        self.value = self.goal if abs(lag) < 1e-9 else self.goal + lag
        return sum(a for a in parts if a > 0), sum(a for a in parts if a < 0)

    def mean_ahead(self, duration_s: float) -> float:
        """Return the mean over the coming ``duration_s``."""
        if self.value == self.goal:
            return self.goal
        return self._area(self.value - self.goal, 0.0, duration_s) / duration_s

    def _area(self, lag: float, from_s: float, to_s: float) -> float:
        tau = self.tau_s
        return self.goal * (to_s - from_s) + lag * tau * (math.exp(-from_s / tau) - math.exp(-to_s / tau))

    def _crossing_s(self, lag: float) -> float:
        """Return when the value passes 0; infinity where it does not."""
        if self.value * self.goal >= 0:
            return math.inf
        return self.tau_s * math.log(-lag / self.goal)

"""mosaik simulator that keeps wall-clock time: a step does not begin before its moment has come.

mosaik's own ``rt_factor`` runs steps about one step early, and its strict mode always aborts; hence absolute deadlines
of our own. A generator step may wait without holding up the others.
"""

from collections.abc import Generator
from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: a ``rigs.pacer.Pacer``. ``late_s`` is how late the present step begins."""

    MODEL = "Pacer"
    ATTRS = ("late_s",)

    def step(  # type: ignore[override] # mosaik awaits what a generator yields
        self, time: int, inputs: dict[str, Any], max_advance: int
    ) -> Generator[Any, float, int]:
        """Wait for the beginning of the step."""
        late_s = yield self.organ.wait(time // self.step_s)
        self.values = {"late_s": late_s}
        return time + self.step_s

"""mosaik shell of the recorder: booked steps in, nothing out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: a ``Chronicle``."""

    MODEL = "Recorder"
    ATTRS = ("booked",)

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Record a step, and the interval it completes."""
        self.organ.step(given["booked"])
        return {}

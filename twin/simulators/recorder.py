"""mosaik shell of the recorder: everything in, nothing out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: a ``Chronicle``."""

    MODEL = "Recorder"
    ATTRS = ("solved", "decided", "entry")

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Record a step, and the interval it completes."""
        self.organ.step(given["solved"], given["decided"], given["entry"])
        return {}

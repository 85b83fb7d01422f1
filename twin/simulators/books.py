"""mosaik shell of ledger and recorder: solved steps in, nothing out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: ``Books``; steps with the plant."""

    MODEL = "Books"
    ATTRS = ("solved",)

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Keep one step."""
        self.organ.step(time, given["solved"])
        return {}

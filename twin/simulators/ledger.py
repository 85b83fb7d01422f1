"""mosaik shell of the ledger: solved steps in, the same with the account of each completed interval out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: a ``Bookkeeper``; steps with the plant, books when an interval is complete."""

    MODEL = "Ledger"
    ATTRS = ("solved", "booked")

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Add a step."""
        return {"booked": self.organ.step(time, given["solved"])}

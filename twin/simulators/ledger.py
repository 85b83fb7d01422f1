"""mosaik shell of the ledger: metered energy of all steps of an interval in, its account out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: a ``Bookkeeper``; steps with the devices, books when an interval is complete."""

    MODEL = "Ledger"
    ATTRS = ("flows", "decided", "entry")

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Add a step; the entry is None until its interval is complete."""
        return {"entry": self.organ.step(time, given["decided"], given["flows"])}

"""mosaik shell of participants, market and operator: device state in, accepted trades and set points out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: a ``Coordination``; steps once per market interval."""

    MODEL = "Coordination"
    ATTRS = ("state", "balances", "tap", "decided", "late_s")

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Decide one interval."""
        known = (given["state"], given.get("balances"), given.get("tap"))
        return {"decided": self.organ.decide(time // self.step_s, *known)}

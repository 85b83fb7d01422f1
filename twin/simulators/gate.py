"""mosaik shell of the operator: fills in, accepted energy and set points out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: an ``Operator``."""

    MODEL = "Gate"
    ATTRS = ("session", "decided", "published")

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Decide which trades may flow."""
        decided = self.organ.decide(given["session"])
        return {"decided": decided, "published": () if decided.envelope is None else (decided.envelope,)}

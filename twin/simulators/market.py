"""mosaik shell of the market: orders in, fills out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: a ``TradingDesk``."""

    MODEL = "Market"
    ATTRS = ("intent", "session")

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Clear the interval."""
        return {"session": self.organ.clear(given["intent"])}

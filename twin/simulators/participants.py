"""mosaik shell of the participants: device state in, baseline and orders out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: ``(agents, forecaster)``."""

    MODEL = "Participants"
    ATTRS = ("state", "published", "intent")

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Forecast the interval and say what each participant wants."""
        agents, forecaster = self.organ
        interval = time // self.step_s
        # what the operator published an interval ago: nothing at first, and with other kinds of coordination
        envelope = next(iter(given.get("published", ())), None)
        return {"intent": agents.intend(interval, given["state"], *forecaster.interval(interval), envelope)}

"""mosaik shell of ledger and recorder: solved steps in, balances out."""

from typing import Any

from twin.simulators.shell import Shell


class Simulator(Shell):
    """Organ: ``Books``; steps with the plant."""

    MODEL = "Books"
    ATTRS = ("solved", "balances")

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Keep one step."""
        self.organ.step(time, given["solved"])
        return {}

    def output(self, eid: str, name: str) -> Any:
        """What every participant gained since the start, where a wire asks for it."""
        return self.organ.balances_micro()

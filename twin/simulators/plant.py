"""mosaik shell of the plant: powers in, voltages and loadings out."""

from typing import Any

from twin.plant import WITH
from twin.simulators.shell import EID, Shell


class Simulator(Shell):
    """Organ: a ``Plant``. Children ``Bus`` give one bus's voltage to simulators of third parties."""

    MODEL = "Plant"
    ATTRS = ("flows", "solved", "Vm[pu]", "loading[%]")
    CHILD = "Bus"

    def __init__(self) -> None:
        super().__init__()
        self.meta["models"][self.CHILD] = {"public": False, "params": [], "attrs": ["Vm[pu]"]}
        self.rows: dict[str, int] = {}

    def children(self) -> list[dict[str, Any]]:
        """One child per bus, named by its row in the feeder."""
        self.rows = {f"{self.CHILD}-{row}": row for row in range(self.organ.n_bus)}
        return [{"eid": eid, "type": self.CHILD} for eid in self.rows]

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Solve the feeder with and without trades."""
        return {"solved": self.organ.step(given["flows"])}

    def output(self, eid: str, name: str) -> Any:
        """States with trades: as vectors over all buses or branches, or one bus's voltage."""
        if name in self.values:
            return self.values[name]
        state = self.values["solved"].state
        vector = state.v_pu[WITH] if name == "Vm[pu]" else state.loading_percent[WITH]
        return vector if eid == EID else float(vector[self.rows[eid]])

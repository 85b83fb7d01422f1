"""mosaik shell of the devices: set points in, powers and state out."""

from typing import Any

from twin.simulators.shell import EID, Shell


class Simulator(Shell):
    """Organ: ``Devices``. Children ``Participant`` give one participant's power to simulators of third parties."""

    MODEL = "Devices"
    ATTRS = ("decided", "flows", "state", "P_gen[W]", "Q_gen[var]", "Vm[pu]")
    CHILD = "Participant"

    def __init__(self) -> None:
        super().__init__()
        self.meta["models"][self.CHILD] = {"public": False, "params": [], "attrs": ["P_gen[W]", "Q_gen[var]"]}
        self.rows: dict[str, int] = {}

    def children(self) -> list[dict[str, Any]]:
        """One child per participant, named by its row."""
        self.rows = {f"{self.CHILD}-{row}": row for row in range(self.organ.n)}
        return [{"eid": eid, "type": self.CHILD} for eid in self.rows]

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Advance all devices by one step."""
        done = self.organ.step(time // self.step_s, given["decided"], given.get("Vm[pu]"))
        return {"flows": done, "state": done.state}

    def output(self, eid: str, name: str) -> Any:
        """Powers as vectors over all participants, or one participant's."""
        if name in self.values:
            return self.values[name]
        flows = self.values["flows"].flows
        vector = flows.p_gen_w if name == "P_gen[W]" else flows.q_gen_var
        return vector if eid == EID else float(vector[self.rows[eid]])

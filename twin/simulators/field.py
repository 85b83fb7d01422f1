"""mosaik shell of devices and plant: accepted trades and set points in, powers, voltages and loadings out."""

from typing import Any, ClassVar

from twin.plant import WITH
from twin.simulators.shell import EID, Shell


class Simulator(Shell):
    """Organ: a ``Field``. For simulators of third parties: vectors over all participants, buses or branches, and
    children ``Participant-<row>`` and ``Bus-<row>`` with one participant's powers and one bus's voltage.
    """

    MODEL = "Field"
    ATTRS = ("decided", "late_s", "state", "solved", "P_gen[W]", "Q_gen[var]", "Vm[pu]", "loading[%]", "tap")
    CHILDREN: ClassVar = {"Participant": ["P_gen[W]", "Q_gen[var]"], "Bus": ["Vm[pu]"]}

    def __init__(self) -> None:
        super().__init__()
        for model, attrs in self.CHILDREN.items():
            self.meta["models"][model] = {"public": False, "params": [], "attrs": attrs}
        self.rows: dict[str, int] = {}

    def children(self) -> list[dict[str, Any]]:
        """One child per participant and per bus, named by its row."""
        found = []
        for model, n in (("Participant", self.organ.devices.n), ("Bus", self.organ.plant.n_bus)):
            for row in range(n):
                self.rows[f"{model}-{row}"] = row
                found.append({"eid": f"{model}-{row}", "type": model})
        return found

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Let all devices act and the feeder carry it, with and without trades."""
        hold = given.get("late_s", 0.0) > self.step_s  # an overrun: what was decided is too old to act on
        solved = self.organ.step(time // self.step_s, given["decided"], hold)
        return {"solved": solved, "state": solved.devices.state}

    def output(self, eid: str, name: str) -> Any:
        """With trades: a vector over all, or one element's number."""
        if name in self.values:
            return self.values[name]
        if name == "tap":
            return self.organ.plant.tap
        solved = self.values["solved"]
        vector = {
            "P_gen[W]": solved.devices.flows.p_gen_w,
            "Q_gen[var]": solved.devices.flows.q_gen_var,
            "Vm[pu]": solved.state.v_pu[WITH],
            "loading[%]": solved.state.loading_percent[WITH],
        }[name]
        return vector if eid == EID else float(vector[self.rows[eid]])

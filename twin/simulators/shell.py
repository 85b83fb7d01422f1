"""The common shell: one entity of one model, stepped on a fixed grid, values handed on as they are.

A shell only moves values between mosaik and a domain object; what it does with them is in that object. All
simulators are time-based: one event-based one makes mosaik 3.6 slow down with the length of a run.
"""

from typing import Any

import mosaik_api_v3

EID = "all"


class Shell(mosaik_api_v3.Simulator):
    """Base of our simulators. Subclasses set ``MODEL``, ``ATTRS`` and implement ``advance``."""

    MODEL = ""
    ATTRS: tuple[str, ...] = ()

    def __init__(self) -> None:
        model: Any = {"public": True, "params": [], "attrs": list(self.ATTRS)}
        super().__init__({"api_version": "3.0", "type": "time-based", "models": {self.MODEL: model}})  # type: ignore[no-untyped-call]
        self.organ: Any = None
        self.step_s = 0
        self.values: dict[str, Any] = {}

    def init(self, sid: str, time_resolution: float = 1.0, **params: Any) -> Any:
        """Receive the domain object (``organ``) and the step in seconds (``step_s``)."""
        self.organ, self.step_s = params["organ"], params["step_s"]
        return self.meta

    def create(self, num: int, model: str, **params: Any) -> Any:
        """Create the one entity, which stands for all participants or the whole feeder."""
        if num != 1:
            raise ValueError(f"{model} is one entity for all; got num={num}")
        return [{"eid": EID, "type": model, "children": self.children()}]

    def children(self) -> list[dict[str, Any]]:
        """Per-element entities that a simulator of a third party may attach to."""
        return []

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Advance the organ and return the next time."""
        given = {name: next(iter(sources.values())) for name, sources in inputs.get(EID, {}).items()}
        self.values = self.advance(time, given)
        return time + self.step_s

    def advance(self, time: int, given: dict[str, Any]) -> dict[str, Any]:
        """Do one step with the given inputs; return the outputs by attribute."""
        raise RuntimeError("a shell must implement advance")

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
        """Hand out the values of the last step."""
        return {eid: {name: self.output(eid, name) for name in names} for eid, names in outputs.items()}

    def output(self, eid: str, name: str) -> Any:
        """One output value."""
        return self.values[name]

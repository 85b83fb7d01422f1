"""Errors of the gate: a caller's bug, never a state of the feeder (that is a status of the decision)."""


class GateInputError(ValueError):
    """The problem given to the gate contradicts itself: mend the caller. The text says where."""

"""Errors of the rigs. The class says what the caller can do."""

from collections.abc import Sequence


class RigError(Exception):
    """Base of all rig errors: the bench can no longer be trusted; end the run."""


class BenchFileError(RigError):
    """The bench file is wrong: mend it. ``problems`` lists everything that was found, at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class EmulatorError(RigError):
    """An emulated device did not start, or its process is gone."""


class DeviceMismatchError(RigError):
    """Another device answers than the bench names: mend the bench file or the wiring. Nothing was written."""


class NotArmedError(RigError):
    """Writing is not allowed here: arm the device first, or do without writing."""


class LatchedError(RigError):
    """A limit was breached earlier; only making safe is possible until a person resets the latch."""

"""The vocabulary of faults: what can be made to go wrong on an emulated device or a real link, and for how long.

Times are in the bench's own time: simulated seconds in lockstep, seconds since opening on wall-clock time.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Refusal = Callable[[str, str], str]
"""Takes role and kind of fault; why it cannot be, empty where it can. See ``rigs.fault_scope``."""

FaultKind = Literal[
    "mute",  # takes requests and never answers
    "late",  # answers after value seconds
    "reset",  # resets the connection in mid-request
    "split",  # sends every answer byte by byte
    "merged",  # sends a stale answer and the right one in one segment
    "wrong_unit",  # answers with another unit id
    "busy",  # answers with exception 6
    "kick",  # closes the connection after every answer, as a device does when a second master comes
    "frozen",  # measurements stand still
    "nan",  # measurements hold their sentinels
    "sf_jump",  # the scale factor of power jumps by value (default 1)
    "reboot",  # once: registers and counters as after power-on, connections closed
    "drift",  # what is registered grows by value per hour (0.1: 10 %)
    "lie",  # what is registered is value times the truth
]
KINDS: tuple[str, ...] = get_args(FaultKind)


@dataclass(frozen=True)
class Fault:
    """One fault of one role, active from ``from_s`` until before ``until_s``; ``value`` as the kind says."""

    role: str
    kind: FaultKind
    from_s: float
    until_s: float
    value: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(KINDS)}")
        if not self.from_s < self.until_s:
            raise ValueError(f"{self.kind}: from_s ({self.from_s}) must lie before until_s ({self.until_s})")

    def message(self) -> dict[str, Any]:
        """Return it for the control channel."""
        return {k: v for k, v in asdict(self).items() if k != "role"}


@dataclass(frozen=True)
class FaultFinding:
    """What became of a fault.

    ``noticed_after_s`` None: never; ``recovered_after_s`` None: not within the run. ``handled`` says whether the
    harness did as it should, and ``why`` not where it did not: a fault is noticed, or every value read while it
    lasted was right; no wrong value is ever believed; good values come back when it is over.
    """

    fault: Fault
    noticed_after_s: float | None
    notice: str
    done: str
    recovered_after_s: float | None
    believed_wrong: int = 0  # good samples that were not the truth
    handled: bool = True
    why: str = ""

"""The vocabulary of faults: what can be made to go wrong on an emulated device, and for how long.

Times are in the bench's own time: simulated seconds in lockstep, seconds since opening on wall-clock time.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

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
    """What became of a fault: noticed after how long (None: not by the readings alone), and what was done."""

    fault: Fault
    noticed_after_s: float | None
    notice: str
    done: str
    recovered_after_s: float | None


class FaultWatch:
    """Follows the samples of a bench and tells, per fault, when it was noticed and when all was well
    again."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._noticed: dict[Fault, tuple[float, str]] = {}
        self._recovered: dict[Fault, float] = {}

    def saw(self, role: str, now_s: float, good: bool, note: str) -> None:
        """Book the sample of a step that ended at ``now_s``."""
        for fault in self._faults:
            if fault.role != role or not fault.from_s <= now_s:
                continue
            if not good:
                self._noticed.setdefault(fault, (now_s - fault.from_s, note))
            elif fault not in self._recovered and not now_s < fault.until_s:
                self._recovered[fault] = now_s - fault.until_s

    def findings(self) -> tuple[FaultFinding, ...]:
        """Return one finding per fault, in their order."""
        found = []
        for fault in self._faults:
            after_s, notice = self._noticed.get(fault, (None, "within what the readings allow"))
            if after_s is None:
                done = "nothing: good values kept coming"
            else:
                done = "sample marked bad, last counters kept, set point left to the device's own timer"
            found.append(FaultFinding(fault, after_s, notice, done, self._recovered.get(fault)))
        return tuple(found)

"""What the write gate knows and says: the rules of a role, its decisions, and what must survive a restart."""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rigs.errors import RigError

Outcome = Literal["sent", "held", "shadow", "rejected", "unknown"]
Journal = Callable[[str, Mapping[str, Any]], None]
"""Called with the kind of an entry and its content."""


@dataclass(frozen=True)
class GateRules:
    """What may be written to one role. All powers positive into the grid.

    ``p_gen_w`` is the least of nameplate and bench; ``reversion_s`` the device's own timer, refreshed at half
    of it; ``ramp_w_per_s`` None and ``deadband_w``, ``min_interval_s`` 0 mean: no shaping. ``daily_writes``
    None means that the points do not wear out. ``armed_until_s`` is in the gate's own time (None: as long as
    it is open, which only an emulated device may have). ``unproven_reason`` is the signed exception of a
    bench whose device has no reversion timer.
    """

    role: str
    mode: Literal["shadow", "armed"]
    p_gen_w: tuple[float, float]
    safe_w: float
    reversion_s: float
    soc: tuple[float, float] | None = None
    ramp_w_per_s: float | None = None
    deadband_w: float = 0.0
    min_interval_s: float = 0.0
    daily_writes: int | None = None
    armed_until_s: float | None = None
    unproven_reason: str = ""


@dataclass(frozen=True)
class Decision:
    """What the gate made of an order. ``sent_w`` is NaN where nothing was sent."""

    role: str
    time_s: float
    asked_w: float
    sent_w: float
    outcome: Outcome
    reason: str = ""


def today() -> str:
    """Return the present UTC date: the clock of real write budgets."""
    return datetime.now(UTC).date().isoformat()


@dataclass
class GateMemory:
    """Latch and write counts of one role, kept in ``path`` across restarts (None: in memory only).

    ``day`` returns the date that the write budget counts in; it is passed in, as all time is.
    """

    day: Callable[[], str]
    path: Path | None = None
    latch: str = ""
    _counts: dict[str, int] = field(default_factory=dict)
    _seen: tuple[int, int, int] = field(default=(0, 0, 0), repr=False)

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> None:
        """Read the file again where somebody else wrote it: a person may latch the device of a harness that runs.

        Raises:
            RigError: it cannot be understood; what was latched or written is then unknown.
        """
        if self.path is None:
            return
        try:
            stat = self.path.stat()
            # a clock tick of a file system is some ms, so another file may have the same time
            seen = stat.st_mtime_ns, stat.st_ino, stat.st_size
            if seen == self._seen:
                return
            kept = json.loads(self.path.read_text())
            self.latch, self._counts = str(kept["latch"]), {str(k): int(v) for k, v in kept["writes"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RigError(
                f"{self.path}: cannot be read ({error}), so latch and write budget of this device are unknown; look at "
                "the device, then remove the file"
            ) from None
        self._seen = seen

    def set_latch(self, reason: str) -> None:
        """Latch; only ``reset`` opens it again."""
        with self._alone():
            self.latch = reason
            self._keep()

    def reset(self) -> None:
        """Open the latch. Called for a person, never by the harness itself."""
        with self._alone():
            self.latch = ""
            self._keep()

    def written_today(self) -> int:
        """Return how many requests with points that wear were sent today."""
        return self._counts.get(self.day(), 0)

    def count_writes(self, requests: int) -> None:
        """Count requests; older days are forgotten. Counted before sending: a crash must not hide a write."""
        with self._alone():
            self._counts = {self.day(): self.written_today() + requests}
            self._keep()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from writing between our look and our writing: neither latch nor count may be lost."""
        if self.path is None:
            yield
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            self._seen = (0, 0, 0)
            self.look()
            yield

    def _keep(self) -> None:
        if self.path is not None:
            draft = self.path.with_suffix(".tmp")
            draft.write_text(json.dumps({"latch": self.latch, "writes": self._counts}))
            draft.replace(self.path)
            stat = self.path.stat()
            self._seen = stat.st_mtime_ns, stat.st_ino, stat.st_size

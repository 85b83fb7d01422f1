"""Makes a bench safe on every way out: two guarded passes in reverse order, and the supervisor beside the harness."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import TimeoutError as LateError
from functools import partial
from typing import Any

from rigs.charge import AnyCharge
from rigs.errors import RigError
from rigs.gate_rules import Journal
from rigs.live import STALLED, LiveDevice
from rigs.rig_lock import RigLock
from rigs.supervisor import MADE_SAFE, TROUBLE, SupervisorProcess
from rigs.wire import WireDevice

SAFE_S, CLOSE_S = 20.0, 30.0
_BREATH_S, _SILENCE_S = 0.5, 2.0
_MOST_SUPERVISORS = 5
_GRACE_S = 5.0  # beyond a deadline inside the I/O loop, for a loop that does not keep it


class Guard:
    """The supervisor of one bench, and its tear-down. ``troubles`` collects what did not become safe;
    ``end_frozen_after_s`` is when the supervisor may end us (None: never).
    """

    def __init__(
        self, journal: Journal, loop: asyncio.AbstractEventLoop, end_frozen_after_s: float | None = None
    ) -> None:
        self.supervisor: SupervisorProcess | None = None
        self.troubles: list[Exception] = []
        self._journal, self._loop = journal, loop
        self._end_after_s = end_frozen_after_s
        self._charges: Sequence[AnyCharge] = ()
        self._held: list[int] = []
        self._breathed_at_s = math.inf  # not before there is a supervisor

    def supervise(self, charges: Sequence[AnyCharge], locks: Sequence[RigLock]) -> None:
        """Start the supervisor where there is something to look after; it holds the rig's locks as well, so that
        nobody takes the rig while it still writes.
        """
        self._charges, self._held = charges, [n for lock in locks for n in lock.files]
        if charges:
            self.supervisor = SupervisorProcess(charges, _SILENCE_S, self._held, self._end_after_s)

    async def breathe(
        self, live: Mapping[str, LiveDevice], make_safe: Callable[[str], Awaitable[None]]
    ) -> None:
        """Breathe until cancelled, in the I/O loop, so that a wedged loop falls silent. A supervisor that acted
        leaves its devices safe for the rest of the run; one that was killed is replaced, a few times.
        """
        left = _MOST_SUPERVISORS
        self._breathed_at_s = self._loop.time()
        while left and self.supervisor is not None and not self.stalled():
            code = self.supervisor.breathe()
            self._breathed_at_s = self._loop.time()
            if code is not None:
                self._journal("supervisor", {"exit_code": code})
                left -= 1
                if code in (MADE_SAFE, TROUBLE):
                    break
                self.supervisor = SupervisorProcess(self._charges, _SILENCE_S, self._held, self._end_after_s)
            await asyncio.sleep(_BREATH_S)
        for role, device in live.items():
            await make_safe(role)
            device.was_made_safe("supervisors ended by themselves" if not left else STALLED)

    def stalled(self) -> bool:
        """Tell whether the I/O loop stood still for so long that the supervisor has stepped in, or is about to."""
        return self._loop.time() - self._breathed_at_s > _SILENCE_S

    def tear_down(self, devices: Mapping[str, WireDevice], now_s: Callable[[str], float]) -> None:
        """Make all safe, then close all, each guarded by itself, in reverse order. A device that was never written to,
        since another one was not who it should be, stays as it was found.
        """
        backwards = list(devices.items())[::-1]
        for role, device in [(r, d) for r, d in backwards if d.touched]:
            self.attempt(role, partial(device.make_safe, now_s(role)), SAFE_S)
        for role, device in backwards:
            self.attempt(role, device.close, CLOSE_S)

    def dismiss(self) -> None:
        """End the supervisor: only when all is safe; else it hears the silence and tries itself."""
        if self.supervisor is not None:
            self.supervisor.dismiss() if not self.troubles else self.supervisor.leave()

    def attempt(self, role: str, act: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
        """Run something in the I/O loop within a time; what goes wrong is kept as a trouble of the role."""
        done = asyncio.run_coroutine_threadsafe(asyncio.wait_for(act(), seconds), self._loop)
        try:
            done.result(seconds + _GRACE_S)
        except LateError:
            done.cancel()
            self.troubles.append(RigError(f"{role}: not done within {seconds} s"))
        except Exception as error:
            self.troubles.append(RigError(f"{role}: {type(error).__name__}: {error}"))

    def complain(self, name: str, cause: BaseException | None) -> None:
        """Raise all troubles together, or note them with what was the cause of it all."""
        if not self.troubles:
            return
        text = f"bench {name}: " + "; ".join(str(t) for t in self.troubles)
        if cause is None:
            raise RigError(text) from self.troubles[0]
        cause.add_note(text)

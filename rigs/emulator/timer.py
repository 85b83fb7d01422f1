"""A function's own dead man's switch."""

from collections.abc import Callable, Generator
from typing import Any

import simpy


class ReversionTimer:
    """A function's own dead man's switch: runs out unless it is restarted, then calls ``revert`` once."""

    def __init__(self, env: simpy.Environment, revert: Callable[[], None]) -> None:
        self._env = env
        self._revert = revert
        self._deadline: float | None = None
        self._generation = 0

    def start(self, seconds: float) -> None:
        """Start or restart; 0 stops it (no reversion)."""
        self._generation += 1
        self._deadline = None
        if seconds > 0:
            self._deadline = self._env.now + seconds
            self._env.process(self._watch(self._generation, seconds))

    @property
    def remaining_s(self) -> float:
        """Seconds left; 0 when it does not run."""
        return max(0.0, self._deadline - self._env.now) if self._deadline is not None else 0.0

    def _watch(self, generation: int, seconds: float) -> Generator[simpy.Event, Any, None]:
        yield self._env.timeout(seconds)
        if generation == self._generation:
            self._deadline = None
            self._revert()

"""Who is told how far a run is."""

import sys
from types import TracebackType
from typing import Any, Protocol, Self, TextIO


class ProgressSink(Protocol):
    """Receives the progress of a run, which may start several bars, one per variant, one after the other."""

    def start(self, name: str, total_intervals: int) -> None:
        """Begin ``name``, which has ``total_intervals`` market intervals."""
        ...

    def advance(self, done: int, simulated_time_iso: str) -> None:
        """Say that ``done`` intervals are finished and which simulated time has been reached."""
        ...

    def finish(self) -> None:
        """End what was started. Safe to call twice."""
        ...


class SilentProgress:
    """Says nothing."""

    def start(self, name: str, total_intervals: int) -> None:
        """Ignore the start."""

    def advance(self, done: int, simulated_time_iso: str) -> None:
        """Ignore the step."""

    def finish(self) -> None:
        """Ignore the end."""


silent = SilentProgress()
"""The sink to use where nobody looks."""


class BarProgress:
    """A bar on a terminal: simulated time, speed as a multiple of real time, time left.

    Use as a context manager, so that the terminal is restored whatever happens.
    """

    def __init__(self, interval_s: int, stream: TextIO | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._interval_s = interval_s
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[now]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(file=stream if stream is not None else sys.stderr),
            transient=True,
        )
        self._task: Any = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, name: str, total_intervals: int) -> None:
        """Begin a bar of its own for ``name``."""
        self.finish()
        self._task = self._bar.add_task(name, total=total_intervals, now="", speed="")

    def advance(self, done: int, simulated_time_iso: str) -> None:
        """Move the bar to ``done`` intervals."""
        if self._task is None:
            return
        task = next(t for t in self._bar.tasks if t.id == self._task)
        elapsed_s = task.elapsed or 0.0
        speed = f"{done * self._interval_s / elapsed_s:,.0f}x" if elapsed_s > 0 else ""
        self._bar.update(
            self._task, completed=done, now=simulated_time_iso[:16].replace("T", " "), speed=speed
        )

    def finish(self) -> None:
        """End the bar of the current name."""
        self._task = None

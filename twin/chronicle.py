"""What sits at the end of every interval: records it, tells how far the run is, and stops it when asked to."""

import time
from dataclasses import dataclass

from twin.bookkeeper import Booked
from twin.errors import AbortedError
from twin.progress import ProgressSink
from twin.recorder import Recorder
from twin.scenario.schema import Scenario


@dataclass
class StopRequest:
    """Set by a signal handler; looked at once per step, so that a step is never torn."""

    reason: str = ""


class RunStoppedError(AbortedError):
    """The run was asked to stop (Ctrl-C, SIGTERM). What was finished until then is in the folder."""


class Chronicle:
    """Hands steps and intervals to the recorder."""

    def __init__(
        self, recorder: Recorder, scenario: Scenario, progress: ProgressSink, stop: StopRequest
    ) -> None:
        self._recorder = recorder
        self._scenario = scenario
        self._progress = progress
        self._stop = stop
        self._since = time.perf_counter()

    def step(self, booked: Booked) -> None:
        """Record one step. Raises RunStoppedError where a stop was asked for."""
        self._recorder.step(booked.solved)
        if booked.entry is not None:
            interval = self._recorder.last_interval + 1
            now = time.perf_counter()
            decided = booked.solved.devices.decided
            self._recorder.interval(interval, decided, booked.entry, (now - self._since) * 1e3)
            self._since = now
            if interval % 4 == 3 or interval + 1 == self._scenario.n_intervals:
                self._progress.advance(interval + 1, self._scenario.at(interval + 1).isoformat())
        if self._stop.reason:
            raise RunStoppedError(self._stop.reason)

"""Ride-through, trips and the way back: what an inverter does when its mains are not as they should be.

Source: IEEE 1547-2018, 6.4 (voltage), 6.5 (frequency), 4.10 (entering service).
"""

from collections.abc import Callable, Generator
from typing import Any

import simpy

from rigs.emulator import grid_code
from rigs.emulator.grid_code import Trip


class RideThrough:
    """Watches voltage and frequency. ``changed`` is called whenever it begins or ends to forbid output.

    A trip ends when the mains have been inside the window of entering service for ``enter_service_s`` without
    a break; output then rises over ``ramp_s``.
    """

    def __init__(
        self,
        env: simpy.Environment,
        category: str,
        f_nominal_hz: float,
        enter_service_s: float,
        changed: Callable[[], None],
        ramp_s: float = grid_code.ENTER_RAMP_S,
    ) -> None:
        self._env, self._changed = env, changed
        self._trips = grid_code.TRIPS[category]
        self._cessation = grid_code.CESSATION_PU.get(category)
        self._f_nominal_hz = f_nominal_hz
        self.enter_service_s, self.ramp_s = enter_service_s, ramp_s
        self._running: dict[Trip, int] = {}  # trips whose time runs, with the generation of their watch
        self._generation = 0
        self._v_pu, self._f_hz = 1.0, f_nominal_hz
        self._enters_at_s: float | None = None
        self._ramps_until_s = 0.0
        self.tripped = False
        self.alarms = 0

    @property
    def forbids(self) -> bool:
        """Whether nothing may flow now: tripped, or output ceased for a moment."""
        return self.tripped or self._ceases()

    @property
    def ramping(self) -> bool:
        """Whether output still rises after entering service."""
        return bool(self._env.now < self._ramps_until_s)

    @property
    def remaining_s(self) -> float:
        """Seconds until service is entered; 0 while it is not counted."""
        return max(0.0, self._enters_at_s - self._env.now) if self._enters_at_s is not None else 0.0

    def see(self, v_pu: float, f_hz: float) -> None:
        """Take the mains as they are from now on."""
        if (v_pu, f_hz) == (self._v_pu, self._f_hz):
            return
        self._v_pu, self._f_hz = v_pu, f_hz
        for trip in self._trips:
            if not self._beyond(trip):
                self._running.pop(trip, None)
            elif trip not in self._running:
                self._start(trip)
        if self.tripped:
            self._wait_for_service()

    def _ceases(self) -> bool:
        if self._cessation is None:
            return False
        least_pu, most_pu = self._cessation
        return not least_pu <= self._v_pu <= most_pu

    def _beyond(self, trip: Trip) -> bool:
        value = self._v_pu if trip.of_voltage else self._f_hz - self._f_nominal_hz
        return value <= trip.limit if trip.low else value >= trip.limit

    def _start(self, trip: Trip) -> None:
        self._generation += 1
        self._running[trip] = self._generation
        self._env.process(self._watch(trip, self._generation))

    def _watch(self, trip: Trip, generation: int) -> Generator[simpy.Event, Any, None]:
        yield self._env.timeout(trip.after_s)
        if self._running.get(trip) == generation:
            self.alarms |= 1 << trip.alarm_bit
            if not self.tripped:
                self.tripped = True
                self._changed()
            self._wait_for_service()

    def _inside(self) -> bool:
        (v_low, v_high), (f_low, f_high) = grid_code.ENTER_V_PU, grid_code.ENTER_HZ
        off_hz = self._f_hz - self._f_nominal_hz
        return v_low <= self._v_pu <= v_high and f_low <= off_hz <= f_high

    def _wait_for_service(self) -> None:
        if not self._inside():
            self._enters_at_s = None
        elif self._enters_at_s is None:
            self._enters_at_s = float(self._env.now) + self.enter_service_s
            self._env.process(self._enter(self._enters_at_s))

    def _enter(self, at_s: float) -> Generator[simpy.Event, Any, None]:
        yield self._env.timeout(max(0.0, at_s - self._env.now))
        if self.tripped and self._enters_at_s == at_s:
            self.tripped, self._enters_at_s, self.alarms = False, None, 0
            self._ramps_until_s = float(self._env.now) + self.ramp_s
            self._changed()
            if self.ramp_s > 0:
                yield self._env.timeout(self.ramp_s)
                self._changed()

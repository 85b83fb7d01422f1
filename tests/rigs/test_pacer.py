"""The pacer on a clock of its own: no drift, overruns counted, deadlines absolute."""

import asyncio

from rigs.pacer import Pacer


class Clock:
    """Sleeping in the event loop is ``oversleep_s`` too long; a nap is exact."""

    def __init__(self, oversleep_s: float = 0.0) -> None:
        self.now_s, self.oversleep_s, self.naps = 100.0, oversleep_s, 0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds + self.oversleep_s

    def nap(self, seconds: float) -> None:
        self.now_s += seconds
        self.naps += 1


def paced(clock: Clock, steps: int) -> Pacer:
    pacer = Pacer(1.0, clock, clock.sleep, clock.nap)

    async def run() -> None:
        for k in range(steps):
            await pacer.wait(k)

    asyncio.run(run())
    return pacer


def test_deadlines_are_absolute_so_that_oversleeping_never_adds_up() -> None:
    clock = Clock(oversleep_s=0.03)  # it wakes 10 ms early for the case
    pacer = paced(clock, 1000)
    assert abs(clock.now_s - (100 + 999 + 0.02)) < 1e-6
    assert abs(pacer.quantile_s(0.99) - 0.02) < 1e-6
    assert pacer.overruns == 0


def test_a_late_wake_up_within_the_reserve_is_not_seen_in_the_step() -> None:
    clock = Clock(oversleep_s=0.008)
    assert paced(clock, 50).quantile_s(1.0) < 1e-9
    assert clock.naps <= 49 * 5, "and what is napped away is what is left, not the step"


def test_an_overrun_is_told_and_caught_up() -> None:
    clock = Clock()
    pacer = Pacer(1.0, clock, clock.sleep, clock.nap)

    async def run() -> list[float]:
        late = []
        for k in range(8):
            late.append(await pacer.wait(k))
            if k == 2:
                clock.now_s += 3.5
        return late

    late = asyncio.run(run())
    assert late == [0, 0, 0, 2.5, 1.5, 0.5, 0, 0]
    assert pacer.overruns == 2


def test_in_real_time_no_step_begins_early() -> None:
    async def run() -> list[float]:
        pacer = Pacer(0.02, asyncio.get_running_loop().time)
        for k in range(10):
            await pacer.wait(k)
        return pacer.offsets_s

    assert min(asyncio.run(run())) >= 0

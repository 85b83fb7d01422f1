"""The pacer on a clock of its own: no drift, overruns counted, deadlines absolute."""

import asyncio

from rigs.pacer import Pacer


class Clock:
    def __init__(self, oversleep_s: float = 0.0) -> None:
        self.now_s, self.oversleep_s = 100.0, oversleep_s

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds + self.oversleep_s


def test_deadlines_are_absolute_so_that_oversleeping_never_adds_up() -> None:
    clock = Clock(oversleep_s=0.01)
    pacer = Pacer(1.0, clock, clock.sleep)

    async def run() -> None:
        for k in range(1000):
            await pacer.wait(k)

    asyncio.run(run())
    assert abs(clock.now_s - (100 + 999 + 0.01)) < 1e-6
    assert abs(pacer.quantile_s(0.99) - 0.01) < 1e-6
    assert pacer.overruns == 0


def test_an_overrun_is_told_and_caught_up() -> None:
    clock = Clock()
    pacer = Pacer(1.0, clock, clock.sleep)

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


def test_real_time_is_kept_to_milliseconds() -> None:
    async def run() -> float:
        pacer = Pacer(0.02, asyncio.get_running_loop().time)
        for k in range(20):
            await pacer.wait(k)
        return sorted(pacer.offsets_s)[10]

    assert 0 <= asyncio.run(run()) < 0.02  # the median; a busy machine may delay single steps

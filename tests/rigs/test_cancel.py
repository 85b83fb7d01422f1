"""The tasks of an I/O loop end when they are cancelled, also where a cancellation is lost on its way."""

import asyncio
import contextlib

from rigs import live


def test_a_cancellation_that_is_lost_is_made_again(monkeypatch) -> None:
    monkeypatch.setattr(live, "CANCEL_AGAIN_S", 0.01)

    async def polling() -> None:
        with contextlib.suppress(asyncio.CancelledError):  # it came together with an answer
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    async def work() -> bool:
        tasks = [asyncio.create_task(polling()), asyncio.create_task(asyncio.sleep(0))]
        await asyncio.sleep(0)
        await asyncio.wait_for(live.cancel(tasks), 30)
        return tasks[0].cancelled() and tasks[1].done()

    assert asyncio.run(work())


def test_there_may_be_nothing_to_cancel() -> None:
    asyncio.run(live.cancel([]))

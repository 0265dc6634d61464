import asyncio

import pytest

from edgewright._tasks import ended


async def deaf_until(heard: asyncio.Event) -> None:
    """Loses every cancellation until it is allowed to hear."""
    while not heard.is_set():
        try:
            await heard.wait()
        except asyncio.CancelledError:
            continue


def test_a_cancellation_that_came_together_with_an_answer_is_not_lost() -> None:
    async def case() -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def ask_for_ever() -> None:
            await asyncio.wait_for(answer, 10)
            await asyncio.Event().wait()

        task = asyncio.create_task(ask_for_ever())
        await asyncio.sleep(0)
        answer.set_result(None)
        await ended(task, again_s=0.001)
        assert task.cancelled()

    asyncio.run(asyncio.wait_for(case(), 10))


def test_tasks_that_are_over_keep_what_they_gave() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def case() -> None:
        good, bad = asyncio.create_task(asyncio.sleep(0, "good")), asyncio.create_task(fail())
        await asyncio.wait([good, bad])
        await ended(good, bad)
        assert good.result() == "good"
        with pytest.raises(ZeroDivisionError):
            bad.result()

    asyncio.run(asyncio.wait_for(case(), 10))


def test_who_waits_for_the_end_can_be_cancelled() -> None:
    async def case() -> None:
        heard = asyncio.Event()
        deaf = asyncio.create_task(deaf_until(heard))
        waits = asyncio.create_task(ended(deaf, again_s=0.001))
        await asyncio.sleep(0.01)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        assert not deaf.done()
        heard.set()
        await deaf

    asyncio.run(asyncio.wait_for(case(), 10))

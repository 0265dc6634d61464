import asyncio

import pytest

from edgewright.device.agent.throttle import Throttle
from edgewright.testing import FakeClock


def test_two_downloads_share_one_limit() -> None:
    clock = FakeClock()
    throttle = Throttle(clock, 64)

    async def scene() -> None:
        await asyncio.gather(*(throttle.passed(4000) for _ in range(4)))

    asyncio.run(scene())
    assert clock.monotonic_s() == pytest.approx(2.0)


def test_time_in_which_nothing_came_gives_no_credit() -> None:
    clock = FakeClock()
    throttle = Throttle(clock, 64)
    clock.advance(3600)
    asyncio.run(throttle.passed(8000))
    assert clock.slept_s == [pytest.approx(1.0)]


def test_without_a_limit_nobody_waits() -> None:
    clock = FakeClock()
    asyncio.run(Throttle(clock, None).passed(1 << 30))
    assert clock.slept_s == []

"""Maintenance windows: what the fleet sends is brought at any time and runs when the admin says."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from edgewright.clock import BUILT_S
from edgewright.device.agent import Daemon, Maintenance, State
from edgewright.device.agent.progress import WAITING
from edgewright.errors import ResourceError
from edgewright.wire.windows import parse_window

NIGHT = Maintenance(windows=(parse_window("02:00-04:00"),), timezone="Europe/Berlin")
NOON = datetime.fromisoformat("2026-07-01T12:00+02:00").timestamp()
NIGHT_S = datetime.fromisoformat("2026-07-02T02:00+02:00").timestamp()


@asynccontextmanager
async def service(device: Any) -> AsyncIterator[Daemon]:
    daemon = Daemon(device.agent, poll_s=3600.0, rng=random.Random(1))
    task = asyncio.create_task(daemon.run())
    try:
        yield daemon
    finally:
        daemon.stop()
        await task


def ready(device: Any, wall_s: float, maintenance: Maintenance = NIGHT) -> None:
    device.maintenance = maintenance
    device.clock.set_wall(wall_s)
    device.start()


def offered(device: Any, version: str) -> Any:
    from edgewright.device.agent.agent import release_from

    return release_from(device.fleet.offer(device.bundle(version)))


def test_a_release_is_brought_at_once_and_runs_in_the_window(device: Any, play: Any) -> None:
    ready(device, NOON)
    seen_s = []
    device.probe.on_run = lambda _: seen_s.append(device.clock.wall_s())
    update = device.update()
    play(update.take(offered(device, "1")))
    assert device.progress().good == device.current != ""
    assert NIGHT_S <= seen_s[0] < NIGHT_S + 60
    lines = [line.progress for line in device.agent.recorder.journal.lines]
    assert [(p.state, p.event) for p in lines if p.state is State.PROBE][1:] == [
        (State.PROBE, "waiting"),
        (State.PROBE, "opened"),
    ]
    waited = next(p for p in lines if p.event == WAITING)
    assert waited.reason == "waits for a maintenance window: 02:00-04:00 (Europe/Berlin)"


def test_orders_of_people_and_ways_back_need_no_window(device: Any, play: Any) -> None:
    ready(device, NOON)
    one = play(device.install("1"))
    play(device.install("2"))
    play(device.agent.go_back("it smokes", device.update()))
    assert device.current == one
    assert device.clock.wall_s() < NIGHT_S


@pytest.mark.parametrize("wall_s", [0.0, BUILT_S - 3e7, 4_102_444_800.0])
@pytest.mark.parametrize("without_clock", ["wait", "go"])
def test_without_a_clock_the_admin_said_what_holds(
    device: Any, play: Any, wall_s: float, without_clock: Any
) -> None:
    ready(device, wall_s, Maintenance(windows=NIGHT.windows, without_clock=without_clock))

    async def scene() -> Any:
        async with service(device) as daemon:
            taking = daemon.submit(offered(device, "1"))
            if without_clock == "wait":
                while device.progress().event != WAITING:  # noqa: ASYNC110 - a file has no event
                    await asyncio.sleep(0)
                assert "waits for a clock" in device.progress().reason
                device.clock.set_wall(datetime.fromisoformat("2026-07-02T03:00+00:00").timestamp())
            return (await taking).good

    assert play(scene()) == device.current


def test_waiting_is_no_cut_however_often_the_power_goes(device: Any, play: Any) -> None:
    ready(device, NOON)

    class Cut(BaseException):
        pass

    async def cut(seconds: float) -> None:
        raise Cut

    release = offered(device, "1")
    sleep, device.clock.sleep = device.clock.sleep, cut
    with pytest.raises(Cut):
        play(device.update().take(release))
    for _ in range(4):
        device.start()
        with pytest.raises(Cut):
            play(device.agent.settle())
        assert device.progress().event == WAITING
    device.clock.sleep = sleep
    device.start()
    play(device.agent.settle())
    assert device.progress().good == device.current != ""
    assert device.progress().bad == ()


def test_a_wait_can_be_cancelled(device: Any, play: Any) -> None:
    ready(device, NOON, Maintenance(windows=NIGHT.windows, timezone="UTC"))

    async def forever(seconds: float) -> None:
        await asyncio.Event().wait()

    async def scene() -> None:
        async with service(device) as daemon:
            device.clock.sleep = forever
            taking = daemon.submit(offered(device, "1"))
            while device.progress().event != WAITING:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0)
            progress = await daemon.cancel("", "not tonight")
            assert (progress.state, progress.bad) == (State.IDLE, ())
            await asyncio.wait({taking})
            assert "not tonight" in str(taking.exception())

    play(scene())
    assert device.current == ""


def test_asking_once_outside_the_window_says_so(device: Any, play: Any) -> None:
    ready(device, NOON)
    device.fleet.offer(device.bundle("1"))
    with pytest.raises(ResourceError, match="maintenance window"):
        play(device.agent.follow_once())

"""What an actuator is told while the line to it breaks and results go stale."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from edgewright.clock import Clock, SystemClock
from edgewright.device.streams.base import Result
from edgewright.device.streams.command import CommandOrder
from edgewright.device.streams.command_sink import CommandSink, Tell
from edgewright.errors import TransportError
from edgewright.testing import FakeClock


class Line:
    """An actuator behind a line that can be away."""

    name = "fan"

    def __init__(self) -> None:
        self.told: list[float] = []
        self.is_up = True
        self.tries_left = 0

    @contextlib.asynccontextmanager
    async def connected(self, safe: float) -> AsyncIterator[Tell]:
        self.tries_left -= 1
        self.is_up = self.is_up or self.tries_left == 0
        self._check()

        async def tell(value: float) -> None:
            self._check()
            self.told.append(value)

        yield tell

    def _check(self) -> None:
        if not self.is_up:
            raise TransportError("the line is cut")


def up(key: str = "", *, state: str = "up") -> Result:
    return Result(model="m", key=key, start_s=0.0, end_s=1.0, state=state)


def order(*, stale_s: float = 5.0, sensor: str = "") -> CommandOrder:
    return CommandOrder(
        values={"up": 2.5}, safe=0.0, low=0.0, high=5.0, stale_s=stale_s, sensor=sensor
    )


async def until(holds: Callable[[], bool]) -> None:
    """Let the sink's own task go on, pass by pass of the loop."""
    for _ in range(100_000):
        if holds():
            return
        await asyncio.sleep(0)
    pytest.fail("it did not happen")


def sink_of(line: Line, wanted: CommandOrder, clock: Clock) -> CommandSink:
    return CommandSink(line, wanted, clock=clock)


@pytest.mark.parametrize(("tries", "expected"), [(2, [0.0, 2.5, 0.0]), (9, [0.0, 0.0])])
def test_a_line_that_comes_back_gets_what_still_holds_and_else_the_safe_value(
    tries: int, expected: list[float]
) -> None:
    line = Line()

    async def case() -> None:
        sink = sink_of(line, order(), FakeClock())
        await sink.start()
        await until(lambda: line.told == [0.0])
        # A second passes before each try.
        line.is_up, line.tries_left = False, tries
        await sink.write([up()])
        await until(lambda: len(line.told) == 2)
        await sink.close()

    asyncio.run(case())
    assert line.told == expected


def test_silence_is_safe() -> None:
    line = Line()

    async def case() -> None:
        sink = sink_of(line, order(stale_s=0.05), SystemClock())
        await sink.start()
        await sink.write([up()])
        await until(lambda: line.told[-2:] == [2.5, 0.0])
        await sink.close()

    asyncio.run(case())


def test_only_the_sensor_that_decides_drives_the_actuator() -> None:
    line = Line()

    async def case() -> None:
        sink = sink_of(line, order(sensor="ann"), FakeClock())
        await sink.start()
        await until(lambda: line.told == [0.0])
        for results in ([up("bob")], [up("ann"), up("bob", state="down")], [up("bob", state="")]):
            await sink.write(results)
            for _ in range(5):
                await asyncio.sleep(0)
        await sink.close()

    asyncio.run(case())
    assert line.told == [0.0, 2.5, 0.0]


def test_samples_that_waited_for_us_at_a_broker_drive_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line, clock = Line(), FakeClock(wall_s=10_000.0)
    wanted = msgspec.structs.replace(order(), max_age_s=2.0)

    async def case() -> None:
        sink = sink_of(line, wanted, clock)
        await sink.start()
        await until(lambda: line.told == [0.0])
        for end_s in (6_400.0, 6_400.5, 9_999.0, 10_002.5):
            await sink.write([msgspec.structs.replace(up(), end_s=end_s)])
            for _ in range(20):
                await asyncio.sleep(0)
        await sink.close()

    asyncio.run(case())
    assert line.told == [0.0, 2.5, 0.0]
    assert caplog.text.count("samples are 3600.0 s old by this machine's clock") == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("is_up", "words"), [(False, "it holds what it was told before"), (True, "sends it by itself")]
)
def test_who_could_not_be_told_what_is_safe_is_named_with_what_it_holds(
    *, is_up: bool, words: str
) -> None:
    line = Line()
    line.is_up = is_up

    async def case() -> None:
        sink = sink_of(line, order(stale_s=0.1), SystemClock())
        await sink.start()
        await sink.write([up()])
        await asyncio.sleep(0.05)
        line.is_up = False
        await sink.close()

    with pytest.raises(TransportError, match=words):
        asyncio.run(case())

import asyncio
from collections.abc import AsyncGenerator, Sequence

import numpy as np
import pytest

from edgewright.device.streams.base import Item, Result, Samples
from edgewright.device.streams.forward import Message
from edgewright.device.streams.live import LiveSource
from edgewright.device.streams.reading import Reading, reader_of
from edgewright.device.streams.run import Streams, Summary, until
from edgewright.errors import TransportError
from edgewright.testing import FakeClock


class Feed:
    """Breaks after each part of a script, then ends."""

    name = "feed"

    def __init__(self, *parts: list[Message]) -> None:
        self._parts = list(parts)

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        if self._parts:
            yield self._parts.pop(0)
            raise TransportError("the line broke")


async def read(source: LiveSource) -> list[tuple[str, list[float]]]:
    return [(each.key, each.values[:, 0].tolist()) async for each in source.chunks()]


def live(feed: Feed, *, key_part: int | None = None) -> LiveSource:
    return LiveSource(feed, reader_of(Reading(), {"x": ""}), clock=FakeClock(), key_part=key_part)


def test_a_line_that_breaks_is_taken_up_again_and_bad_messages_are_counted() -> None:
    good = [Message("a/ann", b'{"x": 1}'), Message("a/bob", b"\xff"), Message("b", b"{}")]
    source = live(Feed(good, [Message("a/ann/b", b'{"x": 2}')]), key_part=1)
    assert asyncio.run(read(source)) == [("ann", [1.0]), ("ann", [2.0])]
    assert (source.told.messages, source.told.unreadable, source.told.breaks) == (4, 2, 2)


def test_a_message_that_is_too_large_is_left_out_unread_and_counted() -> None:
    most = b'{"x": 1}'.ljust(1 << 20)
    source = live(Feed([Message("a", most + b" "), Message("a", most)]))
    assert asyncio.run(read(source)) == [("a", [1.0])]
    assert (source.told.messages, source.told.unreadable) == (2, 1)


def test_waits_between_two_tries_grow_and_are_bounded() -> None:
    clock = FakeClock()
    source = LiveSource(Feed(*[[] for _ in range(3)]), reader_of(Reading(), {"x": ""}), clock=clock)
    assert asyncio.run(read(source)) == []
    assert len(clock.slept_s) == 3
    assert all(0.25 <= slept <= 45 for slept in clock.slept_s)


def stamped(arrivals_s: Sequence[float], *, count: int, rate_hz: float) -> np.ndarray:
    """The times that samples get which come `count` in a message, without any of their own."""
    clock = FakeClock()

    class Timed(Feed):
        async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
            for arrived_s in arrivals_s:
                clock.advance(arrived_s - clock.monotonic_s())
                yield [Message("a", b"[" + b",".join([b'{"x": 1}'] * count) + b"]")]

    reader = reader_of(Reading(rate_hz=rate_hz), {"x": ""})
    source, start_s = LiveSource(Timed(), reader, clock=clock), clock.wall_s()

    async def times() -> list[np.ndarray]:
        return [samples.time_s - start_s async for samples in source.chunks()]

    return np.concatenate(asyncio.run(times()))


def test_messages_that_a_line_delays_are_still_even_samples() -> None:
    jitter = np.random.default_rng(3).uniform(0, 0.4, 60)
    steps = np.diff(stamped(np.arange(1, 61) + jitter, count=20, rate_hz=20))
    assert steps.min() >= 0.025
    assert steps.max() <= 0.05 + 0.05 * 0.5


def test_lines_that_come_in_clumps_are_even_samples_too() -> None:
    arrivals = np.repeat(np.arange(1, 60) * 0.2, 4) + np.tile([0, 1e-4, 2e-4, 3e-4], 59)
    steps = np.diff(stamped(arrivals, count=1, rate_hz=20))
    assert steps.min() >= 0.025
    assert steps.max() <= 0.08


@pytest.mark.parametrize("true_hz", [19.8, 20.2])
def test_a_clock_that_runs_a_little_off_is_followed(true_hz: float) -> None:
    arrivals = np.arange(1, 400) * 20 / true_hz
    times = stamped(arrivals, count=20, rate_hz=20)
    assert np.diff(times).min() > 0
    assert times[-1] == pytest.approx(arrivals[-1], abs=0.25)


def test_a_message_that_is_missing_leaves_its_hole() -> None:
    arrivals = [1.0, 2.1, 3.0, 5.05, 6.0]
    steps = np.diff(stamped(arrivals, count=20, rate_hz=20))
    (hole,) = np.flatnonzero(steps > 0.08)
    assert (hole, steps[hole]) == (59, pytest.approx(1.1, abs=0.06))
    assert steps.min() > 0


class Counting:
    def __init__(self) -> None:
        self.items = 0

    def step(self, item: Item) -> list[Result]:
        self.items += 1
        return []

    def summary(self) -> Summary:
        return Summary(windows=self.items)


def test_each_sensor_has_its_own_stream_and_the_most_silent_is_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made: dict[str, Counting] = {}

    def make(key: str) -> Counting:
        return made.setdefault(key + "#" * (key in made), Counting())

    streams = Streams(make, most=2)
    for key in ("a", "b", "a", "c", "a", "b"):
        streams.step(Samples(time_s=[], values=[], key=key))  # type: ignore[arg-type]  # not looked at
    assert {key: each.items for key, each in made.items()} == {"a": 3, "b": 1, "c": 1, "b#": 1}
    assert streams.summary().windows == 6
    assert caplog.text.count("more than 2 sensors: what 'b' had of a window is forgotten") == 1
    assert len(caplog.records) == 1


def test_items_end_when_they_are_told_to() -> None:
    async def endless() -> AsyncGenerator[int, None]:
        for number in range(10**9):
            yield number
            await asyncio.sleep(0)

    async def case() -> int:
        stop = asyncio.Event()
        async for number in until(stop, endless()):
            if number == 3:
                stop.set()
        return number

    assert asyncio.run(asyncio.wait_for(case(), 10)) <= 5

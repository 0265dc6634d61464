"""Store and forward: what waits, what is given up, and what a failing disk does."""

import asyncio
from collections.abc import Sequence

import pytest

from edgewright.device.streams.base import Result
from edgewright.device.streams.forward import (
    Forwarder,
    ForwardingSink,
    Message,
    check_topic,
    fill_topic,
)
from edgewright.errors import InputError, ResourceError, TransportError
from edgewright.stores import MemoryQueue, Queued
from edgewright.testing import FakeClock


class Delivery:
    """Is away for some calls, then refuses or takes."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self._outcomes = list(outcomes)
        self.taken: list[bytes] = []

    async def deliver(self, messages: Sequence[Message]) -> None:
        outcome = self._outcomes.pop(0) if self._outcomes else None
        if outcome is not None:
            raise outcome
        self.taken += [message.payload for message in messages]

    async def close(self) -> None:
        pass


def forwarded(delivery: Delivery, count: int, *, limit: int = 100) -> Forwarder:
    async def case() -> Forwarder:
        forwarder = Forwarder(
            MemoryQueue(limit=limit), delivery, clock=FakeClock(), name="there", chance=lambda: 0.5
        )
        sink = ForwardingSink(forwarder, topic="{model}/{key}", encode=lambda r: b"%d" % r.end_s)
        for number in range(count):
            await sink.write([Result(model="m", key="k", start_s=0.0, end_s=float(number))])
        await sink.close()
        return forwarder

    return asyncio.run(case())


def test_what_could_not_be_delivered_is_delivered_later_in_order() -> None:
    away = TransportError("away")
    delivery = Delivery(away, away, away)
    assert forwarded(delivery, 5).delivered == 5
    assert delivery.taken == [b"0", b"1", b"2", b"3", b"4"]


class Silent(Delivery):
    async def deliver(self, messages: Sequence[Message]) -> None:
        await asyncio.Event().wait()


def test_a_side_that_never_answers_is_told_as_that() -> None:
    async def case() -> None:
        forwarder = Forwarder(MemoryQueue(limit=9), Silent(), clock=FakeClock(), name="there")
        await forwarder.put([Message("t", b"x")])
        await forwarder.close(patience_s=0.01)

    with pytest.raises(TransportError, match=r"1 of 1 messages .* no answer within 0\.01 s"):
        asyncio.run(case())


def test_a_fault_of_our_own_is_raised_and_not_tried_for_ever() -> None:
    with pytest.raises(ZeroDivisionError):
        forwarded(Delivery(ZeroDivisionError()), 1)


def test_a_refusal_for_good_is_told_at_the_end() -> None:
    with pytest.raises(TransportError, match=r"there: 1 of 1 messages .* not wanted"):
        forwarded(Delivery(InputError("not wanted")), 1)


def test_a_message_that_the_queue_has_no_room_for_takes_no_other_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    delivery = Delivery()

    async def case() -> Forwarder:
        queue = MemoryQueue(limit=100, limit_bytes=50)
        forwarder = Forwarder(queue, delivery, clock=FakeClock(), name="there")
        await forwarder.put([Message("t" * 9_999, b"y" * 99), Message("t", b"small")])
        with pytest.raises(TransportError, match=r"1 of 2 messages .* 99 bytes are more than its"):
            await forwarder.close(patience_s=30)
        return forwarder

    assert (asyncio.run(case()).refused, delivery.taken) == (1, [b"small"])
    assert len(caplog.text) < 500  # the topic is not told as a whole


class Picky:
    """Refuses a whole batch for one message in it, as servers do; keeps the sizes of batches."""

    def __init__(self, *bad: bytes) -> None:
        self._bad = bad
        self.taken: list[bytes] = []
        self.batches: list[int] = []

    async def deliver(self, messages: Sequence[Message]) -> None:
        payloads = [message.payload for message in messages]
        self.batches.append(len(payloads))
        if set(self._bad) & set(payloads):
            raise InputError("status 400")
        self.taken += payloads

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("bad", [[0], [137], [299], [3, 4], [10, 200]])
def test_of_a_refused_batch_only_the_message_at_fault_is_given_up(
    bad: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    sent = [b"%d" % number for number in range(300)]
    delivery = Picky(*(sent[each] for each in bad))
    queue = MemoryQueue(limit=1000)

    async def case() -> Forwarder:
        forwarder = Forwarder(queue, delivery, clock=FakeClock(), name="there")
        await forwarder.put([Message("t", payload) for payload in sent])
        with pytest.raises(TransportError, match=f"{len(bad)} of 300 messages .* status 400"):
            await forwarder.close(patience_s=30)
        return forwarder

    forwarder = asyncio.run(case())
    assert delivery.taken == [payload for at, payload in enumerate(sent) if at not in bad]
    assert (forwarder.delivered, forwarder.refused) == (300 - len(bad), len(bad))
    assert len(delivery.batches) <= 20 * len(bad) + 3
    # Of refusals in a row the first is told.
    assert caplog.text.count("refuses a message") == (1 if bad == [3, 4] else len(bad))


class FailingQueue(MemoryQueue):
    """Its disk fails for some calls."""

    def __init__(self, *, oldest: int = 0, confirm: int = 0) -> None:
        super().__init__(limit=100)
        self._fails = {"oldest": oldest, "confirm": confirm}

    def _fail(self, what: str) -> None:
        if self._fails[what]:
            self._fails[what] -= 1
            raise ResourceError(f"{what}: the disk is full")

    def oldest(self, count: int) -> list[Queued]:
        self._fail("oldest")
        return super().oldest(count)

    def confirm(self, sequence: int) -> None:
        self._fail("confirm")
        super().confirm(sequence)


@pytest.mark.parametrize("fails", [{"oldest": 2}, {"confirm": 2}, {"oldest": 1, "confirm": 1}])
def test_a_disk_that_fails_for_a_while_delays_delivery_and_repeats_nothing(
    fails: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    delivery, clock = Picky(), FakeClock()

    async def case() -> Forwarder:
        forwarder = Forwarder(FailingQueue(**fails), delivery, clock=clock, name="there")
        await forwarder.put([Message("t", b"1"), Message("t", b"2")])
        await forwarder.close(patience_s=30)
        return forwarder

    forwarder = asyncio.run(case())
    assert delivery.taken == [b"1", b"2"]
    assert len(clock.slept_s) == 2
    assert (forwarder.is_away, forwarder.waiting, forwarder.delivered) == (False, 0, 2)
    assert "the disk is full; trying again" in caplog.text
    assert "it is back" in caplog.text


class TellingClock(FakeClock):
    """Tells that somebody slept."""

    def __init__(self) -> None:
        super().__init__()
        self.has_slept = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.has_slept.set()
        await super().sleep(seconds)


def test_a_disk_that_goes_on_failing_shows_as_away() -> None:
    async def case() -> tuple[bool, int]:
        clock = TellingClock()
        forwarder = Forwarder(FailingQueue(oldest=10**6), Picky(), clock=clock, name="there")
        await forwarder.put([Message("t", b"1")])
        await clock.has_slept.wait()
        told = forwarder.is_away, forwarder.waiting
        with pytest.raises(TransportError, match="the disk is full"):
            await forwarder.close(patience_s=0)
        return told

    assert asyncio.run(asyncio.wait_for(case(), 10)) == (True, 1)


def test_a_fault_of_our_own_is_told_to_whoever_puts_the_next_message() -> None:
    async def case() -> None:
        forwarder = Forwarder(
            MemoryQueue(limit=9), Delivery(ZeroDivisionError()), clock=FakeClock(), name="there"
        )
        for _ in range(100):
            await forwarder.put([Message("t", b"1")])

    with pytest.raises(ZeroDivisionError):
        asyncio.run(case())


@pytest.mark.parametrize("state", ["C++", "a#b", "a\0b"])
def test_what_a_topic_must_not_hold_is_replaced_in_it(state: str) -> None:
    result = Result(model="m", start_s=0.0, end_s=1.0, state=state, key="ann")
    topic = fill_topic("gym/{key}/{state}", result)
    assert topic.startswith("gym/ann/")
    assert not set("+#\0") & set(topic)


def test_a_topic_with_an_unknown_placeholder_is_refused() -> None:
    check_topic("gym/{key}/{model}/{state}")
    with pytest.raises(InputError, match="holds a placeholder that is not known"):
        check_topic("gym/{who}")

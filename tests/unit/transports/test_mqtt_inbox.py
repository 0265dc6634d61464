"""What waits between a broker and us is bounded; what can be listened to is told before."""

import asyncio
import contextlib
import logging

import pytest

aiomqtt = pytest.importorskip("aiomqtt", reason="absent: aiomqtt (extra mqtt)")

from edgewright.errors import InputError, TransportError  # noqa: E402 - stands below the skip
from edgewright.transports import mqtt  # noqa: E402 - needs the extra


def message(qos: int, size_bytes: int) -> "aiomqtt.Message":
    return aiomqtt.Message("t", b"x" * size_bytes, qos, False, 1, None)


def test_bytes_that_wait_are_bounded_and_what_does_not_fit_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox = mqtt._Inbox(20_000)
    with caplog.at_level(logging.WARNING):
        for _ in range(70):
            try:
                inbox.put_nowait(message(0, 1 << 20))
            except asyncio.QueueFull:
                continue
    assert (inbox.qsize(), inbox.lost, inbox.is_broken) == (64, 6, False)
    assert caplog.text.count("some are lost") == 1
    inbox.get_nowait()
    inbox.put_nowait(message(0, 1))
    assert inbox.qsize() == 64


def test_one_that_must_not_be_lost_breaks_the_line_so_that_it_comes_again() -> None:
    inbox = mqtt._Inbox(1)
    inbox.put_nowait(message(1, 1))
    with pytest.raises(asyncio.QueueFull):
        inbox.put_nowait(message(1, 1))
    assert inbox.is_broken
    inbox.get_nowait()
    with pytest.raises(asyncio.QueueFull):  # one that is newer may not go before it
        inbox.put_nowait(message(1, 1))


def test_what_did_fit_is_dealt_with_before_the_line_is_broken() -> None:
    found: list[bytes] = []

    async def case() -> None:
        client = aiomqtt.Client("127.0.0.1", 1, queue_type=mqtt._Inbox)
        inbox = client._queue = mqtt._Inbox(500)
        for size_bytes in range(600):
            with contextlib.suppress(asyncio.QueueFull):
                inbox.put_nowait(message(1, size_bytes))
        async for messages, _ in mqtt.received(client):
            found.extend(payload for _, payload in messages)

    with pytest.raises(TransportError, match="more messages than can wait here"):
        asyncio.run(case())
    assert [len(payload) for payload in found] == [*range(500)]


@pytest.mark.parametrize("topic", ["", "a/#/b", "a/b#", "a+/b", "a\0b", "#/a"])
def test_a_topic_that_cannot_be_listened_to_is_refused(topic: str) -> None:
    mqtt.check_filters(["#", "+", "a/+/b", "a/#", "/a/", "+/#"])
    with pytest.raises(InputError, match="no topic filter"):
        mqtt.check_filters(["a", topic])
    with pytest.raises(InputError, match="no topics to listen to"):
        mqtt.check_filters([])

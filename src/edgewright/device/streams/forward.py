"""Store and forward: results wait in a queue until the other side has them.

What is written is in the queue before `write` returns; a task of its own delivers in order and
tries again, at growing intervals, when the other side is away or the queue's disk fails. Of
messages that the other side refuses for what they are, halving finds the one that is at fault; that
one alone is given up.
"""

import asyncio
import logging
import random
import re
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from edgewright._tasks import ended
from edgewright.clock import Clock
from edgewright.device.streams.base import Result
from edgewright.errors import EdgewrightError, InputError, TransportError
from edgewright.stores.queue import Queue, Queued

logger = logging.getLogger(__name__)

BATCH = 200
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_SHOWN = 80
# Wildcards and the end of a text: no broker takes a topic of a message with them.
_NOT_IN_TOPICS = re.compile(r"[+#\x00]")


class Message(msgspec.Struct, frozen=True, array_like=True):
    """What is delivered: bytes, under a name (a topic; not all sides have such)."""

    topic: str
    payload: bytes


class Delivery(Protocol):
    """The way to another side."""

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Returns when the other side has all of them.

        Raises:
            TransportError: not now; all of them will be tried again.
            InputError: never, for at least one of them is what the other side does not take.
        """

    async def close(self) -> None:
        """Hang up."""


class Forwarder:
    """A queue with a way out of it."""

    def __init__(
        self,
        queue: Queue,
        delivery: Delivery,
        *,
        clock: Clock,
        name: str,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._delivery = delivery
        self._clock = clock
        self._name = name
        self._chance = chance
        self._lock = asyncio.Lock()
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last_error = ""
        self._most = BATCH
        self._suspect = 0
        self._unconfirmed = 0
        self._refuses = False
        self.is_away = False
        self.delivered = 0
        self.refused = 0

    @property
    def dropped(self) -> int:
        """Messages that the bound pushed out of the queue."""
        return self._queue.dropped

    @property
    def damaged(self) -> int:
        """Messages that the queue's disk damaged."""
        return self._queue.damaged

    @property
    def waiting(self) -> int:
        """Messages that wait to be delivered."""
        return len(self._queue)

    async def put(self, messages: Sequence[Message]) -> None:
        """Take messages over; they are in the queue when this returns. One that is larger than the
        queue takes is given up, as one that the other side refuses.

        Raises:
            ResourceError: the queue's disk is full or failed.
        """
        payloads = [
            encoded
            for message in messages
            if self._takes(message, encoded := msgspec.msgpack.encode(message))
        ]
        if not payloads:
            return
        async with self._lock:
            await asyncio.to_thread(self._queue.push, payloads)
        self._start()
        if self._task is not None and self._task.done():
            self._task.result()  # a fault of our own ended it; nothing would be delivered any more

    def resume(self) -> None:
        """Deliver what waits, without waiting for news."""
        if len(self._queue):
            self._start()

    async def close(self, *, patience_s: float) -> None:
        """Deliver what waits, for so long. A durable queue keeps the rest for the next start.

        Raises:
            TransportError: messages are lost; the message says how many.
        """
        self.resume()
        task = self._task
        if task is not None:
            waits = asyncio.create_task(self._empty.wait())
            await asyncio.wait([task, waits], timeout=patience_s, return_when="FIRST_COMPLETED")
            await ended(waits, task)
        await self._delivery.close()
        left, dropped = len(self._queue), self._queue.dropped
        is_durable = self._queue.is_durable
        self._queue.close()
        if task is not None and not task.cancelled() and (error := task.exception()):
            raise error
        if left and is_durable:
            logger.warning("%s: %d messages stay in the queue for later", self._name, left)
        lost = self.refused + (0 if is_durable else left + dropped)
        if lost:
            is_away = lost > self.refused
            raise TransportError(
                f"{self._name}: {lost} of {lost + self.delivered} messages were not delivered: "
                f"{self._last_error or self._why(patience_s)}",
                hint="check the address; give the sink a queue on disk to keep them"
                if is_away
                else "nothing helps those messages; all others were delivered or are kept",
            )

    def _why(self, patience_s: float) -> str:
        """Why messages are lost when nobody refused anything."""
        return "the queue was full" if self._queue.dropped else f"no answer within {patience_s:g} s"

    def _takes(self, message: Message, encoded: bytes) -> bool:
        if self._queue.takes(encoded):
            return True
        error = InputError(
            f"{len(message.payload)} bytes are more than its queue takes",
            hint="give the queue a larger limit",
        )
        self._give_up(message, error)
        return False

    def _give_up(self, message: Message, error: InputError) -> None:
        """Count a message that will never be delivered; of some in a row the first is told."""
        if not self._refuses:
            logger.warning(
                "%s refuses a message of %r: %s", self._name, shown(message.topic), error
            )
        self._refuses, self._last_error = True, str(error)
        self.refused += 1

    def _start(self) -> None:
        self._empty.clear()
        self._news.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name=f"forward to {self._name}")

    async def _work(self) -> None:
        """Deliver until there is nothing left, then wait for more."""
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                batch = await self._next()
                if batch:
                    await self._deliver(batch)
                    await self._confirm()
            except EdgewrightError as error:
                self._put_off(error)
                await self._clock.sleep(wait_s * (0.5 + self._chance()))
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
                continue
            if self.is_away:
                logger.warning("%s: it is back", self._name)
            self.is_away, wait_s = False, _FIRST_WAIT_S
            if not batch:
                self._news.clear()
                self._empty.set()
                await self._news.wait()

    async def _next(self) -> list[Queued]:
        """What is to be delivered now; what was delivered but could not be noted is noted first."""
        await self._confirm()
        async with self._lock:
            return await asyncio.to_thread(self._queue.oldest, self._most)

    async def _deliver(self, batch: list[Queued]) -> None:
        """Deliver, or learn that one of them is refused: then fewer are tried next, and one alone
        is done with.

        Raises:
            TransportError: not now.
        """
        messages = [msgspec.msgpack.decode(each.payload, type=Message) for each in batch]
        try:
            await self._delivery.deliver(messages)
        except InputError as error:
            self._last_error = str(error)
            if len(batch) > 1:
                self._most, self._suspect = len(batch) // 2, batch[-1].sequence
                return
            self._give_up(messages[0], error)
        else:
            self._refuses = False
            self.delivered += len(batch)
        self._unconfirmed = batch[-1].sequence
        if self._unconfirmed >= self._suspect:
            self._most = BATCH

    async def _confirm(self) -> None:
        """Note what is done with.

        Raises:
            ResourceError: the disk is full or failed.
        """
        if self._unconfirmed:
            async with self._lock:
                await asyncio.to_thread(self._queue.confirm, self._unconfirmed)
            self._unconfirmed = 0

    def _put_off(self, error: EdgewrightError) -> None:
        """Remember why it is to be tried again, and say so once."""
        if not self.is_away:
            logger.warning("%s: %s; trying again", self._name, error)
        self.is_away, self._last_error = True, str(error)


class ForwardingSink:
    """Results to another side; `topic` may name `{model}`, `{key}` and `{state}`."""

    wants_every = False

    def __init__(
        self,
        forwarder: Forwarder,
        *,
        topic: str = "",
        encode: Callable[[Result], bytes] = msgspec.json.encode,
        patience_s: float = 5.0,
    ) -> None:
        self.forwarder = forwarder
        self._topic = topic
        self._encode = encode
        self._patience_s = patience_s

    async def start(self) -> None:
        """Deliver what an earlier process left in the queue."""
        self.forwarder.resume()

    async def write(self, results: Sequence[Result]) -> None:
        await self.forwarder.put(
            [Message(fill_topic(self._topic, each), self._encode(each)) for each in results]
        )

    async def close(self) -> None:
        await self.forwarder.close(patience_s=self._patience_s)


def shown(topic: str) -> str:
    """A topic as a log has it: one of 65 kB would bury everything else."""
    return topic if len(topic) <= _SHOWN else f"{topic[:_SHOWN]}..."


def check_topic(topic: str) -> str:
    """Whether a topic's placeholders are known; what is left of it while nothing is in them.

    Raises:
        InputError: they are not.
    """
    try:
        return topic.format(model="", key="", state="")
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise InputError(
            f"topic {topic!r} holds a placeholder that is not known",
            hint="{model}, {key} and {state} are; a brace itself is written twice",
        ) from error


def fill_topic(topic: str, result: Result) -> str:
    """The topic of one result. What a topic must not hold becomes `_`.

    >>> fill_topic("gym/{state}", Result(model="m", start_s=0, end_s=1, state="C++"))
    'gym/C__'
    """
    return topic.format(
        **{
            name: _NOT_IN_TOPICS.sub("_", text)
            for name, text in (
                ("model", result.model),
                ("key", result.key),
                ("state", result.state),
            )
        }
    )

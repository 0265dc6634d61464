"""Sensors that send messages: from a feed that may break to samples that do not stop.

A message that cannot be read is counted and left out, the first of a kind is logged; a feed that
broke is asked again at growing intervals, for as long as it takes.
"""

import logging
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec

from edgewright.clock import Clock
from edgewright.device.streams.base import Samples
from edgewright.device.streams.forward import Message, shown
from edgewright.device.streams.reading import SampleReader
from edgewright.errors import InputError, TransportError
from edgewright.transports.line import PAYLOAD_BYTES

logger = logging.getLogger(__name__)

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_MOST_REMEMBERED = 4096


class Feed(Protocol):
    """Messages of another side. A batch counts as taken when the next one is asked for."""

    @property
    def name(self) -> str:
        """Where they come from, for people."""

    def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        """Messages as they arrive, over one connection.

        Raises:
            TransportError: the other side is gone, or was never there.
            UnavailableError: a device is absent.
        """


class Told(msgspec.Struct):
    """What arrived so far."""

    messages: int = 0
    unreadable: int = 0
    breaks: int = 0


async def unbroken(
    feed: Feed, told: Told, *, clock: Clock, chance: Callable[[], float] = random.random
) -> AsyncGenerator[Sequence[Message], None]:
    """The messages of a feed, over as many connections as it takes."""
    wait_s, said = _FIRST_WAIT_S, ""
    while True:
        try:
            async with aclosing(feed.batches()) as batches:
                async for batch in batches:
                    if said:
                        logger.warning("%s: it is back", feed.name)
                    wait_s, said = _FIRST_WAIT_S, ""
                    told.messages += len(batch)
                    yield batch
                return
        except TransportError as error:
            told.breaks += 1
            if str(error) != said:
                logger.warning("%s; trying again", error)
            said = str(error)
            await clock.sleep(wait_s * (0.5 + chance()))
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


class LiveSource:
    """Samples of a feed. `key_part` is the part of a topic that names the sensor; without it the
    whole topic does.
    """

    def __init__(
        self, feed: Feed, reader: SampleReader, *, clock: Clock, key_part: int | None = None
    ) -> None:
        self._feed = feed
        self._reader = reader
        self._clock = clock
        self._key_part = key_part
        self._last_s: OrderedDict[str, float] = OrderedDict()
        self.told = Told()

    async def chunks(self) -> AsyncGenerator[Samples, None]:
        """Samples, as long as the feed goes on."""
        async with aclosing(unbroken(self._feed, self.told, clock=self._clock)) as batches:
            async for batch in batches:
                for message in batch:
                    samples = self._read(message)
                    if samples is not None:
                        yield samples

    def _read(self, message: Message) -> Samples | None:
        try:
            if len(message.payload) > PAYLOAD_BYTES:
                raise InputError(f"{len(message.payload)} bytes, expected {PAYLOAD_BYTES} or fewer")
            samples = self._samples(self._key(message.topic), message.payload.decode())
        except (InputError, UnicodeDecodeError) as error:
            self.told.unreadable += 1
            if self.told.unreadable == 1:
                logger.warning("a message of %s is left out: %s", shown(message.topic), error)
            return None
        return samples

    def _samples(self, key: str, text: str) -> Samples:
        arrived_s, after_s = self._clock.wall_s(), self._last_s.get(key)
        samples = self._reader.read(text, arrived_s=arrived_s, after_s=after_s)
        if self._reader.spaces:
            self._last_s[key] = float(samples.time_s[-1])
            self._last_s.move_to_end(key)
            if len(self._last_s) > _MOST_REMEMBERED:
                self._last_s.popitem(last=False)
        return msgspec.structs.replace(samples, key=key)

    def _key(self, topic: str) -> str:
        if self._key_part is None:
            return topic
        parts = topic.split("/")
        return parts[self._key_part] if -len(parts) <= self._key_part < len(parts) else topic

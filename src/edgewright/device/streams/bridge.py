"""From one broker to another, through a queue: what came in is not acknowledged before the queue
has it, so a message is lost only where the bound of the queue pushes it out, or where it is larger
than the queue takes; both are counted.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from edgewright.clock import Clock
from edgewright.device.streams.forward import Forwarder, Message
from edgewright.device.streams.live import Feed, Told, unbroken
from edgewright.device.streams.run import until


class BridgeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a bridge did."""

    received: int
    delivered: int
    refused: int
    dropped: int


class Bridge:
    """One way; two make both ways."""

    def __init__(
        self, feed: Feed, forwarder: Forwarder, *, prefix: str, clock: Clock, patience_s: float
    ) -> None:
        self._feed = feed
        self.forwarder = forwarder
        self._prefix = prefix
        self._clock = clock
        self._patience_s = patience_s
        self.told = Told()

    async def run(self, stop: asyncio.Event) -> BridgeSummary:
        """Forward until `stop` is set.

        Raises:
            TransportError: messages were lost.
        """
        self.forwarder.resume()
        batches = unbroken(self._feed, self.told, clock=self._clock)
        try:
            async with aclosing(until(stop, batches)) as stopped:
                async for batch in stopped:
                    await self._take(batch)
        finally:
            await self.forwarder.close(patience_s=self._patience_s)
        return BridgeSummary(
            received=self.told.messages,
            delivered=self.forwarder.delivered,
            refused=self.forwarder.refused,
            dropped=self.forwarder.dropped,
        )

    async def _take(self, batch: Sequence[Message]) -> None:
        await self.forwarder.put(
            [Message(self._prefix + each.topic, each.payload) for each in batch]
        )

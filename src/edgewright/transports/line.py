"""The port: a line to a broker, over which messages with topics go and come at least once.

Topics are written as MQTT does: segments between slashes, `+` for any one segment when listening.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

PAYLOAD_BYTES = 1 << 20

Messages = list[tuple[str, bytes]]
"""Topics and payloads."""


class Line(Protocol):
    """A line that is open."""

    async def listen(self, topics: tuple[str, ...]) -> None:
        """Ask for the messages of topics.

        Raises:
            TransportError: the broker refuses one.
        """

    def received(self) -> AsyncIterator[tuple[Messages, Callable[[], Awaitable[None]]]]:
        """Messages as they come, some together, and what tells the broker that we are done with
        them; it ends or raises `TransportError` when the line breaks. What is larger than
        `PAYLOAD_BYTES` is left out.
        """

    async def publish(
        self, messages: Sequence[tuple[str, bytes]], *, is_awaited: bool = False
    ) -> None:
        """Give messages to the broker, in their order; back when it has them all. With `is_awaited`
        it is an error that nobody listens, where the broker can tell.

        Raises:
            TransportError: it did not take them all.
        """


Dial = Callable[[], AbstractAsyncContextManager[Line]]
"""Opens a line for as long as a block lasts; `TransportError` when the broker is away or refuses
us, also in the middle of the block.
"""

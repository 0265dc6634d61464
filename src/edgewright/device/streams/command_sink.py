"""Commands to an actuator over MQTT (extra `mqtt`): only the newest, never one of a queue.

The safe value is sent when the sink starts, when results stop coming, and when it ends; the broker
sends it for us (the MQTT will) when the process dies or the line is cut. While the broker is away
nothing is kept: when it is back, it gets what holds then.
"""

import asyncio
import logging
from collections.abc import Sequence

from edgewright._tasks import ended
from edgewright.clock import Clock
from edgewright.device.streams.base import Result
from edgewright.device.streams.command import CommandOrder, command_for
from edgewright.errors import TransportError
from edgewright.transports import mqtt

logger = logging.getLogger(__name__)

_WAIT_S = 1.0
_KEEPALIVE_S = 5


class CommandSink:
    """One actuator."""

    def __init__(
        self, broker: mqtt.Broker, topic: str, order: CommandOrder, *, clock: Clock
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._order = order
        self._clock = clock
        self._wanted = order.safe
        self._changed = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    async def start(self) -> None:
        """Connect, and send the safe value."""
        self._task = asyncio.create_task(self._work(), name=f"commands to {self._topic}")

    async def write(self, results: Sequence[Result]) -> None:
        """The newest result decides."""
        self._wanted = command_for(results[-1], self._order)
        self._changed.set()

    async def close(self) -> None:
        """Send the safe value and disconnect.

        Raises:
            TransportError: it could not be sent; the broker was told to send it for us.
        """
        self._wanted = self._order.safe
        self._is_closing = True
        self._changed.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=self._order.stale_s)
        if not done:
            await ended(self._task)
            raise TransportError(
                f"{self._topic}: the safe value could not be sent: {self._said or 'no answer'}",
                hint="the broker sends it by itself once it notices that we are gone",
            )
        self._task.result()

    async def _work(self) -> None:
        while True:
            try:
                await self._connected_once()
            except TransportError as error:
                if str(error) != self._said:
                    logger.warning("%s: %s; trying again", self._topic, error)
                self._said = str(error)
                await self._clock.sleep(_WAIT_S)
            else:
                return

    async def _connected_once(self) -> None:
        """Send what is wanted whenever it changes, until the sink closes."""
        will = (self._topic, _text(self._order.safe))
        session = mqtt.Session(will=will, keepalive_s=_KEEPALIVE_S)
        async with mqtt.connected(self._broker, session) as client:
            sent: float | None = None
            while True:
                self._changed.clear()
                if self._wanted != sent:
                    sent = self._wanted
                    await mqtt.publish_all(client, [(self._topic, _text(sent))], retain=True)
                    self._said = ""
                if self._is_closing:
                    return
                await self._news()

    async def _news(self) -> None:
        """Returns when a result came, or when none has for too long."""
        try:
            async with asyncio.timeout(self._order.stale_s):
                await self._changed.wait()
        except TimeoutError:
            self._wanted = self._order.safe


def _text(value: float) -> bytes:
    return repr(float(value)).encode()

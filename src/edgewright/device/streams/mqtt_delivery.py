"""Messages to an MQTT broker (extra `mqtt`)."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import aiomqtt

from edgewright.device.streams.forward import Message
from edgewright.errors import TransportError
from edgewright.transports import mqtt


class MqttDelivery:
    """Each message at least once, in order, over one connection that is kept."""

    def __init__(self, broker: mqtt.Broker, *, retain: bool = False) -> None:
        self._broker = broker
        self._retain = retain
        self._stack = AsyncExitStack()
        self._client: aiomqtt.Client | None = None

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Returns when the broker has acknowledged every one."""
        try:
            if self._client is None:
                self._client = await self._stack.enter_async_context(
                    mqtt.connected(self._broker, mqtt.Session())
                )
            await mqtt.publish_all(
                self._client,
                [(message.topic, message.payload) for message in messages],
                retain=self._retain,
            )
        except (TransportError, asyncio.CancelledError):
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect."""
        self._client = None
        stack, self._stack = self._stack, AsyncExitStack()
        try:
            await stack.aclose()
        except TransportError:
            return  # it is gone already, and that is what was wanted

"""Messages to an AMQP broker (extra `amqp`)."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import aio_pika
import aio_pika.abc
import aio_pika.exceptions

from edgewright.device.streams.forward import Message
from edgewright.errors import InputError, TransportError
from edgewright.transports import amqp

_KEY_BYTES = 255


class AmqpDelivery:
    """Persistent messages to an exchange ("" is the default one, whose routing keys are queues),
    each confirmed by the broker.

    A routing key that nobody takes: with keys that differ from message to message (`keys_differ`)
    the message is at fault, and must not hold up the others; with one key for all of them the queue
    is not there yet, and they wait for it.
    """

    def __init__(self, host: amqp.Host, *, exchange: str, keys_differ: bool) -> None:
        self._host = host
        self._name = exchange
        self._keys_differ = keys_differ
        self._stack = AsyncExitStack()
        self._exchange: aio_pika.abc.AbstractExchange | None = None

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Returns when the broker has confirmed every one.

        Raises:
            TransportError: not now.
            InputError: never; a routing key is at fault.
        """
        for message in messages:
            if len(message.topic.encode()) > _KEY_BYTES:
                raise InputError(
                    f"routing key {message.topic[:40]!r}... is above {_KEY_BYTES} bytes"
                )
        try:
            exchange = self._exchange or await self._connected()
            for message in messages:
                await exchange.publish(
                    aio_pika.Message(
                        message.payload, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
                    ),
                    routing_key=message.topic,
                )
        except aio_pika.exceptions.PublishError as error:
            kind = InputError if self._keys_differ else TransportError
            raise kind(
                f"broker {self._host}: nobody takes messages of {message.topic!r}: {error}",
                hint="make the queue, or bind one to the exchange",
            ) from error
        except (aio_pika.exceptions.AMQPError, OSError, RuntimeError) as error:
            await self.close()
            said = amqp.said_by(error, self._host)
            raise TransportError(f"broker {self._host}: {said}") from error
        except (TransportError, asyncio.CancelledError):
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect."""
        self._exchange = None
        stack, self._stack = self._stack, AsyncExitStack()
        try:
            await stack.aclose()
        except TransportError:
            return  # it is gone already, and that is what was wanted

    async def _connected(self) -> aio_pika.abc.AbstractExchange:
        channel = await self._stack.enter_async_context(amqp.connected(self._host))
        if self._name:
            self._exchange = await channel.get_exchange(self._name)
        else:
            self._exchange = channel.default_exchange
        return self._exchange

"""Messages of an AMQP queue (extra `amqp`)."""

from collections.abc import AsyncGenerator, Sequence

from edgewright.device.streams.forward import Message
from edgewright.errors import TransportError
from edgewright.transports import amqp


class AmqpFeed:
    """A durable queue, made when it is absent and bound to `exchange` when that is given. The
    message's routing key takes the place of a topic, with dots made slashes.
    """

    def __init__(self, host: amqp.Host, queue: str, *, exchange: str, routing: str) -> None:
        self._host = host
        self._queue = queue
        self._exchange = exchange
        self._routing = routing

    @property
    def name(self) -> str:
        """The broker's address."""
        return repr(self._host)

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        """Messages until the connection breaks; acknowledged when they were dealt with."""
        async with amqp.connected(self._host) as channel:
            queue = await channel.declare_queue(self._queue, durable=True)
            if self._exchange:
                await queue.bind(self._exchange, routing_key=self._routing)
            async with queue.iterator() as messages:
                async for message in messages:
                    topic = (message.routing_key or self._queue).replace(".", "/")
                    yield [Message(topic, message.body)]
                    await message.ack()
        raise TransportError(f"broker {self._host} no longer delivers queue {self._queue!r}")

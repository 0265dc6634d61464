"""AMQP 0-9-1 (extra `amqp`), as RabbitMQ speaks it: where a broker is, and a connection to it.

>>> parse_host("amqp://edge:secret@rabbit.example/plant")
amqp://rabbit.example:5672/plant
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import aio_pika
import aio_pika.abc
import aio_pika.exceptions

from edgewright.errors import InputError, TransportError
from edgewright.transports.line import PAYLOAD_BYTES, Line, Messages

_PORTS = {"amqp": 5672, "amqps": 5671}
_ADDRESS_IN_MEMORY = re.compile(r" object at 0x[0-9a-f]+")
_TIMEOUT_S = 10.0
AT_ONCE = 200
"""Messages that the broker sends before we have acknowledged one."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Host:
    """An address, and who we are there; `repr` shows no password."""

    scheme: str
    host: str
    port: int
    virtual_host: str
    user: str = "guest"
    password: str = field(default="guest", repr=False)
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/{self.virtual_host.lstrip('/')}"


def parse_host(
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Host:
    """amqp://[user:password@]host[:port][/virtual host], or amqps:// for TLS.

    Raises:
        InputError: it is no such address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise _no_host() from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise _no_host()
    is_secure = parts.scheme == "amqps"
    return Host(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port,
        virtual_host=unquote(parts.path[1:]) or "/",
        user=user or unquote(parts.username or "guest"),
        password=password or unquote(parts.password or "guest"),
        tls=(tls or ssl.create_default_context()) if is_secure else None,
    )


@contextlib.asynccontextmanager
async def connected(host: Host) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A channel with publisher confirms; whatever AMQP raises inside the block leaves it as ours.

    Raises:
        TransportError: the broker is away, or refuses us.
    """
    with _translated(host):
        connection = await aio_pika.connect(
            host=host.host,
            port=host.port,
            login=host.user,
            password=host.password,
            virtualhost=host.virtual_host,
            ssl=host.tls is not None,
            ssl_context=host.tls,
            timeout=_TIMEOUT_S,
        )
        async with connection:
            # A message that no queue takes is an error of its publisher, not silence.
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.set_qos(prefetch_count=AT_ONCE)
            async with _closed_when_cancelled(channel):
                yield channel


@contextlib.asynccontextmanager
async def _closed_when_cancelled(channel: aio_pika.abc.AbstractChannel) -> AsyncIterator[None]:
    """A broker that deletes a queue cancels who listens to it, and says no more; the library would
    wait for ever. A channel that closes ends the waiting.
    """
    closing: set[asyncio.Task[None]] = set()

    def close(_: object) -> None:
        closing.add(asyncio.ensure_future(channel.close()))

    inner = await channel.get_underlay_channel()
    inner.on_consumer_cancel_callbacks.add(close)
    try:
        yield
    finally:
        await asyncio.gather(*closing, return_exceptions=True)


class AmqpLine:
    """A line of `transports.line`: topics are routing keys of one topic exchange."""

    def __init__(
        self,
        host: Host,
        channel: aio_pika.abc.AbstractChannel,
        exchange: aio_pika.abc.AbstractExchange,
    ) -> None:
        self._host = host
        self._channel = channel
        self._exchange = exchange
        self._queue: aio_pika.abc.AbstractQueue | None = None

    async def listen(self, topics: tuple[str, ...]) -> None:
        """By a queue of our own, which goes with the line."""
        with _translated(self._host):
            self._queue = await self._channel.declare_queue(exclusive=True, auto_delete=True)
            for topic in topics:
                await self._queue.bind(self._exchange, routing_key=routing_key(topic))

    async def received(self) -> AsyncIterator[tuple[Messages, Callable[[], Awaitable[None]]]]:
        if self._queue is None:
            return
        with _translated(self._host):
            async with self._queue.iterator() as messages:
                async for message in messages:
                    topic = topic_of(message.routing_key or "")
                    is_small = len(message.body) <= PAYLOAD_BYTES
                    yield [(topic, message.body)] if is_small else [], message.ack
        raise TransportError(f"broker {self._host} closed the connection")

    async def publish(
        self, messages: Sequence[tuple[str, bytes]], *, is_awaited: bool = False
    ) -> None:
        with _translated(self._host):
            async with asyncio.timeout(_TIMEOUT_S):
                await asyncio.gather(
                    *(
                        self._exchange.publish(
                            aio_pika.Message(payload),
                            routing_key(topic),
                            mandatory=is_awaited,
                        )
                        for topic, payload in messages
                    )
                )


@contextlib.asynccontextmanager
async def opened(host: Host, exchange: str) -> AsyncIterator[Line]:
    """A line to a broker over an exchange, which is made when it is absent; see `transports.line`.

    Raises:
        TransportError: the broker is away, or refuses us.
    """
    async with connected(host) as channel:
        kind = aio_pika.ExchangeType.TOPIC
        made = await channel.declare_exchange(exchange, kind, durable=True)
        yield AmqpLine(host, channel, made)


def routing_key(topic: str) -> str:
    """A topic as AMQP routes it: words between dots, `*` for any one.

    >>> routing_key("devices/press.7/wake"), routing_key("devices/+/telemetry")
    ('devices.press%2E7.wake', 'devices.*.telemetry')
    """
    words = topic.replace("%", "%25").replace(".", "%2E").split("/")
    return ".".join("*" if word == "+" else word for word in words)


def topic_of(key: str) -> str:
    """The topic that a routing key stands for.

    >>> topic_of(routing_key("devices/press.7/wake"))
    'devices/press.7/wake'
    """
    return key.replace(".", "/").replace("%2E", ".").replace("%25", "%")


@contextlib.contextmanager
def _translated(host: Host) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, aio_pika.exceptions.AMQPError, OSError) as error:
        raise TransportError(
            f"broker {host}: {said_by(error, host)}", hint="check host and password"
        ) from error


def said_by(error: Exception, host: Host) -> str:
    """What a broker's refusal is about. One of a virtual host reaches us as a frame that was not
    expected, without the broker's words.
    """
    is_refused = isinstance(error, aio_pika.exceptions.AMQPError) and "OpenOk" in str(error)
    if is_refused:
        return f"it does not open the virtual host {host.virtual_host!r} for {host.user!r}"
    return _ADDRESS_IN_MEMORY.sub("", str(error)) or type(error).__name__


def _no_host() -> InputError:
    # The address may hold a password, so the message does not repeat it.
    return InputError("the address of the broker is not understood", hint="amqp://host is one")

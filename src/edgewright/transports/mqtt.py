"""MQTT (extra `mqtt`): where a broker is, and a connection to it whose errors are ours.

>>> parse_broker("mqtts://edge:secret@broker.example").port
8883
>>> parse_broker("mqtt://edge:secret@broker.example")
mqtt://broker.example:1883
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import aiomqtt

from edgewright.errors import InputError, TransportError
from edgewright.transports.line import PAYLOAD_BYTES, Line, Messages

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_REFUSED = 0x80
_TIMEOUT_S = 10.0
_MOST_WAITING = 20_000
_MOST_WAITING_BYTES = 64 << 20
_MOST_TOGETHER = 200
_TOPIC_BYTES = 65_535

logger = logging.getLogger(__name__)

# What the library logs is raised as an error too, or has its bounds here.
_quiet = logging.getLogger("edgewright.transports.mqtt.library")
_quiet.setLevel(logging.CRITICAL)


@dataclass(frozen=True, kw_only=True, repr=False)
class Broker:
    """An address, and who we are there; `repr` shows no password."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Session:
    """How a connection is held. A session with a `name` stays at the broker while we are away, and
    messages wait there; `will` is what the broker says for us when we end without a word.
    """

    name: str = ""
    will: tuple[str, bytes] | None = None
    keepalive_s: int = 30


def parse_broker(
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Broker:
    """mqtt://[user:password@]host[:port], or mqtts:// for TLS. What is given beside the address
    counts before what is in it.

    Raises:
        InputError: it is no such address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise _no_broker() from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise _no_broker()
    if parts.scheme == "mqtts" and tls is None:
        tls = ssl.create_default_context()
    return Broker(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port,
        user=user or (unquote(parts.username) if parts.username else None),
        password=password or (unquote(parts.password) if parts.password else None),
        tls=tls if parts.scheme == "mqtts" else None,
    )


class _Inbox(asyncio.Queue[aiomqtt.Message]):
    """What arrived and was not taken yet, bounded in bytes as well: nothing holds back a broker
    that sends with QoS 0. What does not fit is lost, or comes again over a new connection (QoS 1).
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._size_bytes = self.lost = 0
        self.is_broken = False

    def full(self) -> bool:
        is_full = super().full() or self._size_bytes >= _MOST_WAITING_BYTES
        return is_full or self.is_broken  # after one that is missing none may be taken, for order

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if self.full():
            self._refuse(item)
        super().put_nowait(item)
        self._size_bytes += len(item.payload)

    def get_nowait(self) -> aiomqtt.Message:
        item = super().get_nowait()
        self._size_bytes -= len(item.payload)
        return item

    def _refuse(self, item: aiomqtt.Message) -> None:
        if item.qos:
            self.is_broken = True
            return
        if not self.lost:
            logger.warning("messages with QoS 0 come faster than they are taken; some are lost")
        self.lost += 1


@contextlib.asynccontextmanager
async def connected(broker: Broker, session: Session) -> AsyncIterator[aiomqtt.Client]:
    """A connection; whatever MQTT raises inside the block leaves it as ours.

    Raises:
        TransportError: the broker is away, or refuses us.
    """
    will = None
    if session.will is not None:
        will = aiomqtt.Will(session.will[0], session.will[1], qos=1, retain=True)
    client = aiomqtt.Client(
        broker.host,
        broker.port,
        identifier=session.name or None,
        clean_session=not session.name,
        username=broker.user,
        password=broker.password,
        tls_context=broker.tls,
        will=will,
        keepalive=session.keepalive_s,
        timeout=_TIMEOUT_S,
        queue_type=_Inbox,
        max_queued_incoming_messages=_MOST_WAITING,
        logger=_quiet,
    )
    # aiomqtt has no way to acknowledge later, paho has. Set before connecting: what waits at the
    # broker may arrive with its first words, and would count as dealt with.
    client._client.manual_ack_set(on=True)  # noqa: SLF001
    first = client._disconnected  # noqa: SLF001 - another one takes its place when it is over early
    try:
        async with client:
            yield client
    except (aiomqtt.MqttError, OSError) as error:
        raise TransportError(
            f"broker {broker}: {error}", hint="check host, port, password and certificates"
        ) from error
    except asyncio.CancelledError:
        _let_go(client)
        raise
    finally:
        # Why the line broke is told above; a future that nobody asks tells it again, by asyncio.
        for broken in (first, client._disconnected):  # noqa: SLF001 - see above
            if broken.done() and not broken.cancelled():
                broken.exception()


def _let_go(client: aiomqtt.Client) -> None:
    """The thread that connects outlives its cancellation. A line that it opens then is nobody's: it
    is closed at once, and must not ask for a loop that may be closed.
    """
    inner = client._client  # noqa: SLF001 - see `connected`
    if inner.socket() is None:
        inner.on_socket_open = lambda _, __, opened: opened.close()
        inner.on_socket_close = inner.on_disconnect = None
        inner.on_socket_register_write = inner.on_socket_unregister_write = None


class MqttLine:
    """A line of `transports.line` over a connection."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def listen(self, topics: tuple[str, ...]) -> None:
        await subscribe(self._client, topics)

    async def received(self) -> AsyncIterator[tuple[Messages, Callable[[], Awaitable[None]]]]:
        async for messages, acknowledge in received(self._client):

            async def done(acknowledge: Callable[[], None] = acknowledge) -> None:
                acknowledge()

            fitting = [each for each in messages if len(each[1]) <= PAYLOAD_BYTES]
            yield fitting, done

    async def publish(
        self, messages: Sequence[tuple[str, bytes]], *, is_awaited: bool = False
    ) -> None:
        del is_awaited  # MQTT does not tell
        await publish_all(self._client, messages)


@contextlib.asynccontextmanager
async def opened(broker: Broker) -> AsyncIterator[Line]:
    """A line to a broker; see `transports.line`."""
    async with connected(broker, Session()) as client:
        yield MqttLine(client)


async def subscribe(client: aiomqtt.Client, topics: tuple[str, ...]) -> None:
    """Ask for messages, each at least once.

    Raises:
        TransportError: the broker refuses a topic.
    """
    for topic in topics:
        granted = await client.subscribe(topic, qos=1)
        values = [code if isinstance(code, int) else code.value for code in granted]
        if any(value >= _REFUSED for value in values):
            raise TransportError(
                f"the broker refuses topic {topic!r}", hint="check its access control list"
            )


async def received(
    client: aiomqtt.Client,
) -> AsyncIterator[tuple[list[tuple[str, bytes]], Callable[[], None]]]:
    """Messages as they come, as topic and payload, as many together as have arrived; and what tells
    the broker that we are done with them.

    Raises:
        TransportError: the broker sent more than can wait here; what could is dealt with, and it
            sends the rest again.
    """
    inner = client._client  # noqa: SLF001 - see `connected`
    inbox = client._queue  # noqa: SLF001 - an `_Inbox`, since `connected` says so
    messages = client.messages
    async for first in messages:
        batch = [first]
        while len(messages) and len(batch) < _MOST_TOGETHER:
            batch.append(await anext(messages))

        def acknowledge(batch: list[aiomqtt.Message] = batch) -> None:
            for message in batch:
                inner.ack(message.mid, message.qos)

        yield [(str(each.topic), each.payload) for each in batch], acknowledge
        if isinstance(inbox, _Inbox) and inbox.is_broken and inbox.empty():
            raise TransportError(
                "the broker sends more messages than can wait here",
                hint="let it wait for acknowledgements (mosquitto: max_inflight_messages)",
            )


async def publish_all(
    client: aiomqtt.Client, messages: Sequence[tuple[str, bytes]], *, retain: bool = False
) -> None:
    """Deliver messages at least once, in their order; returns when the broker has all of them.

    Raises:
        InputError: one of them is none that MQTT can carry.
        TransportError: the broker did not acknowledge them all.
    """
    for topic, _ in messages:
        check_topic(topic)
    client.pending_calls_threshold = len(messages) + 1
    try:
        async with asyncio.TaskGroup() as group:
            for topic, payload in messages:
                group.create_task(client.publish(topic, payload, qos=1, retain=retain))
    except ExceptionGroup as errors:
        if refused := errors.subgroup(ValueError):
            raise InputError(f"MQTT carries no such message: {refused.exceptions[0]}") from errors
        raise TransportError(
            f"the broker did not take {len(messages)} messages: {errors.exceptions[0]}"
        ) from errors


def check_topic(topic: str) -> None:
    """Whether messages can have this topic.

    Raises:
        InputError: they cannot.
    """
    if not topic:
        raise InputError("a message has an empty topic", hint="MQTT wants one character or more")
    if found := next((sign for sign in "+#\0" if sign in topic), ""):
        raise InputError(
            f"topic {topic!r} holds {found!r}", hint="MQTT has that for listening, not for sending"
        )
    if len(topic.encode(errors="replace")) > _TOPIC_BYTES:
        raise InputError(f"topic {topic[:40]!r}... is longer than {_TOPIC_BYTES} bytes")


def check_filters(topics: Sequence[str]) -> None:
    """Whether they can be listened to.

    Raises:
        InputError: there are none, or one cannot.
    """
    if not topics:
        raise InputError("no topics to listen to", hint='topics = ["#"] is all of them')
    for topic in topics:
        levels = topic.split("/")
        wild = [level for level in levels if {"+", "#"} & {*level}]
        is_well_placed = set(wild) <= {"+", "#"} and "#" not in levels[:-1]
        if not topic or "\0" in topic or not is_well_placed:
            raise InputError(
                f"{topic[:80]!r} is no topic filter",
                hint="+ stands for one part between slashes, # for all that follow at the end",
            )


def _no_broker() -> InputError:
    # The address may hold a password, so the message does not repeat it.
    return InputError("the address of the broker is not understood", hint="mqtt://host:1883 is one")

"""AMQP 0-9-1 (extra `amqp`), as RabbitMQ speaks it: where a broker is, and a connection to it.

>>> parse_host("amqp://edge:secret@rabbit.example/plant")
amqp://rabbit.example:5672/plant
"""

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import aio_pika
import aio_pika.abc
import aio_pika.exceptions

from edgewright.errors import InputError, TransportError

_PORTS = {"amqp": 5672, "amqps": 5671}
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
    try:
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
            yield channel
    except (TimeoutError, aio_pika.exceptions.AMQPError, OSError) as error:
        what = str(error) or type(error).__name__
        raise TransportError(f"broker {host}: {what}", hint="check host and password") from error


def _no_host() -> InputError:
    # The address may hold a password, so the message does not repeat it.
    return InputError("the address of the broker is not understood", hint="amqp://host is one")

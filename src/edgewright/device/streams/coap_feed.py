"""A CoAP resource that is observed (RFC 7641; extra `coap`)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import urlsplit

import aiocoap
import aiocoap.error

from edgewright.device.streams.forward import Message
from edgewright.errors import InputError, TransportError
from edgewright.transports.coap import hear_on

_SCHEMES = ("coap", "coaps", "coap+tcp", "coaps+tcp")
_FRESH_S = 60.0  # where the server names no Max-Age (RFC 7252, 5.10.5)
_LATE_S = 10.0  # RFC 7641, 3.3.1 leaves 5 to 15


def _is_resource(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or too large
        return False


class CoapFeed:
    """Each notification is a message. `url` is coap://host[:port]/path."""

    def __init__(self, url: str) -> None:
        if not _is_resource(url):
            raise InputError(f"{url!r} is no CoAP resource", hint="coap://host/path is one")
        self._url = url

    @property
    def name(self) -> str:
        """The resource."""
        return self._url

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        """Notifications until the server stops sending them. What the server said is asked for anew
        when it is stale, since a server that was started again knows of no observer and UDP tells
        nobody that it was.
        """
        context = await aiocoap.Context.create_client_context()
        hear_on(context)
        last: bytes | None = None
        try:
            while True:
                async with contextlib.aclosing(self._observed(context)) as payloads:
                    is_first = True
                    async for payload in payloads:
                        if not is_first or payload != last:
                            yield [Message(self._url, payload)]
                        is_first, last = False, payload
        except (aiocoap.error.Error, OSError) as error:
            what = str(error) or type(error).__name__
            raise TransportError(f"{self._url}: {what}", hint="check host and port") from error
        finally:
            await context.shutdown()

    async def _observed(self, context: aiocoap.Context) -> AsyncGenerator[bytes, None]:
        """What the resource is now and becomes, until the last that was heard is stale."""
        request = context.request(aiocoap.Message(code=aiocoap.GET, uri=self._url, observe=0))
        try:
            heard = await request.response
            self._check(heard)
            if heard.opt.observe is None or request.observation is None:
                raise TransportError(f"{self._url} cannot be observed")
            notifications = aiter(request.observation)
            while True:
                yield bytes(heard.payload)
                fresh_s = _FRESH_S if heard.opt.max_age is None else heard.opt.max_age
                try:
                    heard = await asyncio.wait_for(anext(notifications), fresh_s + _LATE_S)
                except TimeoutError:
                    return
                except StopAsyncIteration:
                    raise TransportError(f"{self._url}: the server stopped sending") from None
                self._check(heard)
        finally:
            if request.observation is not None and not request.observation.cancelled:
                request.observation.cancel()

    def _check(self, heard: aiocoap.Message) -> None:
        """A resource that is deleted, or a server that ends, says so in a notification: no sample.

        Raises:
            TransportError: it is one of these.
        """
        if not heard.code.is_successful():
            raise TransportError(f"{self._url}: {heard.code}", hint="check the path")

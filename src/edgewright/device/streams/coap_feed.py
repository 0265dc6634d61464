"""A CoAP resource that is observed (RFC 7641; extra `coap`)."""

from collections.abc import AsyncGenerator, Sequence

import aiocoap
import aiocoap.error

from edgewright.device.streams.forward import Message
from edgewright.errors import InputError, TransportError


class CoapFeed:
    """Each notification is a message. `url` is coap://host[:port]/path."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("coap://", "coaps://", "coap+tcp://", "coaps+tcp://")):
            raise InputError(f"{url!r} is no CoAP resource", hint="coap://host/path is one")
        self._url = url

    @property
    def name(self) -> str:
        """The resource."""
        return self._url

    async def batches(self) -> AsyncGenerator[Sequence[Message], None]:
        """Notifications until the server stops sending them."""
        context = await aiocoap.Context.create_client_context()
        try:
            request = context.request(aiocoap.Message(code=aiocoap.GET, uri=self._url, observe=0))
            answer = await request.response
            if not answer.code.is_successful():
                raise TransportError(f"{self._url}: {answer.code}", hint="check the path")
            if answer.opt.observe is None or request.observation is None:
                raise TransportError(f"{self._url} cannot be observed")
            yield [Message(self._url, answer.payload)]
            async for notification in request.observation:
                yield [Message(self._url, notification.payload)]
            raise TransportError(f"{self._url}: the server stopped sending")
        except (aiocoap.error.Error, OSError) as error:
            what = str(error) or type(error).__name__
            raise TransportError(f"{self._url}: {what}", hint="check host and port") from error
        finally:
            await context.shutdown()

"""A fleet's CoAP server as the way of a device's `HintLine` (extra `coap`). UDP tells nobody that
the other side is gone, so the hints are asked for anew ever again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiocoap
import aiocoap.error
import msgspec

from edgewright.device.agent.hint_line import ANSWER_S, Heard
from edgewright.errors import InputError, TransportError
from edgewright.transports.coap import hear_on
from edgewright.wire import broker as wire

OBSERVE_S = 60.0

_answers = msgspec.json.Decoder(wire.BatchAnswer)


class CoapWay:
    """One device's resources of `coap://host[:port]`."""

    def __init__(self, device: str, url: str, *, observe_s: float = OBSERVE_S) -> None:
        self._device = device
        self._url = checked(url)
        self._observe_s = observe_s
        self._context: aiocoap.Context | None = None

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """See `Way`."""
        self._context = await aiocoap.Context.create_client_context()
        hear_on(self._context)
        try:
            yield
        finally:
            context, self._context = self._context, None
            await context.shutdown()

    async def stay(self, heard: Heard) -> None:
        """See `Way`."""
        uri = f"{self._url}/{wire.wake_topic(self._device)}"
        request = self._asked(aiocoap.Message(code=aiocoap.GET, uri=uri, observe=0))
        try:
            async with asyncio.timeout(ANSWER_S):
                first = await request.response
            if not first.code.is_successful() or first.opt.observe is None:
                raise TransportError(f"{uri}: {first.code}", hint="is that the fleet's CoAP?")
            heard.came_up()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._observe_s):
                    async for _ in request.observation:
                        heard.hinted()
        except (TimeoutError, aiocoap.error.Error, OSError) as error:
            what = str(error) or type(error).__name__
            raise TransportError(f"{uri}: {what}", hint="check host and port") from error
        finally:
            if request.observation is not None and not request.observation.cancelled:
                request.observation.cancel()

    async def carry(self, message_id: str, batch: bytes) -> wire.BatchAnswer:
        """See `Way`; what answers is the request itself, so its id is looked at by who asked."""
        uri = f"{self._url}/{wire.telemetry_topic(self._device)}"
        try:
            told = self._asked(aiocoap.Message(code=aiocoap.POST, uri=uri, payload=batch))
            return _answers.decode((await told.response).payload)
        except (aiocoap.error.Error, OSError, msgspec.DecodeError) as error:
            what = str(error) or type(error).__name__
            raise TransportError(f"{uri}, batch {message_id}: {what}") from error

    def _asked(self, message: aiocoap.Message) -> "aiocoap.protocol.Request":
        if self._context is None:
            raise TransportError("the line is not open", hint="it is wanted no more")
        return self._context.request(message)


def checked(url: str) -> str:
    """An address that can be asked.

    Raises:
        InputError: it is none.
    """
    host = url.removeprefix("coap://").rstrip("/")
    if not url.startswith("coap://") or not host or "/" in host or "@" in host:
        raise InputError(f"{url!r} is no address of CoAP", hint="coap://host[:port] is one")
    return f"coap://{host}"

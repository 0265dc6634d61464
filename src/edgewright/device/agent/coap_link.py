"""A device's line to its fleet's CoAP server (extra `coap`): see `broker_link`, whose place it
takes. UDP tells nobody that the other side is gone, so the hints are asked for anew ever again.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import AsyncIterator

import aiocoap
import aiocoap.error
import msgspec

from edgewright._tasks import ended
from edgewright.clock import Clock
from edgewright.device.agent.broker_link import ANSWER_S, signed_batch
from edgewright.device.agent.certificate import DeviceCertificate
from edgewright.errors import InputError, TransportError
from edgewright.telemetry import Record
from edgewright.wire import broker as wire

OBSERVE_S = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0

_log = logging.getLogger(__name__)
_answers = msgspec.json.Decoder(wire.BatchAnswer)


class CoapLink:
    """One device's line to `coap://host[:port]`."""

    def __init__(
        self,
        device: str,
        url: str,
        *,
        certificate: DeviceCertificate,
        clock: Clock,
        rng: random.Random,
        observe_s: float = OBSERVE_S,
    ) -> None:
        self._device = device
        self._url = checked(url)
        self._certificate = certificate
        self._clock = clock
        self._rng = rng
        self._observe_s = observe_s
        self._context: aiocoap.Context | None = None
        self._is_up = False
        self._news = asyncio.Event()

    @property
    def is_up(self) -> bool:
        return self._is_up

    def look_now(self) -> None:
        self._news.clear()

    async def news(self, *, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the line as long as the block lasts."""
        self._context = await aiocoap.Context.create_client_context()
        task = asyncio.create_task(self._run(self._context), name="agent-coap")
        try:
            yield
        finally:
            await ended(task)
            await self._context.shutdown()
            if not task.cancelled():
                task.result()

    async def tell(self, records: tuple[Record, ...]) -> bool:
        if self._context is None or not self._is_up or not self._certificate.exists:
            return False
        message_id = secrets.token_hex(8)
        payload = signed_batch(self._certificate, self._device, message_id, records)
        message = aiocoap.Message(
            code=aiocoap.POST,
            uri=f"{self._url}/{wire.telemetry_topic(self._device)}",
            payload=payload,
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                response = await self._context.request(message).response
            answer = _answers.decode(response.payload)
        except (TimeoutError, aiocoap.error.Error, OSError, msgspec.DecodeError) as error:
            _log.info("no answer over CoAP: %s", error or type(error).__name__)
            return False
        if answer.status != 200 or answer.id != message_id:
            _log.info("the fleet's answer over CoAP: %s %s", answer.status, answer.error)
            return False
        return True

    async def _run(self, context: aiocoap.Context) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                await self._observe(context)
                wait_s = FIRST_WAIT_S
                continue
            except TransportError as error:
                _log.info("asking the fleet without hints: %s", error)
            self._is_up = False
            self._news.set()
            await self._clock.sleep(wait_s * self._rng.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _observe(self, context: aiocoap.Context) -> None:
        """Take hints for a while.

        Raises:
            TransportError: the fleet does not answer, or gives none.
        """
        uri = f"{self._url}/{wire.wake_topic(self._device)}"
        request = context.request(aiocoap.Message(code=aiocoap.GET, uri=uri, observe=0))
        try:
            async with asyncio.timeout(ANSWER_S):
                first = await request.response
            if not first.code.is_successful() or first.opt.observe is None:
                raise TransportError(f"{uri}: {first.code}", hint="is that the fleet's CoAP?")
            self._is_up = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._observe_s):
                    async for _ in request.observation:
                        self._news.set()
        except (TimeoutError, aiocoap.error.Error, OSError) as error:
            what = str(error) or type(error).__name__
            raise TransportError(f"{uri}: {what}", hint="check host and port") from error
        finally:
            if request.observation is not None and not request.observation.cancelled:
                request.observation.cancel()


def checked(url: str) -> str:
    """An address that can be asked.

    Raises:
        InputError: it is none.
    """
    host = url.removeprefix("coap://").rstrip("/")
    if not url.startswith("coap://") or not host or "/" in host or "@" in host:
        raise InputError(f"{url!r} is no address of CoAP", hint="coap://host[:port] is one")
    return f"coap://{host}"

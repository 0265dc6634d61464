"""A device's line beside HTTP: the fleet's hint to ask, and telemetry, whatever carries them.

`HintLine` holds on to a `Way` (a broker, the fleet's CoAP server), which is tried ever more seldom
while it does not stand. `WokenFleet` is the fleet as the agent knows it. While the line holds, it
asks when it is woken instead of holding a poll open, and tells over the line; whatever that does
not bring, the plain way brings. So what carries it may be away, slow or lying, and costs no more
than time.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from edgewright._tasks import ended
from edgewright.clock import Clock
from edgewright.device.agent.certificate import DeviceCertificate
from edgewright.device.agent.ports import Fetcher, Fleet, Repository
from edgewright.device.agent.progress import Release
from edgewright.errors import TransportError
from edgewright.telemetry import Record, encode_batch
from edgewright.transports.line import PAYLOAD_BYTES
from edgewright.wire import broker as wire
from edgewright.wire.device_api import Desired, EnrollReply, EnrollRequest

ANSWER_S = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class Hints(Protocol):
    """A line, as asking and telling need it."""

    @property
    def is_up(self) -> bool:
        """Whether the fleet's hints arrive."""

    def look_now(self) -> None:
        """What comes from here on is news."""

    async def news(self, *, timeout_s: float) -> None:
        """Until the fleet hints, the line breaks, or the time is up."""

    async def tell(self, records: tuple[Record, ...]) -> bool:
        """Bring telemetry; whether the fleet has said that it keeps all of it."""


class Heard(Protocol):
    """Who wants to know what a way brings."""

    def came_up(self) -> None:
        """Hints arrive from now on."""

    def hinted(self) -> None:
        """The fleet says that asking is worth its while."""


class Way(Protocol):
    """What carries hints and telemetry."""

    def opened(self) -> AbstractAsyncContextManager[None]:
        """What it needs as long as the line is wanted, whether it stands or not."""

    async def stay(self, heard: Heard) -> None:
        """Stand, and pass hints on; back when it is time to ask for them anew.

        Raises:
            TransportError: it broke, or never stood.
        """

    async def carry(self, message_id: str, batch: bytes) -> wire.BatchAnswer:
        """Bring a signed batch; the fleet's answer. It may be given up in the middle.

        Raises:
            TransportError: it broke, or what came is no answer.
        """


class HintLine:
    """One device's line over a way."""

    def __init__(
        self,
        device: str,
        way: Way,
        *,
        certificate: DeviceCertificate,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._device = device
        self._way = way
        self._certificate = certificate
        self._clock = clock
        self._rng = rng
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

    def came_up(self) -> None:
        """See `Heard`."""
        self._is_up = True

    def hinted(self) -> None:
        """See `Heard`."""
        self._news.set()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the line as long as the block lasts."""
        async with self._way.opened():
            task = asyncio.create_task(self._run(), name="agent-line")
            try:
                yield
            finally:
                await ended(task)
                if not task.cancelled():
                    task.result()

    async def tell(self, records: tuple[Record, ...]) -> bool:
        if not self._is_up or not self._certificate.exists:
            return False
        message_id = secrets.token_hex(8)
        batch = signed_batch(self._certificate, self._device, message_id, records)
        if len(batch) > PAYLOAD_BYTES:
            return False
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._way.carry(message_id, batch)
        except (TimeoutError, TransportError) as error:
            _log.info("the line brought no answer: %s", str(error) or type(error).__name__)
            return False
        if answer.status != 200 or answer.id != message_id:
            _log.info("the fleet's answer over the line: %s %s", answer.status, answer.error)
            return False
        return True

    async def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                await self._way.stay(self)
                wait_s = FIRST_WAIT_S
                continue
            except TransportError as error:
                _log.info("asking the fleet without hints: %s", error)
            if self._is_up:
                self._is_up, wait_s = False, FIRST_WAIT_S
            self._news.set()
            await self._clock.sleep(wait_s * self._rng.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def signed_batch(
    certificate: DeviceCertificate, device: str, message_id: str, records: tuple[Record, ...]
) -> bytes:
    """Telemetry as it travels where nobody on the way is trusted."""
    batch = encode_batch(records)
    shown, signature = certificate.sign(wire.signed_content(device, message_id, batch))
    return _encoder.encode(
        wire.SignedBatch(id=message_id, certificate=shown, signature=signature, batch=batch)
    )


class WokenFleet:
    """The fleet, asked when it hints instead of all the time; see `Fleet`."""

    def __init__(self, fleet: Fleet, link: Hints, clock: Clock) -> None:
        self._fleet = fleet
        self._link = link
        self._clock = clock

    async def desired(self, *, etag: str, wait_s: float) -> tuple[str, Desired] | None:
        """What to run; without the line a poll is held open as ever."""
        until_s = self._clock.monotonic_s() + wait_s
        while (left_s := until_s - self._clock.monotonic_s()) > 0 and self._link.is_up:
            self._link.look_now()
            answer = await self._fleet.desired(etag=etag, wait_s=0)
            if answer is not None:
                return answer
            await self._link.news(timeout_s=left_s)
        return await self._fleet.desired(etag=etag, wait_s=max(0.0, left_s))

    async def send(self, records: tuple[Record, ...]) -> None:
        """Deliver telemetry, over the line or else the plain way."""
        if not await self._link.tell(records):
            await self._fleet.send(records)

    async def enroll(self, request: EnrollRequest) -> EnrollReply:
        return await self._fleet.enroll(request)

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        return await self._fleet.ask(method, path, body)

    async def download(self, release: Release, part: Path) -> None:
        await self._fleet.download(release, part)

    async def patch(self, release: Release, base: str, part: Path) -> bool:
        return await self._fleet.patch(release, base, part)

    def repository(self, name: Repository) -> Fetcher:
        return self._fleet.repository(name)

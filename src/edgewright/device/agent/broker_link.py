"""A device's line to a broker: the fleet's hint to ask, and telemetry.

`WokenFleet` is the fleet as the agent knows it. While the line holds, it asks when it is woken
instead of holding a poll open, and tells over the broker; whatever the broker does not bring, the
plain way brings. So the broker may be away, slow or lying, and costs no more than time.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import AsyncIterator
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
from edgewright.transports.line import PAYLOAD_BYTES, Dial, Line
from edgewright.wire import broker as wire
from edgewright.wire.device_api import Desired, EnrollReply, EnrollRequest

ANSWER_S = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_answers = msgspec.json.Decoder(wire.BatchAnswer)


class BrokerLink:
    """One device's line. `dial` is asked for anew at each try, because certificates change."""

    def __init__(
        self,
        device: str,
        dial: Dial,
        *,
        certificate: DeviceCertificate,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._device = device
        self._dial = dial
        self._certificate = certificate
        self._clock = clock
        self._rng = rng
        self._line: Line | None = None
        self._news = asyncio.Event()
        self._awaited: dict[str, asyncio.Future[wire.BatchAnswer]] = {}

    @property
    def is_up(self) -> bool:
        """Whether the fleet's hints arrive."""
        return self._line is not None

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the line as long as the block lasts."""
        task = asyncio.create_task(self._run(), name="agent-broker")
        try:
            yield
        finally:
            await ended(task)
            if not task.cancelled():
                task.result()

    def look_now(self) -> None:
        """What comes from here on is news."""
        self._news.clear()

    async def news(self, *, timeout_s: float) -> None:
        """Until the fleet hints, the line breaks, or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    async def tell(self, records: tuple[Record, ...]) -> bool:
        """Bring telemetry; whether the fleet has said that it keeps all of it."""
        line, message_id = self._line, secrets.token_hex(8)
        if line is None or not self._certificate.exists:
            return False
        payload = signed_batch(self._certificate, self._device, message_id, records)
        if len(payload) > PAYLOAD_BYTES:
            return False
        self._awaited[message_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_S):
                topic = wire.telemetry_topic(self._device)
                await line.publish([(topic, payload)], is_awaited=True)
                answer = await self._awaited[message_id]
        except (TimeoutError, TransportError) as error:
            _log.info("the broker brought no answer: %s", error)
            return False
        finally:
            del self._awaited[message_id]
        if answer.status != 200:
            _log.info("the fleet's answer over the broker: %s %s", answer.status, answer.error)
        return answer.status == 200

    async def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                async with self._dial() as line:
                    await self._listen(line)
            except TransportError as error:
                _log.info("asking the fleet without hints: %s", error)
            if self._line is not None:
                self._line, wait_s = None, FIRST_WAIT_S
            self._news.set()
            await self._clock.sleep(wait_s * self._rng.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _listen(self, line: Line) -> None:
        wake, answer = wire.wake_topic(self._device), wire.answer_topic(self._device)
        await line.listen((wake, answer))
        self._line = line
        async for messages, acknowledge in line.received():
            for topic, payload in messages:
                if topic == wake:
                    self._news.set()
                elif topic == answer:
                    self._answered(payload)
            await acknowledge()

    def _answered(self, payload: bytes) -> None:
        try:
            answer = _answers.decode(payload)
        except msgspec.DecodeError as error:
            _log.info("the broker brought what is no answer: %s", error)
            return
        waiting = self._awaited.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)


def signed_batch(
    certificate: DeviceCertificate, device: str, message_id: str, records: tuple[Record, ...]
) -> bytes:
    """Telemetry as it travels where nobody on the way is trusted."""
    batch = encode_batch(records)
    shown, signature = certificate.sign(wire.signed_content(device, message_id, batch))
    return _encoder.encode(
        wire.SignedBatch(id=message_id, certificate=shown, signature=signature, batch=batch)
    )


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
        """Deliver telemetry, over the broker or else the plain way."""
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

"""A fleet's line to a broker (extra `mqtt`): hints to devices out, telemetry of devices in.

While the broker is away devices poll and tell over HTTP as ever; nothing is lost, because a device
keeps what was not answered. A device that a rollout waits for is woken when its wave opens and,
should it be away, tries by itself when it is back.
"""

import asyncio
import logging
import random
from collections.abc import Sequence

import aiomqtt
import msgspec
from sqlalchemy import select

from edgewright._tasks import ended
from edgewright.errors import EdgewrightError, ResourceError, TransportError, TrustError
from edgewright.fleet.authority import fingerprint_of, has_signed
from edgewright.fleet.desired import look_up_certificate
from edgewright.fleet.device_api.handler import Desk
from edgewright.fleet.device_api.intake import Intake
from edgewright.fleet.refusals import Refusal
from edgewright.fleet.state import State, schema
from edgewright.fleet.telemetry import Batch
from edgewright.telemetry import decode_batch
from edgewright.transports.mqtt import Broker, Session, connected, publish_all, received, subscribe
from edgewright.wire import mqtt as wire

LOOK_EVERY_S = 0.1
PENDING_EVERY_S = 1.0
WAKE_AGAIN_S = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
AT_ONCE = 200

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(wire.SignedBatch)


class BrokerLink:
    """Works until it is cancelled."""

    def __init__(self, desk: Desk, broker: Broker, *, rng: random.Random) -> None:
        self._desk = desk
        self._broker = broker
        self._rng = rng
        self._intake = Intake(desk.state, desk.writer, desk.clock)
        self._to_wake: set[str] = set()
        self._woken_s: dict[str, float] = {}
        self._changes = -1
        self._looked_s = float("-inf")
        desk.presence.on_wake = self._to_wake.update

    async def run(self) -> None:
        """Hold the line; a broker that is away is tried again, ever more seldom."""
        wait_s = FIRST_WAIT_S
        while True:
            self._to_wake.clear()
            try:
                async with connected(self._broker, Session()) as client:
                    await subscribe(client, (wire.EVERY_TELEMETRY,))
                    _log.info("broker %r: connected", self._broker)
                    wait_s = FIRST_WAIT_S
                    await self._work(client)
            except (TransportError, ResourceError) as error:
                _log.warning("devices poll without hints: %s", error)
            await self._desk.clock.sleep(wait_s * self._rng.uniform(0.8, 1.2))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _work(self, client: aiomqtt.Client) -> None:
        """Both directions, until one of them breaks."""
        tasks = (
            asyncio.create_task(self._wake(client), name="mqtt-wake"),
            asyncio.create_task(self._take(client), name="mqtt-take"),
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await ended(*tasks)

    async def _wake(self, client: aiomqtt.Client) -> None:
        while True:
            await self._look_for_pending()
            while self._to_wake:
                devices = [self._to_wake.pop() for _ in range(min(AT_ONCE, len(self._to_wake)))]
                await publish_all(client, [(wire.wake_topic(device), b"") for device in devices])
            await self._desk.clock.sleep(LOOK_EVERY_S)

    async def _look_for_pending(self) -> None:
        """Devices that a rollout waits to see are asked to show themselves, not too often."""
        now_s, state = self._desk.clock.monotonic_s(), self._desk.state
        if now_s - self._looked_s < PENDING_EVERY_S:
            return
        self._looked_s = now_s
        changes = state.change_count()
        if changes == self._changes:
            return
        self._changes = changes
        try:
            pending = await asyncio.to_thread(pending_devices, state)
        except ResourceError as error:
            _log.warning("devices that are waited for: %s", error)
            return
        since_s = now_s - WAKE_AGAIN_S
        self._woken_s = {d: at_s for d, at_s in self._woken_s.items() if at_s > since_s}
        fresh = [device for device in pending if device not in self._woken_s]
        self._woken_s |= dict.fromkeys(fresh, now_s)
        self._to_wake.update(fresh)

    async def _take(self, client: aiomqtt.Client) -> None:
        async for messages, acknowledge in received(client):
            answers = await asyncio.gather(
                *(self._answer(wire.device_of(topic), payload) for topic, payload in messages)
            )
            await publish_all(client, [answer for answer in answers if answer is not None])
            acknowledge()

    async def _answer(self, device: str, payload: bytes) -> tuple[str, bytes] | None:
        """Keep one batch; the topic and body of the answer, for who can be answered."""
        try:
            signed = _decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            await self._refused(device, 400)
            return None
        try:
            answer = await self._kept(device, signed)
        except TrustError as error:
            answer = wire.BatchAnswer(id=signed.id, status=403, error=error.message)
        except ResourceError:
            answer = wire.BatchAnswer(id=signed.id, status=503, error="the fleet cannot write now")
        except EdgewrightError as error:
            answer = wire.BatchAnswer(id=signed.id, status=400, error=error.message)
        if 400 <= answer.status < 500:
            await self._refused(device, answer.status)
        return wire.answer_topic(device), _encoder.encode(answer)

    async def _kept(self, device: str, signed: wire.SignedBatch) -> wire.BatchAnswer:
        poll = look_up_certificate(
            self._desk.state, fingerprint_of(signed.certificate), now_s=self._desk.clock.wall_s()
        )
        content = wire.signed_content(device, signed.id, signed.batch)
        if (
            poll is None
            or poll.device != device
            or not has_signed(signed.certificate, signed.signature, content)
        ):
            raise TrustError("unknown or revoked device, or not its signature")
        self._desk.presence.saw(device, at_s=self._desk.clock.wall_s())
        records = decode_batch(signed.batch).records
        kept = await self._intake.keep(
            Batch(device=device, enrolment=poll.enrolment, records=records)
        )
        return wire.BatchAnswer(id=signed.id, status=200, stored=kept.stored, known=kept.known)

    async def _refused(self, device: str, status: int) -> None:
        refusal = Refusal(
            door="devices", who="broker", request=f"MQTT /telemetry/{device[:63]}", status=status
        )
        if not self._desk.refusals.counts_only(refusal):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._desk.writer, lambda: self._desk.refusals.note(refusal))


def pending_devices(state: State) -> Sequence[str]:
    """Devices that a rollout waits to see."""
    members, rollouts = schema.members, schema.rollouts
    query = (
        select(members.c.device)
        .join(rollouts, rollouts.c.id == members.c.rollout)
        .where(rollouts.c.status.in_(("running", "trailing")), members.c.standing == "pending")
    )
    with state.read() as connection:
        return list(connection.scalars(query))

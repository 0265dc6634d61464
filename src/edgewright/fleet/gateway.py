"""What every way beside HTTP does for devices, whatever carries it: telemetry that is signed comes
in, and devices that a rollout waits for are named, to be woken.
"""

import asyncio
import logging
from collections.abc import Sequence
from weakref import WeakValueDictionary

import msgspec
from sqlalchemy import select

from edgewright.errors import ConflictError, EdgewrightError, ResourceError, TrustError
from edgewright.fleet.authority import fingerprint_of, has_signed
from edgewright.fleet.desired import look_up_certificate
from edgewright.fleet.device_api.handler import Desk
from edgewright.fleet.device_api.intake import Intake
from edgewright.fleet.looking import looked
from edgewright.fleet.refusals import Refusal
from edgewright.fleet.state import State, schema
from edgewright.fleet.telemetry import Batch
from edgewright.telemetry import decode_batch
from edgewright.wire import broker as wire

PENDING_EVERY_S = 1.0
WAKE_AGAIN_S = 60.0

_log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(wire.SignedBatch)


class SignedIntake:
    """Takes signed batches that came by one `way` (`MQTT`, `AMQP`, `CoAP`)."""

    def __init__(self, desk: Desk, way: str) -> None:
        self._desk = desk
        self._way = way
        self._intake = Intake(desk.state, desk.writer, desk.clock)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def answer(self, device: str, payload: bytes) -> wire.BatchAnswer | None:
        """Keep one batch; None for who cannot be answered. A refusal is in the audit log.

        Batches of one device are kept in the order they came in, or the older of two would be
        taken for an old report.
        """
        turn = self._turns.setdefault(device, asyncio.Lock())
        async with turn:
            return await self._answer(device, payload)

    async def _answer(self, device: str, payload: bytes) -> wire.BatchAnswer | None:
        try:
            signed = _decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            await self._refused(device, 400)
            return None
        try:
            answer = await self._kept(device, signed)
        except TrustError as error:
            answer = wire.BatchAnswer(id=signed.id, status=403, error=error.message)
        except ConflictError as error:
            answer = wire.BatchAnswer(id=signed.id, status=409, error=error.message)
        except ResourceError:
            answer = wire.BatchAnswer(id=signed.id, status=503, error="the fleet cannot write now")
        except EdgewrightError as error:
            answer = wire.BatchAnswer(id=signed.id, status=400, error=error.message)
        if 400 <= answer.status < 500:
            await self._refused(device, answer.status)
        return answer

    async def _kept(self, device: str, signed: wire.SignedBatch) -> wire.BatchAnswer:
        state, now_s = self._desk.state, self._desk.clock.wall_s()
        shown = fingerprint_of(signed.certificate)
        poll = await looked(state, lambda: look_up_certificate(state, shown, now_s=now_s))
        content = wire.signed_content(device, signed.id, signed.batch)
        if (
            poll is None
            or poll.device != device
            or not has_signed(signed.certificate, signed.signature, content)
        ):
            raise TrustError("unknown or revoked device, or not its signature")
        records = decode_batch(signed.batch).records
        kept = await self._intake.keep(
            Batch(device=device, enrolment=poll.enrolment, records=records)
        )
        if kept.stored:  # a message that somebody sends again is no sign of life
            self._desk.presence.saw(device, at_s=now_s)
        return wire.BatchAnswer(id=signed.id, status=200, stored=kept.stored, known=kept.known)

    async def _refused(self, device: str, status: int) -> None:
        refusal = Refusal(
            door="devices",
            who="broker",
            request=f"{self._way} /telemetry/{device[:63]}",
            status=status,
        )
        if not self._desk.refusals.counts_only(refusal):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._desk.writer, lambda: self._desk.refusals.note(refusal))


class Wakes:
    """Whom to wake: those with news, and those that a rollout waits to see, not too often."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._names: set[str] = set()
        self._woken_s: dict[str, float] = {}
        self._changes = -1
        self._looked_s = float("-inf")
        desk.presence.tell_also(self._names.update)

    def forget(self) -> None:
        """Wake nobody for what was."""
        self._names.clear()

    def take(self, at_most: int) -> list[str]:
        """Some of them, who are not to be woken any more."""
        return [self._names.pop() for _ in range(min(at_most, len(self._names)))]

    async def look_for_pending(self) -> None:
        """Devices that a rollout waits to see are asked to show themselves.

        Raises:
            ResourceError: the database does not answer.
        """
        now_s, state = self._desk.clock.monotonic_s(), self._desk.state
        if now_s - self._looked_s < PENDING_EVERY_S:
            return
        self._looked_s = now_s
        changes = await looked(state, state.change_count)
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
        self._names.update(fresh)


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

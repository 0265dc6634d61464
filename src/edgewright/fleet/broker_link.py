"""A fleet's line to a broker: hints to devices out, telemetry of devices in.

While the broker is away devices poll and tell over HTTP as ever; nothing is lost, because a device
keeps what was not answered. A device that a rollout waits for is woken when its wave opens and,
should it be away, tries by itself when it is back.
"""

import asyncio
import logging
import random

import msgspec

from edgewright._tasks import ended
from edgewright.errors import ResourceError, TransportError
from edgewright.fleet.device_api.handler import Desk
from edgewright.fleet.gateway import SignedIntake, Wakes
from edgewright.transports.line import Dial, Line
from edgewright.wire import broker as wire

LOOK_EVERY_S = 0.1
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
AT_ONCE = 200

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class BrokerLink:
    """Works until it is cancelled. `way` is what carries it: MQTT, AMQP."""

    def __init__(self, desk: Desk, dial: Dial, *, way: str, rng: random.Random) -> None:
        self._desk = desk
        self._dial = dial
        self._way = way
        self._rng = rng
        self._intake = SignedIntake(desk, way)
        self._wakes = Wakes(desk)

    async def run(self) -> None:
        """Hold the line; a broker that is away is tried again, ever more seldom."""
        wait_s = FIRST_WAIT_S
        while True:
            self._wakes.forget()
            try:
                async with self._dial() as line:
                    await line.listen((wire.EVERY_TELEMETRY,))
                    _log.info("%s: connected", self._way)
                    wait_s = FIRST_WAIT_S
                    await self._work(line)
            except (TransportError, ResourceError) as error:
                _log.warning("devices poll without hints: %s", error)
            await self._desk.clock.sleep(wait_s * self._rng.uniform(0.8, 1.2))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _work(self, line: Line) -> None:
        """Both directions, until one of them breaks."""
        tasks = (
            asyncio.create_task(self._wake(line), name="broker-wake"),
            asyncio.create_task(self._take(line), name="broker-take"),
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await ended(*tasks)

    async def _wake(self, line: Line) -> None:
        while True:
            await self._wakes.look_for_pending()
            while devices := self._wakes.take(AT_ONCE):
                await line.publish([(wire.wake_topic(device), b"") for device in devices])
            await self._desk.clock.sleep(LOOK_EVERY_S)

    async def _take(self, line: Line) -> None:
        async for messages, acknowledge in line.received():
            answers = await asyncio.gather(
                *(self._answer(wire.device_of(topic), payload) for topic, payload in messages)
            )
            await line.publish([answer for answer in answers if answer is not None])
            await acknowledge()

    async def _answer(self, device: str, payload: bytes) -> tuple[str, bytes] | None:
        answer = await self._intake.answer(device, payload)
        return (wire.answer_topic(device), _encoder.encode(answer)) if answer else None

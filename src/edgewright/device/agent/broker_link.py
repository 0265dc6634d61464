"""A broker as the way of a device's `HintLine`: MQTT or AMQP, whichever dials."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import msgspec

from edgewright.device.agent.hint_line import Heard
from edgewright.errors import TransportError
from edgewright.transports.line import Dial, Line
from edgewright.wire import broker as wire

_log = logging.getLogger(__name__)
_answers = msgspec.json.Decoder(wire.BatchAnswer)


class BrokerWay:
    """One device's topics. `dial` is asked for anew at each try, because certificates change."""

    def __init__(self, device: str, dial: Dial) -> None:
        self._device = device
        self._dial = dial
        self._line: Line | None = None
        self._awaited: dict[str, asyncio.Future[wire.BatchAnswer]] = {}

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """See `Way`; a line is opened at each try."""
        yield

    async def stay(self, heard: Heard) -> None:
        """See `Way`."""
        try:
            async with self._dial() as line:
                await self._listen(line, heard)
        finally:
            self._line = None
        raise TransportError("the broker ended the line", hint="it is tried again")

    async def carry(self, message_id: str, batch: bytes) -> wire.BatchAnswer:
        """See `Way`."""
        line = self._line
        if line is None:
            raise TransportError("the line has just broken", hint="it is tried again")
        self._awaited[message_id] = asyncio.get_running_loop().create_future()
        try:
            await line.publish([(wire.telemetry_topic(self._device), batch)], is_awaited=True)
            return await self._awaited[message_id]
        finally:
            del self._awaited[message_id]

    async def _listen(self, line: Line, heard: Heard) -> None:
        wake, answer = wire.wake_topic(self._device), wire.answer_topic(self._device)
        await line.listen((wake, answer))
        self._line = line
        heard.came_up()
        async for messages, acknowledge in line.received():
            for topic, payload in messages:
                if topic == wake:
                    heard.hinted()
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

"""What a device's own agent records, as its fleet gets it: part by part while it goes on."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

from edgewright.clock import Clock
from edgewright.errors import DeviceError, InputError, TransportError
from edgewright.workbench.data.capture.base import Message

_PAUSE_S = 0.5


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an order so far: the fleet's word for it, and how much was sent."""

    status: Literal["preparing", "ordered", "fetched", "done", "failed", "forbidden", "expired"]
    text: str
    size_bytes: int


class Errand(Protocol):
    """An order to a device to record for a while, and what it sends meanwhile."""

    @property
    def device(self) -> str:
        """Who records."""

    def begin(self) -> None:
        """Give the order."""

    def standing(self) -> Standing:
        """What came of it so far."""

    def read(self, after: int) -> bytes:
        """What was sent, from a byte on."""


class _Line(msgspec.Struct, frozen=True):
    """A message as the device wrote it down."""

    tst: float
    topic: str
    payload: str


class AgentSource:
    """Messages of a device, with the device's own times."""

    def __init__(self, errand: Errand, *, clock: Clock) -> None:
        self._errand = errand
        self._clock = clock

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Messages until the device has recorded as long as it was told to.

        Raises:
            InputError: the device forbids it, or sends what is no message.
            DeviceError: it failed; what came before is kept.
            TransportError: the device did not come for its order in time.
        """
        await asyncio.to_thread(self._errand.begin)
        have, waiting = 0, b""
        while True:
            now = await asyncio.to_thread(self._errand.standing)
            if now.size_bytes > have:
                part = await asyncio.to_thread(self._errand.read, have)
                have += len(part)
                *lines, waiting = (waiting + part).split(b"\n")
                for line in lines:
                    yield self._message(line)
            elif now.status not in ("ordered", "fetched"):
                break
            else:
                await self._clock.sleep(_PAUSE_S)
        self._judge(now)

    def _message(self, line: bytes) -> Message:
        try:
            found = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError as error:
            raise InputError(
                f"device {self._errand.device} sent {line[:60]!r}, no message: {error}"
            ) from error
        return Message(topic=found.topic, payload=found.payload, taken_s=found.tst)

    def _judge(self, end: Standing) -> None:
        """Pass when the device did as it was told."""
        device = self._errand.device
        match end.status:
            case "forbidden":
                raise InputError(
                    f"device {device} refuses: {end.text}",
                    hint="its admin allows it in agent.toml: add "
                    '"capture" to remote_commands, and name the sensor with capture',
                )
            case "failed":
                raise DeviceError(f"device {device}: {end.text}")
            case "expired":
                raise TransportError(
                    f"device {device} did not come for the order, or did not say how it ended",
                    hint=f"see: edgewright device show {device}",
                )

"""Commands to an actuator: only the newest, never one of a queue.

The safe value is sent when the sink starts, when results stop coming, and when it ends; the other
side says it for us (MQTT: the will) when the process dies or the line is cut. While it is away
nothing is kept: when it is back, the actuator gets what holds then, which is the safe value when
the newest result has become older than `stale_s` meanwhile.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from edgewright._tasks import ended
from edgewright.clock import Clock
from edgewright.device.streams.base import Result
from edgewright.device.streams.command import CommandOrder, command_for, is_of_now
from edgewright.errors import TransportError

logger = logging.getLogger(__name__)

_WAIT_S = 1.0

Tell = Callable[[float], Awaitable[None]]
"""Returns when the other side has the value; `TransportError` when it cannot be told now."""


class Actuator(Protocol):
    """The way to an actuator."""

    name: str

    def connected(self, safe: float) -> contextlib.AbstractAsyncContextManager[Tell]:
        """A line, over which the other side itself says `safe` when the line breaks.

        Raises:
            TransportError: it is away.
        """


class CommandSink:
    """One actuator."""

    wants_every = True

    def __init__(self, actuator: Actuator, order: CommandOrder, *, clock: Clock) -> None:
        self._actuator = actuator
        self._order = order
        self._clock = clock
        self._newest = order.safe
        self._holds_until_s = 0.0
        self._changed = asyncio.Event()
        self._is_closing = self._is_told = self._was_connected = False
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    async def start(self) -> None:
        """Connect, and send the safe value."""
        self._task = asyncio.create_task(self._work(), name=f"commands to {self._actuator.name}")

    async def write(self, results: Sequence[Result]) -> None:
        """The newest result of the sensor decides."""
        of_sensor = [each for each in results if self._order.sensor in ("", each.key)]
        if not of_sensor:
            return
        newest, now_s = of_sensor[-1], self._clock.wall_s()
        self._newest = command_for(newest, self._order)
        if not is_of_now(newest, self._order, now_s=now_s):
            self._newest = self._order.safe
            self._tell_of_age(now_s - newest.end_s)
        self._holds_until_s = self._clock.monotonic_s() + self._order.stale_s
        self._changed.set()

    def _tell_of_age(self, age_s: float) -> None:
        if not self._is_told:
            logger.warning(
                "%s: samples are %.1f s old by this machine's clock, max_age_s is %g: it is told "
                "what is safe until newer ones come",
                self._actuator.name,
                age_s,
                self._order.max_age_s,
            )
        self._is_told = True

    async def close(self) -> None:
        """Send the safe value and disconnect.

        Raises:
            TransportError: it could not be sent; the other side was told to say it for us.
        """
        self._newest = self._order.safe
        self._is_closing = True
        self._changed.set()
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=self._order.stale_s)
        if not done:
            await ended(self._task)
            name, said = self._actuator.name, self._said or "no answer"
            raise TransportError(
                f"{name}: the safe value could not be sent: {said}",
                hint="the broker sends it by itself once it notices that we are gone"
                if self._was_connected
                else "we never reached it, so it holds what it was told before",
            )
        self._task.result()

    @property
    def _left_s(self) -> float:
        """How long the newest result still holds."""
        return max(self._holds_until_s - self._clock.monotonic_s(), 0.0)

    async def _work(self) -> None:
        while True:
            try:
                await self._connected_once()
            except TransportError as error:
                if str(error) != self._said:
                    logger.warning("%s: %s; trying again", self._actuator.name, error)
                self._said = str(error)
                await self._clock.sleep(_WAIT_S)
            else:
                return

    async def _connected_once(self) -> None:
        """Send what holds whenever that changes, until the sink closes."""
        async with self._actuator.connected(self._order.safe) as tell:
            self._was_connected = True
            sent: float | None = None
            while True:
                self._changed.clear()
                wanted = self._newest if self._left_s else self._order.safe
                if wanted != sent:
                    await tell(wanted)
                    sent, self._said = wanted, ""
                if self._is_closing:
                    return
                # Until a result comes, or what was sent no longer holds; what is safe always does.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if sent == self._order.safe else self._left_s):
                        await self._changed.wait()

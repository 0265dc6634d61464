"""The heartbeat of a running fleet: what devices did goes to the rollouts, news go to the devices.

One task. It wakes often, looks cheaply whether anything happened, and works only then; the rule
itself runs in the writer thread, so that polls go on meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TypeVar

from edgewright.errors import ResourceError
from edgewright.fleet.looking import looked
from edgewright.fleet.office import Office
from edgewright.fleet.presence import Presence

T = TypeVar("T")

LOOK_EVERY_S = 0.1
TICK_EVERY_S = 1.0
TICK_APART_S = 0.25
"""A fleet of thousands tells something all the time; the rule looks at it a few times a second."""
SEEN_EVERY_S = 5.0
FORGET_EVERY_S = 10.0
AFTER_ERROR_S = 2.0

_log = logging.getLogger(__name__)


class Pulse:
    """Ticks until it is cancelled."""

    def __init__(
        self,
        office: Office,
        presence: Presence,
        writer: Executor,
        *,
        refused: Callable[[], Mapping[int, int]] = dict,
    ) -> None:
        self._refused = refused
        self._office = office
        self._presence = presence
        self._writer = writer
        self._revision = 0
        self._changes = -1
        self._ticked_s = self._noted_s = self._forgot_s = float("-inf")

    async def run(self) -> None:
        """Beat. A disk that is full or slow is said and tried again, and so is what nobody thought
        of: what one device told may not end the fleet.
        """
        clock = self._office.clock
        self._revision = await self._written(self._office.devices.newest_revision)
        while True:
            try:
                await self._beat(clock.monotonic_s())
                self._office.watch.standstill.end()
                await clock.sleep(LOOK_EVERY_S)
            except ResourceError as error:
                _log.warning("rollouts stand still: %s", error)
                await self._stand_still(error)
            except Exception as error:  # noqa: BLE001  # top of a task: one may not end the fleet
                _log.exception("rollouts stand still")
                await self._stand_still(error)

    async def _stand_still(self, error: Exception) -> None:
        clock = self._office.clock
        why = str(error).partition("\n")[0] or type(error).__name__
        self._office.watch.standstill.begin(why, now_s=clock.monotonic_s())
        await clock.sleep(AFTER_ERROR_S)

    async def _beat(self, now_s: float) -> None:
        state = self._office.state
        changes = await looked(state, state.change_count)
        passed_s = now_s - self._ticked_s
        has_news = changes != self._changes or self._presence.has_news
        if passed_s >= TICK_EVERY_S or (has_news and passed_s >= TICK_APART_S):
            self._changes, self._ticked_s = changes, now_s
            await self._tick()
        if now_s - self._noted_s >= SEEN_EVERY_S:
            self._noted_s = now_s
            seen = self._presence.take_seen(now_s=self._office.clock.wall_s())
            await self._written(lambda: self._office.devices.note_seen(seen))
            await self._forget(now_s)
            refused = dict(self._refused())
            await self._written(lambda: self._office.refusals.settle(refused))

    async def _forget(self, now_s: float) -> None:
        if now_s - self._forgot_s >= FORGET_EVERY_S:
            self._forgot_s = now_s
            await self._written(self._office.retention.forget)

    async def _tick(self) -> None:
        here, acknowledged = self._presence.take_news()
        rollouts, devices = self._office.rollouts, self._office.devices
        await self._written(lambda: rollouts.tick(here=here, acknowledged=acknowledged))
        newest = await self._written(devices.newest_revision)
        if newest != self._revision:
            since, self._revision = self._revision, newest
            self._presence.wake(await self._written(lambda: devices.changed_since(since)))

    async def _written(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

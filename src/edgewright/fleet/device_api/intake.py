"""Telemetry on its way to the disk: batches that arrive while one transaction is written share the
next one, so that a thousand devices wait for a few syncs of the disk and not for a thousand.

A device hears that its batch was stored when it is, never before.
"""

import asyncio
from concurrent.futures import Executor

from edgewright.clock import Clock
from edgewright.errors import EdgewrightError, ResourceError
from edgewright.fleet.state import State
from edgewright.fleet.telemetry import Batch, Kept, OutdatedError, check, keep_all

AT_ONCE = 500

_Waiting = tuple[Batch, asyncio.Future[Kept]]


class Intake:
    """The one way of device records into the state; used on one event loop."""

    def __init__(self, state: State, writer: Executor, clock: Clock) -> None:
        self._state = state
        self._writer = writer
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def keep(self, batch: Batch) -> Kept:
        """Store a batch; back when it is on the disk.

        Raises:
            TrustError: a record speaks for another device.
            InputError: a record's number is none.
            OutdatedError: it is not newer than what is here.
            ResourceError: the disk is full.
        """
        check(batch)
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[Kept] = loop.create_future()
        self._waiting.append((batch, stored))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._drain(), name="fleet-intake")
        return await stored

    async def _drain(self) -> None:
        while self._waiting:
            part, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            await self._store(part)

    async def _store(self, part: list[_Waiting]) -> None:
        batches, waiting = [batch for batch, _ in part], [stored for _, stored in part]
        now_s = self._clock.wall_s()
        loop = asyncio.get_running_loop()
        try:
            kept = await loop.run_in_executor(
                self._writer, lambda: keep_all(self._state, batches, now_s=now_s)
            )
        except EdgewrightError as error:
            _refuse(waiting, error)
            return
        except BaseException:
            _refuse(waiting, ResourceError("the fleet ended before it stored this"))
            raise
        for stored, result in zip(waiting, kept, strict=True):
            if isinstance(result, OutdatedError):
                _refuse([stored], result)
            elif not stored.cancelled():
                stored.set_result(result)


def _refuse(waiting: list[asyncio.Future[Kept]], error: EdgewrightError) -> None:
    for stored in waiting:
        if not stored.cancelled():
            stored.set_exception(error)

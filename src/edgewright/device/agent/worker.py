"""One model's jobs, one after the other: releases to take, orders to go back, repairs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edgewright.device.agent.machine import State
from edgewright.device.agent.progress import Progress
from edgewright.device.agent.update import Update
from edgewright.errors import EdgewrightError

Job = Callable[[Update], Awaitable[Progress]]

_log = logging.getLogger(__name__)


class Worker:
    """Runs a model's jobs in order; a job's error goes to whoever submitted it. `on_rest` is called
    when no job is left.
    """

    def __init__(self, update: Update, on_rest: Callable[[], object] = lambda: None) -> None:
        self.update = update
        self._on_rest = on_rest
        self._jobs: asyncio.Queue[tuple[Job, asyncio.Future[Progress]]] = asyncio.Queue()
        self._waiting = 0

    @property
    def is_idle(self) -> bool:
        """Whether a new job would start at once."""
        return self._waiting == 0

    def submit(self, job: Job) -> asyncio.Future[Progress]:
        """Queue a job; its result arrives in the future."""
        future: asyncio.Future[Progress] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_observed)
        self._waiting += 1
        self._jobs.put_nowait((job, future))
        return future

    def interrupt(self, reason: str) -> None:
        """Cancel what is being done, so that the next job can start."""
        if self.update.progress.state is not State.IDLE:
            self.update.cancel(reason)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            job, future = await self._jobs.get()
            try:
                result = await job(self.update)
            except EdgewrightError as error:
                _log.warning("model=%s %s", self.update.progress.model, error)
                if not future.done():
                    future.set_exception(error)
            except asyncio.CancelledError:
                future.cancel()
                raise
            else:
                if not future.done():
                    future.set_result(result)
            finally:
                self._waiting -= 1
            if self.is_idle:
                del job, future
                self._on_rest()


def _observed(future: asyncio.Future[Progress]) -> None:
    """Fetch the error once: a job that nobody waits for is logged by the worker already."""
    if not future.cancelled():
        future.exception()

"""Threads that run long passes; engines let go of the interpreter's lock meanwhile."""

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

Done = Callable[[T | BaseException], None]

_REST_S = 1e-3

_Task = tuple[Callable[[], object], Callable[[object], None]]


class Workers:
    """A fixed number of threads with one queue between them and the event loop."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._loop = asyncio.get_running_loop()
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"serve-worker-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], object], done: Callable[[object], None]) -> None:
        """Run `work` in a thread, then `done` in the event loop with its result or exception."""
        self._tasks.put((work, done))

    def close(self) -> None:
        """Finish what was submitted, then end the threads."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            work, done = task
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - the top of a task; the event loop judges it
                result = error
            self._loop.call_soon_threadsafe(done, result)


class Loader:
    """One thread for loading models beside those that serve.

    It is of their priority: a thread of lower priority that holds the interpreter's lock when
    something else takes its core keeps those waiting that should go before it. On a busy machine
    that made every swap a stall of most of a second. Instead its work is asked to `rest` between
    short steps, which lets go of the lock.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="serve-loader")
        self._is_closed = False

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, work)

    def rest(self) -> None:
        """Called by work in the loader's thread: let those go first that serve."""
        time.sleep(_REST_S)

    def background(self, work: Callable[[], None]) -> None:
        """Run what nobody waits for and what tells its faults itself; nothing after `close`."""
        if not self._is_closed:
            self._executor.submit(work)

    def close(self) -> None:
        """Wait for the work at hand."""
        self._is_closed = True
        self._executor.shutdown()

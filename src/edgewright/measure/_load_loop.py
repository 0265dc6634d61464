"""What open and closed loops share: the connections, the deadlines and the record.

The way from an answer to the next request is short on purpose: it is walked tens of thousands of
times a second, and what it takes is the generator's share of every figure.
"""

import asyncio
import contextlib
import gc
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence

from edgewright.errors import InputError, TransportError
from edgewright.measure._load_connection import Connection, Pool, Wire
from edgewright.measure._load_record import Recorder
from edgewright.measure.load_result import LoadResult
from edgewright.measure.load_target import LoadLimits, LoadTarget

Connect = Callable[[LoadTarget, Pool], Awaitable[Wire]]
"""Opens one connection of another protocol than HTTP. Raises OSError when nobody answers."""

_SWEEP_S = 0.05
_RECONNECT_S = 0.02
_SUCCESS = 200


class Loop:
    """One run of load; what is sent when is left to the two kinds."""

    def __init__(
        self,
        target: LoadTarget,
        requests: Sequence[bytes],
        limits: LoadLimits,
        *,
        connections: int,
        connect: Connect | None = None,
    ) -> None:
        if not requests or connections < 1:
            raise InputError(
                f"load of {len(requests)} requests on {connections} connections",
                hint="give at least one of each",
            )
        self._target = target
        self._requests = tuple(requests)
        self._limits = limits
        self._wanted = connections
        self._connect_other = connect
        self._payloads = len(self._requests)
        self._record = Recorder(payloads=self._payloads, keep_bytes=limits.keep_bytes)
        self._wires: set[Wire] = set()
        self._idle: list[Wire] = []
        self._heads: dict[bytes, tuple[int, int]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._is_sending = False
        self._is_over = False
        self._ended = asyncio.Event()

    async def run(self) -> LoadResult:
        """Connect, send, drain, close. What was measured until a cancellation is in `result`."""
        await self._connect_all()
        try:
            with collector_at_rest():
                await self._send_and_drain()
        except asyncio.CancelledError:
            self._record.is_interrupted = True
            raise
        finally:
            self._close()
            await asyncio.sleep(0)
        return self.result()

    def result(self) -> LoadResult:
        """What was measured so far."""
        return self._record.result()

    def elapsed_s(self) -> float:
        """Seconds since the run's start, on the clock of its result."""
        return time.perf_counter() - self._record.start_s

    def finish(self) -> None:
        """Send nothing more; what is under way is waited for."""
        if self._is_sending:
            self._finish_sending()

    # What connections call

    @property
    def repeated(self) -> Sequence[dict[bytes, int]]:
        return self._record.repeated

    def answered(
        self, connection: Wire, index: int, status: int | str, body: bytes, *, whole: bytes = b""
    ) -> None:
        now_s = time.perf_counter()
        if status == _SUCCESS:
            self._record.answer(index, now_s, body, whole=whole)
        else:
            self._record.refuse(index, now_s, f"status {status}", body)
        if connection.is_open:
            self._next(connection, now_s)

    def answered_again(self, connection: Wire, index: int, kind: int) -> None:
        now_s = time.perf_counter()
        record = self._record
        record.done_s[index] = now_s
        record.kinds[index] = kind
        self._next(connection, now_s)

    def lost(self, connection: Wire, index: int | None, reason: str) -> None:
        self._wires.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._is_over:
            return
        if index is not None:
            now_s = time.perf_counter()
            if reason.startswith("no answer"):
                self._record.give_up(index, now_s, reason)
            else:
                self._record.refuse(index, now_s, reason)
        if self._is_sending or self._has_backlog():
            self._record.reconnects += 1
            self._open_one()
        else:
            self._end_if_drained()

    # What a loop is

    @abstractmethod
    def _start(self) -> None:
        """Send the first requests."""

    @abstractmethod
    def _next(self, connection: Wire, now_s: float) -> None:
        """A connection has become free."""

    @abstractmethod
    def _has_backlog(self) -> bool:
        """Whether requests wait for a connection."""

    @abstractmethod
    def _stop(self) -> None:
        """Let nothing new be scheduled."""

    @abstractmethod
    def _give_up_backlog(self, now_s: float) -> None:
        """Count what never left."""

    # Steps

    async def _connect_all(self) -> None:
        results = await asyncio.gather(
            *(self._connect() for _ in range(self._wanted)), return_exceptions=True
        )
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, OSError):
                raise error
        if len(errors) == len(results):
            raise TransportError(
                f"no connection to {self._target.text}: {errors[0]}",
                hint="check that the server runs and that the address is right",
            ) from errors[0]
        self._record.connections = len(results) - len(errors)

    async def _connect(self) -> Wire:
        connection = await (self._connect_other or self._connect_http)(self._target, self)
        self._wires.add(connection)
        self._idle.append(connection)
        return connection

    async def _connect_http(self, target: LoadTarget, pool: Pool) -> Wire:
        loop = asyncio.get_running_loop()
        if target.uds:
            _, connection = await loop.create_unix_connection(
                lambda: Connection(pool, self._heads), target.uds
            )
        else:
            _, connection = await loop.create_connection(
                lambda: Connection(pool, self._heads), target.host, target.port
            )
        return connection

    async def _send_and_drain(self) -> None:
        self._record.begin()
        self._is_sending = True
        self._start()
        sweeper = asyncio.create_task(self._sweep(), name="load sweeper")
        try:
            await self._ended.wait()
        finally:
            sweeper.cancel()
        self._record.end_s = time.perf_counter()

    async def _sweep(self) -> None:
        """Watch the deadlines: of each request, of sending, and of the drain."""
        end_s = self._record.start_s + self._limits.seconds
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = time.perf_counter()
            self._cut_late(now_s)
            if now_s >= end_s and self._is_sending:
                self._finish_sending()
            if now_s >= end_s + self._limits.drain_s:
                self._cut_all(now_s)
                self._ended.set()

    def _finish_sending(self) -> None:
        self._is_sending = False
        self._stop()
        self._end_if_drained()

    def _end_if_drained(self) -> None:
        if not self._is_sending and not self._busy() and not self._has_backlog():
            self._ended.set()

    def _busy(self) -> list[Wire]:
        return [one for one in self._wires if one.index is not None]

    def _cut_late(self, now_s: float) -> None:
        latest_s = now_s - self._limits.timeout_s
        for connection in [one for one in self._busy() if one.sent_s < latest_s]:
            connection.abort(f"no answer within {self._limits.timeout_s:g} s")

    def _cut_all(self, now_s: float) -> None:
        for connection in self._busy():
            assert connection.index is not None  # noqa: S101 - that is what busy means
            self._record.give_up(connection.index, now_s, "no answer by the end of the run")
            connection.index = None
            connection.abort("the run is over")
        self._give_up_backlog(now_s)

    def _open_one(self) -> None:
        task = asyncio.create_task(self._reopen(), name="load reconnect")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _reopen(self) -> None:
        """Connect again, trying until the run ends; each failure is on the record."""
        while self._is_sending or self._has_backlog():
            try:
                connection = await self._connect()
            except OSError as error:
                reason = f"cannot connect: {error.strerror or error}"
                self._record.errors[reason] = self._record.errors.get(reason, 0) + 1
                await asyncio.sleep(_RECONNECT_S)
            else:
                self._idle.remove(connection)
                self._next(connection, time.perf_counter())
                return

    def _rest(self, connection: Wire) -> None:
        self._idle.append(connection)
        if not self._is_sending:
            self._end_if_drained()

    def _close(self) -> None:
        self._is_sending, self._is_over = False, True
        self._stop()
        for task in self._opening:
            task.cancel()
        for connection in list(self._wires):
            connection.close()


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """No pause of the garbage collector in the middle of a measurement."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

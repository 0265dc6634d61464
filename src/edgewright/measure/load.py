"""Load: closed loop (so many clients, each waits for its answer) and open loop (requests leave
when an arrival process says so, answered or not).

An open loop has no coordinated omission: latency counts from the scheduled moment, and a server
that stalls is charged for every request that should have left meanwhile. Requests are ready bytes,
answers come back as bytes; what they mean is the caller's. Every run is bounded in seconds, number
of requests, connections, and bytes kept. HTTP is spoken here, on TCP or a Unix socket; another
protocol is a `Connect` that is handed in (`measure.load_grpc`).

    >>> import asyncio
    >>> from edgewright.clock import SystemClock
    >>> from edgewright.transports.http1 import Response, start_server
    >>> async def session():
    ...     async def handler(request):
    ...         return Response(status=200, body=request.body)
    ...     server = await start_server(handler, clock=SystemClock())
    ...     target = LoadTarget.from_url(server.address)
    ...     requests = [encode_request("POST", "/echo", target=target, body=b"hi")]
    ...     result = await closed_loop(target, requests, LoadLimits(seconds=0.1), connections=2)
    ...     await server.close()
    ...     return result
    >>> result = asyncio.run(session())
    >>> result.answered > 0, result.failed, list(result.answers[0])
    (True, 0, [b'hi'])
"""

import asyncio
import contextlib
import gc
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError, TransportError
from edgewright.measure._load_connection import Connection, Pool, Wire
from edgewright.measure._load_record import Recorder
from edgewright.measure._timer import Timer, make_timer
from edgewright.measure.load_result import LoadResult
from edgewright.measure.load_target import (
    LoadLimits,
    LoadTarget,
    encode_request,
    even_arrivals,
    poisson_arrivals,
)

__all__ = [
    "ClosedLoop",
    "Connect",
    "LoadLimits",
    "LoadResult",
    "LoadTarget",
    "OpenLoop",
    "closed_loop",
    "encode_request",
    "even_arrivals",
    "open_loop",
    "poisson_arrivals",
]

Connect = Callable[[LoadTarget, Pool], Awaitable[Wire]]
"""Opens one connection of another protocol than HTTP. Raises OSError when nobody answers."""

_SWEEP_S = 0.05
_RECONNECT_S = 0.02
_SUCCESS = 200


async def closed_loop(
    target: LoadTarget, requests: Sequence[bytes], limits: LoadLimits, *, connections: int = 1
) -> LoadResult:
    """As many clients as connections; each sends its next request when the last one was answered.

    Cancelled (Ctrl-C), it stops sending and raises; `ClosedLoop.result` keeps what was measured.

    Raises:
        TransportError: no connection could be made at all.
    """
    return await ClosedLoop(target, requests, limits, connections=connections).run()


async def open_loop(
    target: LoadTarget,
    requests: Sequence[bytes],
    limits: LoadLimits,
    *,
    arrivals_s: NDArray[np.float64],
    connections: int = 64,
) -> LoadResult:
    """Requests leave at `arrivals_s`; one that finds no free connection waits, and its wait counts.

    Raises:
        TransportError: no connection could be made at all.
    """
    loop = OpenLoop(target, requests, limits, arrivals_s=arrivals_s, connections=connections)
    return await loop.run()


class _Loop:
    """What both loops share: the connections, the deadlines and the record."""

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
        self._record = Recorder(payloads=len(requests), keep_bytes=limits.keep_bytes)
        self._busy: set[Wire] = set()
        self._idle: list[Wire] = []
        self._heads: dict[bytes, tuple[int, int]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._is_sending = False
        self._ended = asyncio.Event()

    async def run(self) -> LoadResult:
        """Connect, send, drain, close. What was measured until a cancellation is in `result`."""
        await self._connect_all()
        try:
            with _collector_at_rest():
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

    # What connections call

    def answered(self, connection: Wire, index: int, status: int | str, body: bytes) -> None:
        now_s = time.perf_counter()
        if status == _SUCCESS:
            self._record.answer(index, now_s, body)
        else:
            self._record.refuse(index, now_s, f"status {status}", body)
        if connection.is_open:
            self._next(connection, now_s)
        else:
            self._busy.discard(connection)

    def lost(self, connection: Wire, index: int | None, reason: str) -> None:
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
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
        if not self._is_sending and not self._busy and not self._has_backlog():
            self._ended.set()

    def _cut_late(self, now_s: float) -> None:
        latest_s = now_s - self._limits.timeout_s
        for connection in [one for one in self._busy if one.sent_s < latest_s]:
            connection.abort(f"no answer within {self._limits.timeout_s:g} s")

    def _cut_all(self, now_s: float) -> None:
        for connection in list(self._busy):
            if connection.index is not None:
                self._record.give_up(connection.index, now_s, "no answer by the end of the run")
                connection.index = None
            connection.abort("the run is over")
        self._busy.clear()
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

    def _send(self, connection: Wire, index: int) -> None:
        self._busy.add(connection)
        connection.send(index, self._requests[index % len(self._requests)])
        self._record.sent_s[index] = connection.sent_s

    def _rest(self, connection: Wire) -> None:
        self._busy.discard(connection)
        self._idle.append(connection)
        self._end_if_drained()

    def _close(self) -> None:
        self._is_sending = False
        self._stop()
        for task in self._opening:
            task.cancel()
        for connection in [*self._busy, *self._idle]:
            connection.close()


class ClosedLoop(_Loop):
    """Clients that wait for their answers; use `closed_loop`."""

    def _start(self) -> None:
        now_s = time.perf_counter()
        while self._idle:
            self._next(self._idle.pop(), now_s)

    def _next(self, connection: Wire, now_s: float) -> None:
        record = self._record
        if self._is_sending and len(record.states) < self._limits.requests:
            self._send(connection, record.schedule(now_s))
        else:
            self._is_sending = False
            self._rest(connection)

    def _has_backlog(self) -> bool:
        return False

    def _stop(self) -> None:
        pass

    def _give_up_backlog(self, now_s: float) -> None:
        pass


class OpenLoop(_Loop):
    """Requests that leave on their own schedule; use `open_loop`."""

    def __init__(
        self,
        target: LoadTarget,
        requests: Sequence[bytes],
        limits: LoadLimits,
        *,
        arrivals_s: NDArray[np.float64],
        connections: int,
        connect: Connect | None = None,
    ) -> None:
        super().__init__(target, requests, limits, connections=connections, connect=connect)
        kept = arrivals_s[arrivals_s < limits.seconds][: limits.requests]
        self._arrivals_s: list[float] = kept.tolist()
        self._position = 0
        self._backlog: deque[int] = deque()
        self._timer: Timer | None = None

    def _start(self) -> None:
        self._timer = make_timer(self._send_due)
        self._arrivals_s = [moment + self._record.start_s for moment in self._arrivals_s]
        self._send_due()

    def _send_due(self) -> None:
        """Everything whose moment has come leaves now, or waits for a connection."""
        arrivals_s, record, idle = self._arrivals_s, self._record, self._idle
        while self._position < len(arrivals_s):
            moment_s = arrivals_s[self._position]
            late_s = time.perf_counter() - moment_s
            if late_s < 0:
                if self._timer is not None:
                    self._timer.arm(moment_s)
                return
            self._position += 1
            index = record.schedule(moment_s)
            if idle:
                record.lag_s.append(late_s)
                self._send(idle.pop(), index)
            else:
                self._backlog.append(index)
        self._is_sending = False
        self._end_if_drained()

    def _next(self, connection: Wire, now_s: float) -> None:
        if self._backlog:
            self._send(connection, self._backlog.popleft())
        else:
            self._rest(connection)

    def _has_backlog(self) -> bool:
        return bool(self._backlog)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _give_up_backlog(self, now_s: float) -> None:
        while self._backlog:
            self._record.give_up(self._backlog.popleft(), now_s, "no answer by the end of the run")


@contextlib.contextmanager
def _collector_at_rest() -> Iterator[None]:
    """No pause of the garbage collector in the middle of a measurement."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

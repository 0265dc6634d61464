"""Requests seen from outside: one value for each, handed to who writes logs or traces.

A server without observers is not wrapped, so it pays nothing. What the transport refuses by itself
(garbage, too slow, too large) never becomes a request: it is counted on the metrics page.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from edgewright.device.serve.ports import Timer
from edgewright.transports.http1 import Application, Exchange, Frame, Head, Prepare, Response, Take


class Seen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request and its answer. A gRPC call has its method's name as `method`, the way to it as
    `path`, its metadata as `headers`, and a `grpc_status` ("OK") instead of a `status`.
    """

    wall_s: float
    """When it had arrived."""
    took_s: float
    peer: str
    method: str
    path: str
    headers: Mapping[str, str]
    status: int
    request_bytes: int
    response_bytes: int
    grpc_status: str = ""
    model: str = ""
    """Where the path does not say it."""


Observer = Callable[[Seen], None]


class Observers:
    """Whom to tell, and the clocks that all ways in share."""

    def __init__(self, observers: Sequence[Observer], *, timer: Timer, wall_s: Timer) -> None:
        self._observers = tuple(observers)
        self.timer = timer
        self.wall_s = wall_s

    def tell(self, seen: Seen) -> None:
        """One request is over."""
        for observer in self._observers:
            observer(seen)


class Observing:
    """An application around another one that tells what it saw."""

    def __init__(self, application: Application, prepare: Prepare, observers: Observers) -> None:
        self._application = application
        self._prepare = prepare
        self._observers = observers

    def __call__(self, exchange: Exchange, head: Head, body: bytes) -> None:
        self._application(_Observed(exchange, head, len(body), self._observers), head, body)

    def prepare(self, head: Head) -> Take | None:
        """Who takes the requests of this head, observed."""
        inner = self._prepare(head)
        if inner is None:
            return None

        def take(exchange: Exchange, body: bytes) -> None:
            inner(_Observed(exchange, head, len(body), self._observers), body)

        return take


class _Observed:
    """An exchange whose answer is seen."""

    __slots__ = ("_arrived_s", "_exchange", "_head", "_observers", "_request_bytes")

    def __init__(
        self, exchange: Exchange, head: Head, request_bytes: int, observers: Observers
    ) -> None:
        self._exchange = exchange
        self._head = head
        self._request_bytes = request_bytes
        self._observers = observers
        self._arrived_s = observers.timer()

    @property
    def peer(self) -> str:
        return self._exchange.peer

    @property
    def is_closed(self) -> bool:
        return self._exchange.is_closed

    def reply(self, preamble: bytes, body: bytes) -> None:
        self._exchange.reply(preamble, body)
        self._tell(_status(preamble), len(body))

    def reply_framed(self, frame: Frame, content: bytes) -> None:
        self._exchange.reply_framed(frame, content)
        self._tell(_status(frame.preamble), frame.fixed_bytes + len(content))

    def respond(self, response: Response) -> None:
        self._exchange.respond(response)
        self._tell(response.status, len(response.body))

    def _tell(self, status: int, response_bytes: int) -> None:
        observers, head = self._observers, self._head
        took_s = observers.timer() - self._arrived_s
        seen = Seen(
            wall_s=observers.wall_s() - took_s,
            took_s=took_s,
            peer=self._exchange.peer,
            method=head.method,
            path=head.path,
            headers=head.headers,
            status=status,
            request_bytes=self._request_bytes,
            response_bytes=response_bytes,
        )
        observers.tell(seen)


def _status(preamble: bytes) -> int:
    return int(preamble[9:12])

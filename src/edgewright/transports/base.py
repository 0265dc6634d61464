"""What crosses a request-and-answer transport, as values, and the limits it is held to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Everything from outside has a limit: bytes, seconds, count.

    `held_bytes` is for bodies that have come in part, of all peers together; one of the largest
    size always fits. `header_timeout_s` runs from the first byte of a request to the end of its
    headers, `body_timeout_s` from there to the end of the body, and again for a peer that does not
    read its answer; `idle_timeout_s` between requests.
    """

    header_bytes: int = 16 << 10
    body_bytes: int = 64 << 20
    held_bytes: int = 256 << 20
    header_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    idle_timeout_s: float = 75.0
    connections: int = 1024


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A whole request. Header names are lower case; path and query are percent-decoded.

    `client_certificate` is the DER of the certificate that the peer proved to own over TLS.
    """

    method: str
    path: str
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes = b""
    peer: str = ""
    client_certificate: bytes = b""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: `body`, or a `stream` of `length` bytes (of unknown length when None)."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
    stream: AsyncIterator[bytes] | None = None
    length: int | None = None


Handler = Callable[[Request], Awaitable[Response]]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A request without its body. `target` is the request line's own text.

    Equal bytes give equal heads, so a server keeps parsed ones and shares them between requests:
    treat the dicts as frozen.
    """

    method: str
    version: str
    target: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content_length: int
    is_chunked: bool
    keeps_alive: bool
    expects_continue: bool


class Exchange(Protocol):
    """One request of one peer, waiting for exactly one answer; a peer that has left takes it in
    silence.
    """

    @property
    def peer(self) -> str:
        """Who asks, for logs and metrics."""

    @property
    def is_closed(self) -> bool:
        """Whether the peer has left, so that work for it can be dropped."""

    def reply(self, preamble: bytes, body: bytes) -> None:
        """Answer with a rendered status line and headers (see `http1.preamble`) and a body."""

    def reply_framed(self, frame: "Frame", content: bytes) -> None:
        """`reply` with a body whose beginning and end are always the same."""

    def respond(self, response: Response) -> None:
        """Answer with a value; its stream is ignored."""


Application = Callable[[Exchange, Head, bytes], None]
"""Takes a request without waiting: it answers at once, or keeps the exchange and answers later."""

Take = Callable[[Exchange, bytes], None]
"""An application that knows the head already."""

Prepare = Callable[[Head], Take | None]
"""Looks at a head that will come again and says who takes its requests; None leaves them to the
application. Asked once for each kept head.
"""


class Frame:
    """An answer with a gap: status line and headers, then `before` and `after` of its body. What
    does not change between answers is rendered once a second, when the date does.
    """

    __slots__ = ("_preamble", "after", "date", "fixed_bytes", "opening", "preamble_and_date")

    def __init__(self, preamble: bytes, before: bytes = b"", after: bytes = b"") -> None:
        self._preamble = preamble
        self.opening = b"\r\n\r\n" + before
        self.after = after
        self.fixed_bytes = len(before) + len(after)
        self.date = b""
        self.preamble_and_date = b""

    def renew(self, date: bytes) -> None:
        """Render for this date."""
        self.date = date
        self.preamble_and_date = b"%bdate: %b\r\ncontent-length: " % (self._preamble, date)

    def body(self, content: bytes) -> bytes:
        r"""The whole body.

        >>> Frame(b"", b"[", b"]").body(b"1")
        b'[1]'
        """
        return self.opening[4:] + content + self.after

    @property
    def preamble(self) -> bytes:
        """Status line and headers, for an answer that needs care."""
        return self._preamble

"""One connection of the load generator: a request out, an answer in, never two at once."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import httptools

_HEAD_END = b"\r\n\r\n"
_UNKNOWN = (0, -1)
_KEPT_HEADS = 1024
_FIELDS = (
    rb"(?:(?!(?:transfer-encoding|content-length|connection(?!: ?keep-alive\r\n)):)"
    rb"[a-z0-9_-]+:[^\r\n]*\r\n)*+"
)
_PLAIN_HEAD = re.compile(
    rb"HTTP/1\.1 ((?!204|304)[2-5]\d\d) [^\r\n]*\r\n"
    + _FIELDS
    + rb"content-length: ?(\d{1,9})\r\n"
    + _FIELDS
    + rb"\r\n",
    re.IGNORECASE,
)
"""The head of an answer whose length is said once and whose connection stays."""


class Wire(Protocol):
    """One connection to a server, whatever it speaks: a request out, an answer in."""

    index: int | None
    """The number of the request that is on it."""
    sent_s: float

    @property
    def is_open(self) -> bool:
        """Whether a request can leave on it."""

    def send(self, index: int, request: bytes, now_s: float) -> None:
        """Put a request on the wire, now."""

    def abort(self, reason: str) -> None:
        """Cut the connection; a request on it is lost for this reason."""

    def close(self) -> None:
        """Let go of it."""


class Pool(Protocol):
    """What a connection tells whoever owns it."""

    def answered(
        self, connection: Wire, index: int, status: int | str, body: bytes, *, whole: bytes = b""
    ) -> None:
        """The request with this number got its answer; the connection is free again. Success is
        status 200, whatever the protocol. `whole` is the answer as it came off the wire, if the
        same bytes always mean the same.
        """

    def answered_again(self, connection: Wire, index: int, kind: int) -> None:
        """The same with an answer that is one of `repeated`: only its kind is told."""

    @property
    def repeated(self) -> Sequence[dict[bytes, int]]:
        """For every payload, whole answers seen before and their kinds. Request i sent payload i
        modulo their number.
        """

    def lost(self, connection: Wire, index: int | None, reason: str) -> None:
        """The connection is gone, and with it the request that was on it."""


class Connection(asyncio.Protocol):
    """Writes prepared bytes and reads one HTTP/1.1 answer at a time."""

    __slots__ = (
        "_body",
        "_heads",
        "_is_parsing",
        "_parser",
        "_payloads",
        "_pool",
        "_reason",
        "_repeated",
        "_transport",
        "_write",
        "index",
        "sent_s",
    )

    def __init__(self, pool: Pool, heads: dict[bytes, tuple[int, int]]) -> None:
        self._pool = pool
        self._repeated = pool.repeated
        self._payloads = len(pool.repeated)
        self._heads = heads
        self._transport: asyncio.Transport | None = None
        self._write: Callable[[bytes], None] = _not_yet
        self._parser = httptools.HttpResponseParser(self)
        self._is_parsing = False
        self._body: list[bytes] = []
        self._reason = "connection closed before the answer"
        self.index: int | None = None
        self.sent_s = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, index: int, request: bytes, now_s: float) -> None:
        """Put a request on the wire, now."""
        self.index = index
        self.sent_s = now_s
        self._write(request)

    def abort(self, reason: str) -> None:
        """Cut the connection; a request on it is lost for this reason."""
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write

    def connection_lost(self, exc: Exception | None) -> None:
        index, self.index = self.index, None
        self._pool.lost(self, index, self._reason)

    def data_received(self, data: bytes) -> None:
        """An answer whose very bytes were seen before is told by its kind; one with a plain head,
        whole in one piece, needs no parser.
        """
        index = self.index
        if index is None or self._is_parsing:
            self._parse(data)
            return
        kind = self._repeated[index % self._payloads].get(data)
        if kind is not None:
            self.index = None
            self._pool.answered_again(self, index, kind)
            return
        body_at = data.find(_HEAD_END) + len(_HEAD_END)
        head, whole = data[:body_at], data
        known = self._heads.get(head)
        if known is None:
            known, whole = self._read_plain(head), b""
        status, length = known
        if length != len(data) - body_at:
            self._parse(data)
            return
        self.index = None
        self._pool.answered(self, index, status, data[body_at:], whole=whole)

    def _parse(self, data: bytes) -> None:
        self._is_parsing = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort("the answer is not HTTP")

    def _read_plain(self, head: bytes) -> tuple[int, int]:
        """Status and length of a plain head, which is remembered; others are for the parser."""
        found = _PLAIN_HEAD.fullmatch(head)
        if found is None:
            return _UNKNOWN
        if len(self._heads) >= _KEPT_HEADS:
            self._heads.clear()
        self._heads[head] = known = (int(found[1]), int(found[2]))
        return known

    # httptools

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        index, self.index = self.index, None
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        if index is None:
            self.abort("an answer that nobody asked for")
            return
        self._is_parsing = False
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.close()
        self._pool.answered(self, index, status, body)


def _not_yet(_: bytes) -> None:
    raise RuntimeError("nothing can be sent before the connection is made")

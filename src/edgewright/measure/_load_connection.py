"""One connection of the load generator: a request out, an answer in, never two at once."""

import asyncio
import time
from typing import Protocol, cast

import httptools

_HEAD_END = b"\r\n\r\n"
_UNKNOWN = (0, -1)
_KEPT_HEADS = 1024


class Wire(Protocol):
    """One connection to a server, whatever it speaks: a request out, an answer in."""

    index: int | None
    """The number of the request that is on it."""
    sent_s: float

    @property
    def is_open(self) -> bool:
        """Whether a request can leave on it."""

    def send(self, index: int, request: bytes) -> None:
        """Put a request on the wire."""

    def abort(self, reason: str) -> None:
        """Cut the connection; a request on it is lost for this reason."""

    def close(self) -> None:
        """Let go of it."""


class Pool(Protocol):
    """What a connection tells whoever owns it."""

    def answered(self, connection: Wire, index: int, status: int | str, body: bytes) -> None:
        """The request with this number got its answer; the connection is free again. Success is
        status 200, whatever the protocol.
        """

    def lost(self, connection: Wire, index: int | None, reason: str) -> None:
        """The connection is gone, and with it the request that was on it."""


class Connection(asyncio.Protocol):
    """Writes prepared bytes and reads one HTTP/1.1 answer at a time."""

    __slots__ = (
        "_body",
        "_data",
        "_heads",
        "_is_parsing",
        "_parser",
        "_pool",
        "_reason",
        "_transport",
        "index",
        "sent_s",
    )

    def __init__(self, pool: Pool, heads: dict[bytes, tuple[int, int]]) -> None:
        self._pool = pool
        self._heads = heads
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._is_parsing = False
        self._data = b""
        self._body: list[bytes] = []
        self._reason = "connection closed before the answer"
        self.index: int | None = None
        self.sent_s = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, index: int, request: bytes) -> None:
        """Put a request on the wire."""
        self.index = index
        self.sent_s = time.perf_counter()
        if self._transport is not None:
            self._transport.write(request)

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

    def connection_lost(self, exc: Exception | None) -> None:
        index, self.index = self.index, None
        self._pool.lost(self, index, self._reason)

    def data_received(self, data: bytes) -> None:
        """An answer with a head seen before, whole in one piece, needs no parser."""
        if not self._is_parsing:
            body_at = data.find(_HEAD_END) + len(_HEAD_END)
            status, length = self._heads.get(data[:body_at], _UNKNOWN)
            index = self.index
            if length == len(data) - body_at and index is not None:
                self.index = None
                self._pool.answered(self, index, status, data[body_at:])
                return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        self._data = b"" if self._is_parsing else data
        self._is_parsing = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort("the answer is not HTTP")

    def _learn_head(self, status: int, body: bytes) -> None:
        """Remember the head of an answer that came in one piece, so that the next is quicker."""
        head = self._data[: len(self._data) - len(body)]
        if not head.endswith(_HEAD_END) or head.count(_HEAD_END) != 1:
            return
        if len(self._heads) >= _KEPT_HEADS:
            self._heads.clear()
        self._heads[head] = (status, len(body))

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
        if self._parser.should_keep_alive():
            self._learn_head(status, body)
        else:
            self.close()
        self._pool.answered(self, index, status, body)

"""Requests out of bytes as they come, one after the other.

llhttp judges every head from a fresh state, so the verdict is a function of the bytes alone. What
follows is ours: a length or, for chunked bodies, the parser that read the head.
"""

from collections.abc import Callable
from typing import Any

import httptools

from edgewright.transports._http1_head import BadRequestError, Collector, parse_head
from edgewright.transports.base import Head, Limits

HEAD_END = b"\r\n\r\n"
_KEPT_HEAD_BYTES = 2048


class Framing:
    """The requests of one peer. `buffer` holds what is no whole request yet, `pending` is the head
    whose body has not come.
    """

    __slots__ = ("_chunked", "_keep_head", "_limits", "_searched", "buffer", "pending")

    def __init__(self, limits: Limits, keep_head: Callable[[bytes, Head], None]) -> None:
        self.buffer = bytearray()
        self.pending: Head | None = None
        self._limits = limits
        self._keep_head = keep_head
        self._searched = 0
        self._chunked: tuple[Collector, Any] | None = None

    def next(self) -> tuple[Head, bytes] | None:
        """The next whole request, or None where bytes are missing.

        Raises:
            BadRequestError: no request, or one beyond the limits.
        """
        head = self.pending
        if head is None:
            head = self._read_head() if self.buffer else None
            if head is None:
                return None
            if head.content_length or head.is_chunked:
                self.pending = head
        body = self._read_body(head)
        if body is None:
            return None
        self.pending = self._chunked = None
        self._searched = 0
        return head, body

    @property
    def held_bytes(self) -> int:
        """How much of a body is here that is not whole."""
        if self.pending is None:
            return 0
        return len(self.buffer if self._chunked is None else self._chunked[0].body)

    def drop(self) -> None:
        """Forget the request that is not whole."""
        self.pending = self._chunked = None

    def _read_head(self) -> Head | None:
        buffer, limit = self.buffer, self._limits.header_bytes
        end = buffer.find(HEAD_END, self._searched) + 4
        if end == 3 and len(buffer) <= limit:
            self._searched = max(0, len(buffer) - 3)
            return None
        if end == 3 or end > limit:
            raise BadRequestError(431, f"the headers are larger than {limit} bytes")
        raw = bytes(buffer[:end])
        del buffer[:end]
        self._searched = 0
        head, collector, parser = parse_head(raw)
        if head.content_length > self._limits.body_bytes:
            raise BadRequestError(413, self._too_large())
        if head.is_chunked:
            self._chunked = (collector, parser)
        elif end <= _KEPT_HEAD_BYTES and not head.expects_continue:
            self._keep_head(raw, head)
        return head

    def _read_body(self, head: Head) -> bytes | None:
        if self._chunked is not None:
            return self._read_chunks(*self._chunked) if self.buffer else None
        length = head.content_length
        if len(self.buffer) < length:
            return None
        body = bytes(memoryview(self.buffer)[:length])
        del self.buffer[:length]
        return body

    def _read_chunks(self, collector: Collector, parser: Any) -> bytes | None:
        before, fed = len(collector.body), len(self.buffer)
        try:
            parser.feed_data(bytes(self.buffer))
        except httptools.HttpParserUpgrade:
            pass  # the next request offers one, and is refused below for coming too early
        except httptools.HttpParserError as error:
            raise BadRequestError(400, f"not a valid chunked body: {error}") from error
        self.buffer.clear()
        self._searched = 0 if len(collector.body) > before else self._searched + fed
        if len(collector.body) > self._limits.body_bytes:
            raise BadRequestError(413, self._too_large())
        if self._searched > self._limits.header_bytes:
            raise BadRequestError(431, "a chunked body's extensions or trailers are too large")
        if not collector.is_complete:
            return None
        if collector.messages > 1:
            raise BadRequestError(400, "a request after a chunked body must wait for its answer")
        return bytes(collector.body)

    def _too_large(self) -> str:
        return f"the body is larger than {self._limits.body_bytes} bytes"

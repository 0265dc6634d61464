"""The `h2` library's state of one connection, with the limits of this server; pure."""

from collections.abc import Iterable
from functools import lru_cache

import h2.config
import h2.connection
import h2.settings

STREAMS_MOST = 100
_READ_TIMES = 4
"""Headers so many times as large as they may be are still read, since a list that is not read to
its end ends the connection, and with it what others ask on it.
"""
_FIELD_BYTES = 32

_PREFACE_BYTES = 24
_FRAME_HEAD_BYTES = 9
_HEADERS, _CONTINUATION = 1, 9
_END_HEADERS = 4


def new_protocol(header_bytes: int) -> h2.connection.H2Connection:
    """The server's side of a new connection."""
    protocol = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, header_encoding=None)
    )
    codes = h2.settings.SettingCodes
    protocol.local_settings = h2.settings.Settings(
        client=False,
        initial_values={
            codes.MAX_CONCURRENT_STREAMS: STREAMS_MOST,
            codes.MAX_HEADER_LIST_SIZE: header_bytes,
            codes.ENABLE_PUSH: 0,
        },
    )
    protocol.decoder.max_header_list_size = _READ_TIMES * header_bytes
    return protocol


def list_bytes(fields: Iterable[tuple[bytes, bytes]]) -> int:
    """The size of a list of headers as its limit counts it (RFC 9113, 6.5.2).

    >>> list_bytes([(b":path", b"/v2")])
    40
    """
    return sum(len(name) + len(value) + _FIELD_BYTES for name, value in fields)


class Parts:
    r"""Where frames end in what a peer sends. Headers that go on in other frames are one part with
    them (RFC 9113, 4.3). The library keeps what is not whole to itself.

    >>> parts = Parts()
    >>> parts.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), parts.is_open
    (True, False)
    >>> parts.feed(bytes([0, 0, 3, 1, 0, 0, 0, 0, 1]) + b"abc"), parts.is_open
    (False, True)
    >>> parts.feed(bytes([0, 0, 2, 9, 4, 0, 0, 0, 1]) + b"d"), parts.feed(b"e"), parts.is_open
    (False, True, False)
    """

    __slots__ = ("_head", "_in_headers", "_left")

    def __init__(self) -> None:
        self._left = _PREFACE_BYTES
        self._head = b""
        self._in_headers = False

    @property
    def is_open(self) -> bool:
        """Whether something has begun that is not whole."""
        return self._left > 0 or self._head != b"" or self._in_headers

    def feed(self, data: bytes) -> bool:
        """Whether something became whole with this."""
        at, size, has_ended = 0, len(data), False
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
            else:
                step = _FRAME_HEAD_BYTES - len(self._head)
                self._take_head(data[at : at + step])
            at += step
            has_ended = has_ended or not self.is_open
        return has_ended

    def _take_head(self, piece: bytes) -> None:
        self._head += piece
        if len(self._head) < _FRAME_HEAD_BYTES:
            return
        self._left = int.from_bytes(self._head[:3], "big")
        if self._head[3] in (_HEADERS, _CONTINUATION):
            self._in_headers = not self._head[4] & _END_HEADERS
        self._head = b""


@lru_cache(maxsize=256)
def fields_of(preamble: bytes) -> tuple[tuple[bytes, bytes], ...]:
    r"""A rendered status line and headers as HTTP/2's fields.

    >>> fields_of(b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\n")
    ((b':status', b'429'), (b'retry-after', b'1'))
    """
    first, *lines = preamble.split(b"\r\n")
    pairs = [line.partition(b": ") for line in lines if line]
    fields = [(name, value) for name, _, value in pairs if name != b"connection"]
    return ((b":status", first[9:12]), *fields)

"""The `h2` library's state of one connection, with the limits of this server; pure."""

from functools import lru_cache

import h2.config
import h2.connection
import h2.settings

STREAMS_MOST = 100


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
    protocol.decoder.max_header_list_size = header_bytes
    return protocol


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

"""A bundle that arrives on a stream, as a file of the home.

A stream tells neither its length nor what it is, so both are watched while it is written: what
does not begin like a bundle is not read on, and the disk's reserve stays.
"""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edgewright import _fs
from edgewright.bundle.manifest import MANIFEST_MEMBER
from edgewright.bundle.parcel import LABEL_MEMBER
from edgewright.bundle.sealed import MAGIC
from edgewright.device.agent import Slots
from edgewright.errors import InputError

STDIN_LIMIT_BYTES = 2 << 30
CHUNK_BYTES = 1 << 20
HEAD_BYTES = 10240
"""A tar's shortest length: what is no bundle is told by so much of it as by the whole."""

_BEGINNINGS = (MAGIC, f"{MANIFEST_MEMBER}\0".encode(), f"{LABEL_MEMBER}\0".encode())


@contextlib.contextmanager
def spooled(stream: IO[bytes], path: Path, slots: Slots) -> Iterator[None]:
    """The stream lies at `path` for the block; a leftover of a cut goes at the next start.

    Of a stream that does not begin like a bundle only the beginning does, which the reading
    refuses as it refuses such a file.

    Raises:
        InputError: it is longer than any bundle.
        ResourceError: the disk, its reserve or the agent's budget do not hold it.
    """
    try:
        with _fs.atomic_file(path) as file:
            written = 0
            for chunk in _chunks(stream):
                written += len(chunk)
                if written > STDIN_LIMIT_BYTES:
                    raise InputError(
                        f"stdin: more than {STDIN_LIMIT_BYTES} bytes",
                        hint="send one bundle (.ewb) or air-gap file (.ewx)",
                    )
                slots.require_stream(written, more_bytes=len(chunk))
                file.write(chunk)
                file.flush()
        yield
    finally:
        _fs.remove_tree(path)


def stdin_name() -> str:
    """A file name that nothing has."""
    return f"stdin-{secrets.token_hex(8)}.ewb"


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    head = stream.read(HEAD_BYTES)
    yield head
    if head.startswith(_BEGINNINGS):
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk

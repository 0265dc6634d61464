"""The one tar text of a list of members: written one way, and read only if written that way.

POSIX ustar, mode 0644, owner 0, time 0, members padded with zeros to 512 bytes, the whole to 10240.
The reader rebuilds the header it expects and compares it byte by byte.
"""

import tarfile
from collections.abc import Iterable, Iterator
from typing import IO

from edgewright.errors import TrustError

CHUNK_BYTES = 1 << 20

_BLOCK = 512
_RECORD = 10240
_TRUNCATED_HINT = "it was cut short on its way; fetch it again"


class ArchiveWriter:
    """Writes members one after the other; `finish` closes the archive."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._written = 0

    def add(self, name: str, size_bytes: int, chunks: Iterable[bytes]) -> None:
        """One member, whose chunks hold exactly `size_bytes`."""
        self._put(_header(name, size_bytes))
        start = self._written
        for chunk in chunks:
            self._put(chunk)
        if self._written - start != size_bytes:
            raise ValueError(f"member {name}: {self._written - start} bytes for {size_bytes}")
        self._put(bytes(-size_bytes % _BLOCK))

    def finish(self) -> None:
        """The two empty blocks and the padding that end a tar."""
        self._put(bytes(2 * _BLOCK))
        self._put(bytes(-self._written % _RECORD))

    def _put(self, content: bytes) -> None:
        self._file.write(content)
        self._written += len(content)


class ArchiveReader:
    """Reads members one after the other, each under the name that must come next."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._read = 0

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._read

    def next_header(self) -> tuple[str, int] | None:
        """Name and size of the next member; None at the end of the archive, which is then checked.

        Raises:
            TrustError: not a header that an `ArchiveWriter` writes, or garbage behind the end.
        """
        block = self._take(_BLOCK)
        if not any(block):
            self._check_end()
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise TrustError(
                "not a bundle: no tar header where one must be", hint="check the file"
            ) from error
        if info.size < 0 or block != _header(info.name, info.size):
            raise TrustError(
                f"bundle member {info.name[:80]!r}: its header was changed",
                hint="fetch the bundle again from its maker",
            )
        return info.name, info.size

    def chunks(self, size_bytes: int) -> Iterator[bytes]:
        """The content of the member whose header was read last."""
        left = size_bytes
        while left:
            chunk = self._take(min(left, CHUNK_BYTES))
            left -= len(chunk)
            yield chunk
        if any(self._take(-size_bytes % _BLOCK)):
            raise TrustError("the bundle's padding was changed", hint="fetch it again")

    def _check_end(self) -> None:
        rest = self._take(_BLOCK + -(self._read + _BLOCK) % _RECORD)
        if any(rest) or self._file.read(1):
            raise TrustError(
                "the bundle has bytes behind its end", hint="fetch it again from its maker"
            )

    def _take(self, size_bytes: int) -> bytes:
        parts = []
        left = size_bytes
        while left:
            part = self._file.read(left)
            if not part:
                raise TrustError(
                    f"the bundle ends after {self._read} bytes, more were promised",
                    hint=_TRUNCATED_HINT,
                )
            parts.append(part)
            left -= len(part)
            self._read += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _header(name: str, size_bytes: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    info.mode = 0o644
    return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")

"""Blobs as files of one folder: `<root>/<first two digits>/<sha256>`."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgewright import _fs
from edgewright.errors import InputError, TrustError

CHUNK_BYTES = 1 << 20

_SHA256 = re.compile(r"[0-9a-f]{64}")


class FolderBlobs:
    """A blob store in a folder, which appears with the first blob."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.has(sha256):
            _fs.write_atomic(self.path(sha256), content)
        return sha256

    def add_stream(self, chunks: Iterable[bytes], *, sha256: str) -> None:
        digest = hashlib.sha256()
        with _fs.atomic_file(self.path(sha256)) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            _check(digest.hexdigest(), sha256, doing="storing")

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def read(self, sha256: str) -> bytes:
        return b"".join(self.chunks(sha256))

    def chunks(self, sha256: str) -> Iterator[bytes]:
        path = self.path(sha256)
        digest = hashlib.sha256()
        with _fs.file_errors(path, doing="reading"), path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                yield chunk
        _check(digest.hexdigest(), sha256, doing="reading")

    def size_bytes(self, sha256: str) -> int:
        path = self.path(sha256)
        with _fs.file_errors(path, doing="reading"):
            return path.stat().st_size

    def remove(self, sha256: str) -> None:
        _fs.remove_tree(self.path(sha256))

    def ids(self) -> Iterator[str]:
        if not self._root.is_dir():
            return
        found = (path.name for path in self._root.glob("??/*"))
        yield from sorted(name for name in found if _SHA256.fullmatch(name))

    def path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise InputError(
                f"blob id {sha256[:80]!r}: expected 64 hexadecimal digits",
                hint="use the id that adding returned",
            )
        return self._root / sha256[:2] / sha256


def _check(actual: str, expected: str, *, doing: str) -> None:
    if actual != expected:
        raise TrustError(
            f"{doing} blob {expected}: its content hashes to {actual}",
            hint="discard it and fetch it again",
        )

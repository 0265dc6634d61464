"""Blobs that belong elsewhere, with a folder here for those that were asked for."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from edgewright.stores.base import BlobStore
from edgewright.stores.blobs import FolderBlobs


class ShelvedBlobs:
    """A store elsewhere, whose blobs other programs can open: a shelf holds copies of them. What is
    on the shelf may be taken away at any time; what is added is in the store before it counts.
    """

    def __init__(self, store: BlobStore, shelf: FolderBlobs) -> None:
        self._store = store
        self._shelf = shelf

    def add(self, content: bytes) -> str:
        sha256 = self._shelf.add(content)
        self._bring(sha256)
        return sha256

    def add_stream(self, chunks: Iterable[bytes], *, sha256: str) -> None:
        self._shelf.add_stream(chunks, sha256=sha256)
        self._bring(sha256)

    def has(self, sha256: str) -> bool:
        return self._shelf.has(sha256) or self._store.has(sha256)

    def read(self, sha256: str) -> bytes:
        return b"".join(self.chunks(sha256))

    def chunks(self, sha256: str) -> Iterator[bytes]:
        self.path(sha256)
        yield from self._shelf.chunks(sha256)

    def size_bytes(self, sha256: str) -> int:
        nearest = self._shelf if self._shelf.has(sha256) else self._store
        return nearest.size_bytes(sha256)

    def remove(self, sha256: str) -> None:
        self._store.remove(sha256)
        self._shelf.remove(sha256)

    def ids(self) -> Iterator[str]:
        return self._store.ids()

    def path(self, sha256: str) -> Path:
        """Where the content lies, fetched first when it has to be.

        Raises:
            TransportError: the store did not answer; try again later.
            TrustError: what it holds is not what was added.
        """
        if not self._shelf.has(sha256) and self._store.has(sha256):
            self._shelf.add_stream(self._store.chunks(sha256), sha256=sha256)
        return self._shelf.path(sha256)

    def bring_all(self) -> int:
        """Bring to the store what only lies on the shelf; returns how much that was."""
        missing = [sha256 for sha256 in self._shelf.ids() if not self._store.has(sha256)]
        for sha256 in missing:
            self._bring(sha256)
        return len(missing)

    def _bring(self, sha256: str) -> None:
        if not self._store.has(sha256):
            self._store.add_stream(self._shelf.chunks(sha256), sha256=sha256)

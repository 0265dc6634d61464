"""The port of blob stores: bytes by the sha256 of themselves."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol


class BlobStore(Protocol):
    """Content by its own hash. Adding what is there already changes nothing."""

    def add(self, content: bytes) -> str:
        """Store content; returns its sha256."""

    def add_stream(self, chunks: Iterable[bytes], *, sha256: str) -> None:
        """Store content whose hash is known before it is read.

        Raises:
            TrustError: the content is not the promised one; nothing was stored.
        """

    def has(self, sha256: str) -> bool:
        """Whether that content is here (it is verified when it is read)."""

    def read(self, sha256: str) -> bytes:
        """The content.

        Raises:
            InputError: it is not here.
            TrustError: what is stored is not what was added.
        """

    def chunks(self, sha256: str) -> Iterator[bytes]:
        """The content in parts; the same errors as `read`, the second one after the last part."""

    def size_bytes(self, sha256: str) -> int:
        """How large the content is."""

    def remove(self, sha256: str) -> None:
        """Forget the content; absent is fine."""

    def ids(self) -> Iterator[str]:
        """The hashes of all that is here, sorted."""


class LocalBlobStore(BlobStore, Protocol):
    """A store on this machine, whose blobs other programs can open."""

    def path(self, sha256: str) -> Path:
        """Where the content lies, or would."""


class ObjectStore(Protocol):
    """Content by a name that may be given again: the newest content wins."""

    def put(self, name: str, content: bytes) -> None:
        """Store content under a name, as one step.

        Raises:
            TransportError: the store did not answer; try again later.
        """

    def get(self, name: str) -> bytes | None:
        """The content, or None where there is none of that name.

        Raises:
            TransportError: the store did not answer; try again later.
        """

    def names(self, prefix: str = "") -> list[str]:
        """All names that begin like this, sorted."""

    def remove(self, name: str) -> None:
        """Forget a name; absent is fine."""

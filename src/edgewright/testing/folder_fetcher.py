"""An exported repository on a stick: a `Fetcher` over the files of a folder."""

from collections.abc import AsyncIterator
from pathlib import Path


class FolderFetcher:
    """What lies in a folder, in one piece each."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def open(
        self, path: str, *, offset: int = 0, limit_bytes: int
    ) -> AsyncIterator[bytes] | None:
        file = self._root / path
        return self._chunks(file.read_bytes()[offset:]) if file.exists() else None

    async def _chunks(self, content: bytes) -> AsyncIterator[bytes]:
        yield content

"""Named contents as files of one folder, which may be a mounted drive that comes and goes."""

import re
from pathlib import Path, PurePosixPath

from edgewright import _fs
from edgewright.errors import InputError, ResourceError, TransportError

LIMIT_BYTES = 16 << 30

_NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


def checked_name(name: str) -> str:
    """The name, when every store can hold it.

    Raises:
        InputError: it holds something else than letters, digits, '.', '_', '-' between slashes.
    """
    if not _NAME.fullmatch(name) or ".." in PurePosixPath(name).parts:
        raise InputError(
            f"object name {name[:80]!r}: expected letters, digits, '.', '_', '-' between slashes"
        )
    return name


class FolderObjects:
    """An object store in a folder that exists; a folder that is away is tried again later."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, content: bytes) -> None:
        self._check_here()
        try:
            _fs.write_atomic(self._root / checked_name(name), content)
        except ResourceError as error:
            raise TransportError(str(error), hint="it is tried again later") from error

    def get(self, name: str) -> bytes | None:
        self._check_here()
        path = self._root / checked_name(name)
        return _fs.read_limited(path, limit_bytes=LIMIT_BYTES) if path.is_file() else None

    def names(self, prefix: str = "") -> list[str]:
        self._check_here()
        found = (
            path.relative_to(self._root).as_posix()
            for path in self._root.rglob("*")
            if path.is_file() and _NAME.fullmatch(path.name) and not path.name.startswith(".tmp-")
        )
        return sorted(name for name in found if name.startswith(prefix))

    def remove(self, name: str) -> None:
        self._check_here()
        _fs.remove_tree(self._root / checked_name(name))

    def _check_here(self) -> None:
        """A missing folder is a drive that is not mounted: nothing may be written beside it."""
        if not self._root.is_dir():
            raise TransportError(f"{self._root} is not there", hint="mount it, or make that folder")

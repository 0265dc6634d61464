"""The code part of a stage's key: the sources of the rooms it runs and the libraries under them."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path


def hash_rooms(rooms: Iterable[str]) -> str:
    """The hash of all Python sources in some rooms of this package ("steps", "workbench/data")."""
    digest = hashlib.sha256()
    for room in sorted(rooms):
        digest.update(f"{room} {_hash_room(room)}\n".encode())
    return digest.hexdigest()


def library_versions(distributions: Iterable[str]) -> dict[str, str]:
    """The installed versions of some libraries; the empty text for one that is absent."""
    return {name: _version(name) for name in sorted(distributions)}


@cache
def _hash_room(room: str) -> str:
    root = Path(str(files("edgewright"))) / room
    paths = [root] if root.is_file() else sorted(root.rglob("*.py"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root.parent).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

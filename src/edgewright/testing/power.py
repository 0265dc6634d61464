"""What a disk may hold after a power cut: of all that was done to it, only what was synced is sure.

A `Disk` repeats recorded changes and can be asked at any moment what would be left now. It is as
strict as POSIX lets a file system be: `fsync` of a file keeps its bytes and nothing else, a name
(of a file, a folder, a link) is kept by `fsync` of the folder that it stands in, and what no kept
folder leads to is gone.

    >>> disk = Disk()
    >>> for change in (
    ...     Change(kind="create", path="a.tmp"),
    ...     Change(kind="write", path="a.tmp", data=b"new"),
    ...     Change(kind="rename", path="a.tmp", target="a"),
    ...     Change(kind="sync_folder", path=""),
    ... ):
    ...     disk.apply(change)
    >>> disk.left(Loss.FORGETS)
    {'a': b''}
"""

import random
import shutil
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

Kind = Literal[
    "create", "write", "truncate", "sync", "mkdir", "symlink", "rename", "remove", "sync_folder"
]


class Loss(StrEnum):
    """What a power cut takes of all that was not synced: everything; bytes, while names are kept;
    some of it, by chance, with the order kept within a file and within a folder.
    """

    FORGETS = "forgets"
    REORDERS = "reorders"
    SOME = "some"


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation on a disk; paths are relative to its root, which is ""."""

    kind: Kind
    path: str
    target: str = ""
    offset: int = 0
    data: bytes = b""


class Link(str):
    """Where a symbolic link points."""

    __slots__ = ()


Left = bytes | Link | None
"""What stands under a name: a file's bytes, a link, or a folder (None)."""


class _File:
    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.synced = bytes(data)

    def left(self, loss: Loss, rng: random.Random) -> bytes:
        if loss is not Loss.SOME:
            return self.synced
        now = bytes(self.data)
        if not now.startswith(self.synced):
            return rng.choice((self.synced, now))
        return now[: rng.randint(len(self.synced), len(now))]


class _Folder:
    """`past` holds the names that the disk is sure of, then the names after each change to them."""

    def __init__(self, names: "Mapping[str, _Node] | None" = None) -> None:
        self.past: list[dict[str, _Node]] = [dict(names or {})]

    @property
    def names(self) -> "dict[str, _Node]":
        return self.past[-1]

    def put(self, name: str, node: "_Node") -> None:
        self.past.append({**self.names, name: node})

    def take(self, name: str) -> "_Node":
        rest = dict(self.names)
        node = rest.pop(name)
        self.past.append(rest)
        return node

    def sync(self) -> None:
        self.past = [self.names]

    def left(self, loss: Loss, rng: random.Random) -> "dict[str, _Node]":
        match loss:
            case Loss.FORGETS:
                return self.past[0]
            case Loss.REORDERS:
                return self.past[-1]
            case Loss.SOME:
                return rng.choice(self.past)


_Node = _File | _Folder | Link


class Disk:
    """A disk to which changes are applied one after the other."""

    def __init__(self) -> None:
        self._root = _Folder()

    @classmethod
    def of(cls, folder: Path) -> "Disk":
        """A disk that is sure of all that a folder holds now."""
        disk = cls()
        disk._root = _read(folder)
        return disk

    def apply(self, change: Change) -> None:
        """Do one change. `rename` replaces what stands under its target, `remove` asks not what it
        is.
        """
        folder, name = self._place(change.path)
        match change.kind:
            case "create":
                folder.put(name, _File())
            case "mkdir":
                folder.put(name, _Folder())
            case "symlink":
                folder.put(name, Link(change.target))
            case "remove":
                folder.take(name)
            case "rename":
                node = folder.take(name)
                other, new_name = self._place(change.target)
                other.put(new_name, node)
                if other is folder:
                    del folder.past[-2]  # one step: neither both names nor none
            case "sync_folder":
                self._folder(change.path).sync()
            case _:
                _apply_to_file(folder.names[name], change)

    def left(self, loss: Loss, *, seed: int = 0) -> dict[str, Left]:
        """What the disk holds when the power goes now, by path, folders before what is in them."""
        rng = random.Random(seed)  # noqa: S311 - a choice that can be repeated, no secret
        found: dict[str, Left] = {}
        _walk(self._root, "", loss, rng, found)
        return found

    def _folder(self, path: str) -> _Folder:
        node: _Node = self._root
        for part in path.split("/") if path else ():
            if not isinstance(node, _Folder):
                raise NotADirectoryError(path)
            node = node.names[part]
        if not isinstance(node, _Folder):
            raise NotADirectoryError(path)
        return node

    def _place(self, path: str) -> tuple[_Folder, str]:
        parent, _, name = path.rpartition("/")
        return self._folder(parent), name


def write_out(left: Mapping[str, Left], folder: Path) -> None:
    """Make a folder that holds this and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, content in left.items():
        place = folder / path
        if content is None:
            place.mkdir()
        elif isinstance(content, Link):
            place.symlink_to(content)
        else:
            place.write_bytes(content)


def _read(path: Path) -> _Folder:
    names: dict[str, _Node] = {}
    for entry in path.iterdir():
        if entry.is_symlink():
            names[entry.name] = Link(entry.readlink())
        elif entry.is_dir():
            names[entry.name] = _read(entry)
        else:
            names[entry.name] = _File(entry.read_bytes())
    return _Folder(names)


def _apply_to_file(node: _Node, change: Change) -> None:
    if not isinstance(node, _File):
        raise IsADirectoryError(change.path)
    match change.kind:
        case "write":
            node.data.extend(bytes(max(0, change.offset - len(node.data))))
            node.data[change.offset : change.offset + len(change.data)] = change.data
        case "truncate":
            node.data.extend(bytes(max(0, change.offset - len(node.data))))
            del node.data[change.offset :]
        case _:
            node.synced = bytes(node.data)


def _walk(
    folder: _Folder, path: str, loss: Loss, rng: random.Random, found: dict[str, Left]
) -> None:
    for name, node in sorted(folder.left(loss, rng).items()):
        place = f"{path}/{name}" if path else name
        if isinstance(node, _Folder):
            found[place] = None
            _walk(node, place, loss, rng, found)
        else:
            found[place] = node.left(loss, rng) if isinstance(node, _File) else node

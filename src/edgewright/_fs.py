"""The code that writes a file safely: temp file, fsync, rename, fsync of the folder.

Nothing else in the project knows how. After `write_atomic` returns, the content survives a power
cut; if it raises, the old content is untouched and no temp file is left. Foreign `OSError`s leave
this room as `ResourceError` (the operator of the machine acts) or `InputError` (a wrong path).

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> write_atomic(folder / "note.txt", b"safe")
    >>> read_limited(folder / "note.txt", limit_bytes=100)
    b'safe'
"""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from edgewright.errors import EdgewrightError, InputError, ResourceError

_TEMP_PREFIX = ".tmp-"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


# Who must act on a failed file operation: branch, what is wrong, the next thing to try.
_MEANINGS: dict[int, tuple[type[EdgewrightError], str, str]] = {
    errno.ENOSPC: (ResourceError, "the disk is full", "free some space and run the command again"),
    errno.EDQUOT: (ResourceError, "the quota is used up", "free some space, or ask for more"),
    errno.EACCES: (ResourceError, "permission denied", "choose a folder that you may write to"),
    errno.EPERM: (ResourceError, "permission denied", "choose a folder that you may write to"),
    errno.EROFS: (ResourceError, "the file system is read-only", "choose another folder"),
    errno.ENOENT: (InputError, "no such file or folder", "check the path"),
    errno.EEXIST: (InputError, "something of that name is in the way", "move it"),
    errno.EISDIR: (InputError, "it is a folder, a file was expected", "check the path"),
    errno.ENOTDIR: (InputError, "a part of the path is a file, not a folder", "check the path"),
}


def translated(error: OSError, path: Path, *, doing: str) -> EdgewrightError:
    """The project's own error for a failed file operation."""
    unknown = (ResourceError, error.strerror or str(error), "check the disk (dmesg, smartctl)")
    branch, wrong, hint = _MEANINGS.get(error.errno or 0, unknown)
    return branch(f"{doing} {path}: {wrong}", hint=hint)


@contextlib.contextmanager
def file_errors(path: Path, *, doing: str) -> Iterator[None]:
    """Translate every `OSError` of the block."""
    try:
        yield
    except OSError as error:
        raise translated(error, path, doing=doing) from error


def fsync_dir(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_dirs(folder: Path) -> Path:
    """Create a folder and its parents, for good: whatever is synced into a folder is lost when the
    folder's own name is.
    """
    with file_errors(folder, doing="creating"):
        _make_dir(folder)
    return folder


def _make_dir(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_dir(folder.parent)
    folder.mkdir(exist_ok=True)
    fsync_dir(folder.parent)


def _temp_beside(path: Path) -> Path:
    """A name that nothing has. It is known before anything is made under it: `tempfile` makes and
    names in one call, and Ctrl-C in the middle of that leaves what nobody can name.
    """
    return path.with_name(f"{_TEMP_PREFIX}{secrets.token_hex(8)}")


@contextlib.contextmanager
def atomic_file(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A file that appears under its name whole or not at all."""
    make_dirs(path.parent)
    with file_errors(path, doing="writing"):
        temp = _temp_beside(path)
        try:
            with os.fdopen(os.open(temp, _NEW_FILE, 0o600), "wb") as file:
                os.fchmod(file.fileno(), mode)
                yield file
                file.flush()
                os.fsync(file.fileno())
            temp.replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                temp.unlink()
            raise
        fsync_dir(path.parent)


def write_atomic(path: Path, content: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
    """Replace a file's content as one step.

    Raises:
        ResourceError: the disk is full, or the folder may not be written.
    """
    with atomic_file(path, mode=mode) as file:
        for chunk in [content] if isinstance(content, bytes) else content:
            file.write(chunk)


def check_place(path: Path) -> None:
    """Refuse a path that no file can be written to, before the work whose result belongs there.

    Raises:
        InputError: it is a folder, or a part of it is a file.
        ResourceError: its folder may not be written.
    """
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with file_errors(path, doing="writing"):
        for number, is_so in (
            (errno.EISDIR, path.is_dir()),
            (errno.ENOTDIR, not folder.is_dir()),
            (errno.EACCES, not os.access(folder, os.W_OK | os.X_OK)),
        ):
            if is_so:
                raise OSError(number, os.strerror(number))


def read_limited(path: Path, *, limit_bytes: int) -> bytes:
    """A file's content, refused when it is larger than it may be.

    Raises:
        InputError: the file is absent, a folder, or larger than the limit.
    """
    with file_errors(path, doing="reading"), path.open("rb") as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise InputError(
            f"reading {path}: larger than {limit_bytes} bytes", hint="this is not the expected file"
        )
    return content


def is_same_file(path: Path, other: Path) -> bool:
    """Whether two names stand for one file that is there."""
    return path.exists() and other.exists() and path.samefile(other)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under its name whole or not at all; `path` must not exist yet.

    Files inside are fsynced by whoever writes them (`write_atomic` does).
    """
    make_dirs(path.parent)
    with file_errors(path, doing="writing"):
        temp = _temp_beside(path)
        try:
            temp.mkdir(mode=0o700)
            temp.chmod(0o755)
            yield temp
            fsync_dir(temp)
            temp.rename(path)
        except BaseException:
            shutil.rmtree(temp, ignore_errors=True)
            raise
        fsync_dir(path.parent)


def swap_symlink(link: Path, target: str) -> None:
    """Point a symlink somewhere else as one step."""
    with file_errors(link, doing="switching"):
        temp = link.with_name(f"{_TEMP_PREFIX}{link.name}-{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            temp.unlink()
        temp.symlink_to(target)
        temp.replace(link)
        fsync_dir(link.parent)


def remove_leftovers(folder: Path) -> list[str]:
    """Delete temp files and folders that a power cut left behind; returns their names."""
    if not folder.is_dir():
        return []
    leftovers = sorted(entry for entry in folder.iterdir() if entry.name.startswith(_TEMP_PREFIX))
    for entry in leftovers:
        remove_tree(entry)
    return [entry.name for entry in leftovers]


def remove_tree(path: Path) -> None:
    """Delete a file or a folder with all that is in it; absent is fine."""
    with file_errors(path, doing="removing"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def appended_file(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A file to write at its end, fsynced when the block ends well; made when it is absent.

    Unlike `atomic_file` a cut may leave a part of what was written: readers must tell that part.
    """
    make_dirs(path.parent)
    with file_errors(path, doing="writing"):
        is_new = not path.exists()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "ab", buffering=0) as file:
            yield file
            os.fsync(file.fileno())
        if is_new:
            fsync_dir(path.parent)


def truncate(path: Path, size_bytes: int) -> None:
    """Cut a file's end off, for good."""
    with file_errors(path, doing="truncating"), path.open("rb+") as file:
        file.truncate(size_bytes)
        os.fsync(file.fileno())


def move(path: Path, target: Path) -> None:
    """Give a whole, synced file or folder another name as one step."""
    with file_errors(path, doing="moving"):
        path.replace(target)
        fsync_dir(target.parent)

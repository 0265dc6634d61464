"""A file system that writes down every change and every sync, for `edgewright.testing.power`.

    python bench/_power_mount.py BACKING MOUNTPOINT CHANGES

Everything passes through to the folder BACKING at once; CHANGES is the record, one JSON line each,
in the order in which they came. It serves until somebody unmounts it.
"""

import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

import mfusepy
import msgspec

from edgewright.testing.power import Change, Kind

_STAT = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")
_STATFS = ("bsize", "frsize", "blocks", "bfree", "bavail", "files", "ffree", "favail", "namemax")


class RecordingDisk(mfusepy.Operations):  # type: ignore[misc]  # untyped for us
    """Passes on, and notes what was done once it is done. The method names are libfuse's."""

    use_ns = True

    def __init__(self, backing: Path, record: BinaryIO) -> None:
        self._backing = backing
        self._record = record

    def _real(self, path: str) -> Path:
        return self._backing / path.strip("/")

    def _note(self, kind: Kind, path: str, **more: Any) -> int:
        change = Change(kind=kind, path=path.strip("/"), **more)
        self._record.write(msgspec.json.encode(change) + b"\n")
        return 0

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = self._real(path).lstat()
        times = {f"st_{kind}time": getattr(found, f"st_{kind}time_ns") for kind in "amc"}
        return {name: getattr(found, name) for name in _STAT} | times

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *(entry.name for entry in self._real(path).iterdir())]

    def readlink(self, path: str) -> str:
        return str(self._real(path).readlink())

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._real(path))
        return {f"f_{name}": getattr(found, f"f_{name}") for name in _STATFS}

    def open(self, path: str, flags: int) -> int:
        """The kernel knows the end of the file and gives the offset of what is appended."""
        return os.open(self._real(path), flags & ~(os.O_APPEND | os.O_NOFOLLOW))

    def create(self, path: str, mode: int) -> int:
        handle = os.open(self._real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        self._note("create", path)
        return handle

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        written = os.pwrite(fh, data, offset)
        self._note("write", path, offset=offset, data=data[:written])
        return written

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self._real(path), length)
        return self._note("truncate", path, offset=length)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def fsync(self, path: str, _datasync: int, fh: int) -> int:
        return self._note("sync", path)

    def fsyncdir(self, path: str, _datasync: int, fh: int) -> int:
        return self._note("sync_folder", path)

    def mkdir(self, path: str, mode: int) -> int:
        self._real(path).mkdir(mode)
        return self._note("mkdir", path)

    def rmdir(self, path: str) -> int:
        self._real(path).rmdir()
        return self._note("remove", path)

    def unlink(self, path: str) -> int:
        self._real(path).unlink()
        return self._note("remove", path)

    def symlink(self, target: str, source: str) -> int:
        """`target` is the new name here, `source` what it points to."""
        self._real(target).symlink_to(source)
        return self._note("symlink", target, target=source)

    def rename(self, old: str, new: str) -> int:
        self._real(old).rename(self._real(new))
        return self._note("rename", old, target=new.strip("/"))

    def chmod(self, path: str, mode: int) -> int:
        self._real(path).chmod(mode)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self._real(path), ns=times)
        return 0


def main() -> None:
    """One thread: the record is in the order of the operations."""
    backing, mountpoint, changes = map(Path, sys.argv[1:])
    with changes.open("wb") as record:
        mfusepy.FUSE(
            RecordingDisk(backing, record),
            str(mountpoint),
            foreground=True,
            nothreads=True,
            hard_remove=True,
            big_writes=True,
        )


if __name__ == "__main__":
    main()
